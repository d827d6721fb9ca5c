//! One file in ranges of its bytes.

use proptest::prelude::*;

use super::*;

/// A file with new lines in quotes.
fn quoted(rows: usize) -> String {
    let row = |id: usize| match id % 4 {
        0 => format!("{id},\"a\nb, \"\"c\"\"\n\",{}\n", id % 7),
        1 => format!("{id},\"{}\",\n", "x\n1,2,3\n".repeat(id % 5)),
        _ => format!("{id},plain {id},{}\n", id * 3),
    };
    "id,note,n\n".to_owned() + &(0..rows).map(row).collect::<String>()
}

/// The units of a file in about `count` ranges.
pub(super) async fn ranges(folder: &Folder, count: u32) -> (Table, Vec<Unit>) {
    let job = folder.job();
    let mut survey = folder.source().survey("test").await.unwrap();
    let described = survey.describe(&job).await.unwrap();
    let piece = &described.pieces[0];
    let starts = survey.record_starts(piece, count).await.unwrap().unwrap_or_default();
    let lows = std::iter::once(0).chain(starts.iter().copied());
    let highs = starts.iter().copied().map(Some).chain([None]);
    let units = lows.zip(highs).map(|(lo, hi)| unit(piece.leaf.clone(), Cut::Bytes { lo, hi }));
    (planned(&job, &described), units.collect())
}

#[tokio::test]
async fn ranges_of_a_file_are_the_file() {
    for (name, text) in [("a.csv", quoted(3_000)), ("a.csv", quoted(3_000).replace('\n', "\r\n"))] {
        let folder = Folder::of(name, text);
        let (table, units) = ranges(&folder, 16).await;
        assert!(units.len() > 10, "{} ranges", units.len());
        let mut rows = Vec::new();
        for unit in &units {
            rows.extend(folder.read(&table, unit).await.unwrap().0);
        }
        assert_eq!(rows, folder.rows().await.unwrap());
    }
}

#[tokio::test]
async fn ranges_of_json_lines_are_the_file() {
    let lines = (0..3_000).map(|id| format!("{{\"id\": {id}, \"s\": \"a\\nb{id}\"}}\n"));
    let folder = Folder::of("a.jsonl", lines.collect::<String>());
    let (table, units) = ranges(&folder, 16).await;
    assert_eq!(units.len(), 16);
    let mut rows = Vec::new();
    for unit in &units {
        rows.extend(folder.read(&table, unit).await.unwrap().0);
    }
    assert_eq!(rows, folder.rows().await.unwrap());
}

/// What a look at the middle of a file guesses wrong is found when the range before it is read.
#[tokio::test]
async fn a_range_that_ends_within_a_record_is_refused() {
    let text = quoted(200);
    let folder = Folder::of("a.csv", &text);
    let (table, units) = ranges(&folder, 2).await;
    let [first, _] = units.as_slice() else { panic!("two ranges") };
    let Cut::Bytes { hi: Some(end), .. } = first.cut else { panic!("a bounded range") };
    let mut wrong = 0;
    for hi in end - 40..end + 40 {
        let unit = unit(first.leaf.clone(), Cut::Bytes { lo: 0, hi: Some(hi) });
        let Err(error) = folder.read(&table, &unit).await else { continue };
        let error = said(&error);
        assert!(error.contains("ends within a record"), "{error}");
        assert!(error.contains("`partitioning.strategy` to `file`"), "{error}");
        wrong += 1;
    }
    assert!(wrong > 60, "{wrong} of 80 ends are within a record");
}

/// The plan never cuts there.
#[tokio::test]
async fn a_range_that_ends_within_the_header_is_refused() {
    for text in ["id,\"note\nof it\",n\n1,a,2\n", "id,note,n\n1,a,2\n"] {
        let folder = Folder::of("a.csv", text);
        let job = folder.job();
        let described = folder.describe(&job).await.unwrap();
        let (table, leaf) = (planned(&job, &described), described.pieces[0].leaf.clone());
        for hi in 1..9 {
            let unit = unit(leaf.clone(), Cut::Bytes { lo: 0, hi: Some(hi) });
            let error = said(&folder.read(&table, &unit).await.unwrap_err());
            assert!(error.contains("ends within a record"), "{hi}: {error}");
        }
    }
}

#[tokio::test]
async fn a_file_that_has_one_long_record_is_not_cut() {
    let folder = Folder::of("a.csv", format!("a,b\n1,\"{}\"\n", "x,y\n".repeat(2_000)));
    let (_, units) = ranges(&folder, 4).await;
    assert_eq!(units.len(), 1);
    let wide: Vec<u8> = quoted(500).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let folder = Folder::of("a.csv", [b"\xff\xfe".as_slice(), &wide].concat());
    assert_eq!(ranges(&folder, 4).await.1.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_table_in_any_ranges_is_the_table(
        rows in proptest::collection::vec(("[a\",\n ]{0,9}", "[\"x;\r\n,]{0,5}", 0_u32..50), 1..120),
        count in 2_u32..9,
        style in 0_usize..3,
    ) {
        let quote = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let plain = |text: &str| {
            if text.contains(['"', ',', '\n', '\r']) { quote(text) } else { text.to_owned() }
        };
        let mut text = "a,b,c\n".to_owned();
        for (a, b, c) in &rows {
            let line = match style {
                0 => format!("{},{},{c}\n", quote(a), quote(b)),
                1 => format!("{},{},{c}\r\n", plain(a), plain(b)),
                _ => format!("{},{},{c}\n", plain(a), quote(b)),
            };
            text.push_str(&line);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let folder = Folder::of("a.csv", &text).option("header", "true").option("delimiter", ",");
            let (table, units) = ranges(&folder, count).await;
            let whole = folder.rows().await.unwrap();
            assert_eq!(whole.len(), rows.len());
            let mut read = Vec::new();
            for unit in &units {
                match folder.read(&table, unit).await {
                    Ok((rows, _)) => read.extend(rows),
                    // A guess was wrong, and that was found.
                    Err(error) => {
                        assert!(said(&error).contains("ends within a record"), "{error:?}");
                        return;
                    }
                }
            }
            assert_eq!(read, whole);
        });
    }
}
