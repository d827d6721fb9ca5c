//! Rows that are set aside.

use super::*;
use crate::files::tests::typed::{days_of, parquet_of};

/// The rows of a folder whose job allows so many bad ones, and the places and reasons of those.
async fn read(folder: Folder, allowed: u64) -> Result<(Vec<String>, Vec<String>)> {
    let folder = folder.option("bad_rows", &allowed.to_string());
    let job = folder.job();
    let described = folder.describe(&job).await?;
    let table = planned(&job, &described);
    let (mut rows, mut bad) = (Vec::new(), Vec::new());
    for piece in &described.pieces {
        let unit = unit(piece.leaf.clone(), Cut::Full);
        let mut reader = folder.source().reader("test", Join::Independent).await?.unwrap();
        let mut batches = reader.read(&table, &unit).await?;
        while let Some(batch) = batches.next().await? {
            rows.extend(texts(&batch));
        }
        bad.extend(batches.take_bad_rows().iter().map(|row| {
            let (_, behind) = row.file.rsplit_once('/').unwrap();
            let column = row.column.as_deref().unwrap_or("-");
            format!("{behind}, {}, {column}: {}", row.at, row.reason)
        }));
        assert!(batches.take_bad_rows().is_empty(), "each is named once");
    }
    Ok((rows, bad))
}

/// More text than planning looks at, so that a wrong value behind it is one.
fn long(row: &str, tail: &str) -> String {
    row.repeat((2 << 20) / row.len()) + tail
}

#[tokio::test]
async fn bad_records_of_csv_are_set_aside() {
    let tail = "7,x\n8\n9,y,z\noh,x\n10,\"a\nb\"\n11,c\n";
    let folder = || Folder::of("a.csv", "id,note\n".to_owned() + &long("1,x\n", tail));
    let (rows, bad) = read(folder(), 3).await.unwrap();
    let count = (2 << 20) / 4;
    assert_eq!(rows.len(), count + 3);
    assert_eq!(rows[count..], ["7|x", "10|a\nb", "11|c"]);
    let line = count + 3;
    assert_eq!(
        bad,
        [
            format!("a.csv, line {line}, -: a record has 1 field where there are 2 columns"),
            format!("a.csv, line {}, -: a record has 3 fields where there are 2 columns", line + 1),
            format!(
                "a.csv, line {}, id: INT64 cannot hold text that is not a 64-bit integer",
                line + 2
            ),
        ]
    );
    let error = said(&read(folder(), 2).await.unwrap_err());
    let one_more = format!("line {}", line + 2);
    assert!(error.contains(&one_more) && error.contains("`bad_rows.allow` is 2"), "{error}");
    let error = said(&read(folder(), 0).await.unwrap_err());
    assert!(error.contains("a record has 1 field") && !error.contains("bad_rows"), "{error}");
}

#[tokio::test]
async fn bad_lines_of_json_are_set_aside() {
    let tail =
        "{\"id\": 7}\n{\"id\": 8,}\n[1]\n{\"id\": \"x\"}\n{\"id\": 9, \"id\": 9}\n{\"id\": 10}\n";
    let folder = Folder::of("a.jsonl", long("{\"id\": 1}\n", tail));
    let (rows, bad) = read(folder, 10).await.unwrap();
    assert_eq!(rows[rows.len() - 2..], ["7", "10"]);
    let expected = ["it is not JSON", "it is not a JSON object", "id: INT64 cannot hold", "twice"];
    assert_eq!(bad.len(), 4, "{bad:?}");
    assert!(bad.iter().zip(expected).all(|(bad, part)| bad.contains(part)), "{bad:?}");
}

#[tokio::test]
async fn a_bad_line_that_planning_looks_at_is_set_aside_too() {
    let folder = || Folder::of("a.jsonl", "{\"id\": 1}\nnothing\n{\"id\": 2}\n");
    let (rows, bad) = read(folder(), 1).await.unwrap();
    assert_eq!((rows, bad.len()), (vec!["1".to_owned(), "2".to_owned()], 1));
    assert!(said(&read(folder(), 0).await.unwrap_err()).contains("line 2"));
}

#[tokio::test]
async fn bad_rows_of_parquet_are_set_aside() {
    let days = days_of(vec![1, i32::MAX, 2, i32::MIN, 3]);
    let folder = Folder::new("**/*.parquet");
    std::fs::create_dir(folder.path("dt=1")).unwrap();
    let folder = folder
        .with("dt=1/a.parquet", parquet_of(&days, 2))
        .option("partition_columns", r#"["dt"]"#);
    let (rows, bad) = read(folder, 2).await.unwrap();
    assert_eq!(rows, ["1970-01-02|1", "1970-01-03|1", "1970-01-04|1"]);
    let why = "v: DATE cannot hold a day outside of the years 1 to 9999";
    assert_eq!(bad, [format!("a.parquet, row 2, {why}"), format!("a.parquet, row 4, {why}")]);
}
