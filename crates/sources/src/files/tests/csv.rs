//! CSV: what is told, what is read, and what is refused.

use std::io::Write as _;

use super::*;

#[tokio::test]
async fn a_file_is_told_from_its_name_and_a_look_at_it() {
    let text = "id,name,amount,day,at\n1,Ann,10.50,2026-11-01,2026-11-01T10:00:00Z\n\
                2,\"x\ny, \"\"z\"\"\",,2026-11-02,2026-11-02 10:00:00.5+01:00\n3,\"\",7,,\n";
    let folder = Folder::of("a.csv", text);
    let columns = ["id: INT64", "name: STRING", "amount: NUMERIC", "day: DATE", "at: TIMESTAMP"];
    assert_eq!(folder.columns().await, columns);
    let rows = [
        "1|Ann|10.500000000|2026-11-01|2026-11-01 10:00:00",
        "2|x\ny, \"z\"|-|2026-11-02|2026-11-02 09:00:00.500",
        "3||7.000000000|-|-",
    ];
    assert_eq!(folder.rows().await.unwrap(), rows);
}

#[tokio::test]
async fn what_people_really_write_is_read() {
    for (name, text) in [
        ("semicolons.csv", "a;b\n1;x,y\n2;z\n".to_owned()),
        ("tabs.tsv", "a\tb\n1\tx,y\n2\tz\n".to_owned()),
        ("pipes.txt", "a|b\n1|x,y\n2|z\n".to_owned()),
        ("crlf.csv", "a,b\r\n1,\"x,y\"\r\n2,z\r\n".to_owned()),
        ("cr.csv", "a,b\r1,\"x,y\"\r2,z\r".to_owned()),
        ("mark.csv", "\u{feff}a,b\n1,\"x,y\"\n2,z".to_owned()),
        ("blank.csv", "\n\na,b\n\n1,\"x,y\"\n\n2,z\n\n".to_owned()),
    ] {
        let folder = Folder::of(name, text);
        assert_eq!(folder.columns().await, ["a: INT64", "b: STRING"], "{name}");
        assert_eq!(folder.rows().await.unwrap(), ["1|x,y", "2|z"], "{name}");
    }
    let escaped = Folder::of("e.csv", "a,b\n1,\"x\\\"\\\\,y\"\n2,\"\\\"\"\n");
    assert_eq!(escaped.rows().await.unwrap(), ["1|x\"\\,y", "2|\""]);
    let lines = Folder::of("l.csv", "made by X\n\na,b\n# no\n1,2\n");
    let lines = lines.option("skip_lines", "2").option("comment", "#");
    assert_eq!(lines.rows().await.unwrap(), ["1|2"]);
    let skipped =
        Folder::new("*.csv").with("a.csv", "by X\n2026").with("b.csv", "by X\n2026\n1,2\n");
    let skipped = skipped.option("skip_lines", "2").option("header", "false");
    assert_eq!(skipped.option("delimiter", ",").rows().await.unwrap(), ["1|2"]);
    let bare = Folder::of("bare.csv", "1,2026-11-01,x\n2,2026-11-02,y\n");
    let columns = ["column_1: INT64", "column_2: DATE", "column_3: STRING"];
    assert_eq!(bare.columns().await, columns);
    let nulls = Folder::of("n.csv", "a,b\n\\N,\\N\n1,\"\\N\"\n2,\n").option("null", "\\N");
    let nulls = nulls.option("escape", "");
    assert_eq!(nulls.columns().await, ["a: INT64", "b: STRING"]);
    assert_eq!(nulls.rows().await.unwrap(), ["-|-", "1|\\N", "2|"]);
}

#[tokio::test]
async fn characters_of_other_encodings_are_read() {
    let latin1 = Folder::of("a.csv", b"a,b\n1,Gr\xfc\xdfe\n").option("encoding", "latin1");
    assert_eq!(latin1.rows().await.unwrap(), ["1|Grüße"]);
    let windows = Folder::of("a.csv", b"a,b\n1,\x80\n").option("encoding", "windows-1252");
    assert_eq!(windows.rows().await.unwrap(), ["1|€"]);
    let wide: Vec<u8> = "a,b\n1,ü𝄞\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = Folder::of("a.csv", [b"\xff\xfe".as_slice(), &wide].concat());
    assert_eq!(marked.rows().await.unwrap(), ["1|ü𝄞"]);
    let cut = Folder::of("a.csv", [b"\xff\xfe".as_slice(), &wide[..wide.len() - 1]].concat());
    assert!(said(&cut.refused().await).contains("bytes that its encoding does not know"));
    let unknown = Folder::of("a.csv", b"a,b\n1,x\n2,Gr\xfc\xdfe\n");
    let error = said(&unknown.refused().await);
    assert!(error.contains("`b`: STRING cannot hold text that is not UTF-8"), "{error}");
    assert!(error.contains("a.csv`, line 3"), "{error}");
}

fn compressed(name: &str, text: &str) -> Vec<u8> {
    match name {
        "gz" => {
            let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            to.write_all(text.as_bytes()).unwrap();
            to.finish().unwrap()
        }
        "bz2" => {
            let mut to = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            to.write_all(text.as_bytes()).unwrap();
            to.finish().unwrap()
        }
        _ => zstd::encode_all(text.as_bytes(), 1).unwrap(),
    }
}

#[tokio::test]
async fn compressed_files_are_read_and_cut_ones_refused() {
    let lines: Vec<String> = (0..40_000).map(|id| format!("{id},{}\n", id * 7 % 1_009)).collect();
    let lines = lines.concat();
    for name in ["gz", "zst", "bz2"] {
        // Two compressed pieces, one behind the other, as `cat` makes them.
        let bytes = [compressed(name, "id,x\n"), compressed(name, &lines)].concat();
        let folder = Folder::of(&format!("a.csv.{name}"), &bytes);
        let rows = folder.rows().await.unwrap();
        assert_eq!((rows.len(), rows[39_999].as_str()), (40_000, "39999|500"), "{name}");
        // The name does not matter.
        let folder = Folder::of("a.csv", &bytes);
        assert_eq!(folder.rows().await.unwrap().len(), 40_000);
        for cut in [bytes.len() - 1, bytes.len() - 20, bytes.len() / 2] {
            let error = said(&Folder::of("a.csv", &bytes[..cut]).refused().await);
            assert!(error.contains("a.csv`: it ends before its compressed data does"), "{error}");
        }
        let mut damaged = bytes.clone();
        let middle = damaged.len() / 2;
        damaged[middle..middle + 40].fill(0xff);
        let error = Folder::of("a.csv", &damaged).refused().await;
        assert_eq!(error.kind(), Kind::Data, "{name}: {error:?}");
    }
}

#[tokio::test]
async fn damage_is_refused_with_its_place_and_without_its_value() {
    for (text, words) in [
        ("a,b\n1,s3cret\n2\n", "line 3: a record has 1 field where there are 2 columns"),
        ("a,b\n1,s3cret\n2,x,y\n", "line 3: a record has 3 fields where there are 2 columns"),
        ("a,b\n1,s3cret\n2,\"x\n3,y\n", "line 3: a quote is opened and not closed"),
        (
            "a,b\n1,\"s3cret\"x\n",
            "line 2: something other than a delimiter follows a closing quote",
        ),
        ("a,b\n1,s3cret\n\n\n2,x\n0x3,y\n", "line 6: column `a`: INT64 cannot hold"),
        ("a,a\n1,s3cret\n", "it names `a` twice"),
    ] {
        // The types are told from a sample that does not have the value.
        let folder = Folder::of("a.csv", text);
        let mut job = folder.job();
        if !text.contains("a,a") {
            job.columns.insert("a".into(), of_type("INT64"));
        }
        let error = said(&folder.rows_of(&job).await.unwrap_err());
        assert!(error.contains(words), "{text}: {error}");
        assert!(error.contains("a.csv`") && !error.contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn files_of_one_table_have_the_same_columns_in_any_order() {
    let folder = Folder::new("*.csv").with("1.csv", "a,b\n1,x\n").with("2.csv", "b,a\ny,2\n");
    assert_eq!(folder.rows().await.unwrap(), ["1|x", "2|y"]);
    let more = Folder::new("*.csv").with("1.csv", "a,b\n1,x\n").with("2.csv", "b,c,a\ny,9,2\n");
    let error = said(&more.refused().await);
    assert!(error.contains("2.csv`: the plan does not know its column `c`"), "{error}");
    assert_eq!(more.option("unknown", "ignore").rows().await.unwrap(), ["1|x", "2|y"]);
    let less = Folder::new("*.csv").with("1.csv", "a,b\n1,x\n").with("2.csv", "a\n2\n");
    let error = said(&less.refused().await);
    assert!(error.contains("2.csv`: it has no column `b`"), "{error}");
    assert_eq!(less.option("missing", "null").rows().await.unwrap(), ["1|x", "2|-"]);
    let empty =
        Folder::new("*.csv").with("1.csv", "a,b\n1,x\n").with("2.csv", "").with("3.csv", "b,a\n");
    assert_eq!(empty.rows().await.unwrap(), ["1|x"]);
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_null_where_the_job_says_so() {
    let folder = Folder::of("a.csv", "a,b\n1,x\nx,y\n,z\n");
    let mut job = folder.job();
    let asked = serde_json::json!({"type": "INT64", "on_invalid": "null", "name": "number"});
    job.columns.insert("a".into(), serde_json::from_value(asked).unwrap());
    let (rows, invalid) = folder.rows_of(&job).await.unwrap();
    assert_eq!((rows, invalid), (vec!["1|x".into(), "-|y".into(), "-|z".into()], vec![1, 0]));
    job.columns.insert("c".into(), of_type("INT64"));
    let error = folder.rows_of(&job).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
}

#[tokio::test]
async fn columns_are_chosen_by_name_and_named_where_there_is_no_header() {
    let folder = Folder::of("a.csv", "a,b,c\n1,x,2\n");
    let job = TableJob { select: Some(vec!["c".into(), "a".into()]), ..folder.job() };
    assert_eq!(folder.rows_of(&job).await.unwrap().0, ["2|1"]);
    let bare = Folder::of("a.csv", "1,x\n2,y\n").option("header", "false");
    let job = TableJob { select: Some(vec!["id".into(), "name".into()]), ..bare.job() };
    let described = bare.describe(&job).await.unwrap();
    assert_eq!(described.columns[1].name, "name");
    assert_eq!(bare.rows_of(&job).await.unwrap().0, ["1|x", "2|y"]);
    let wrong = TableJob { select: Some(vec!["id".into()]), ..bare.job() };
    assert!(
        said(&bare.rows_of(&wrong).await.unwrap_err()).contains("has 2 fields where there are 1")
    );
}

#[tokio::test]
async fn what_is_told_of_one_file_is_not_forced_on_another() {
    let lines = Folder::new("*.csv").with("a.csv", "sep=;\na;b\n1;x\n").with("b.csv", "a;b\n2;y\n");
    assert_eq!(lines.rows().await.unwrap(), ["1|x", "2|y"]);
    let others =
        Folder::new("*.csv").with("a.csv", "sep=;\na;b\n1;x\n").with("b.csv", "sep=,\na,b\n2,y\n");
    assert!(
        said(&others.refused().await).contains("b.csv`: its first line says another delimiter")
    );
    let bare = Folder::new("*.csv").with("a.csv", "1,x\n2,z\n").with("b.csv", "a,b\n2,y\n");
    let error = said(&bare.refused().await);
    assert!(error.contains("b.csv` seems to have a header, and"), "{error}");
    let rows = bare.option("header", "false").rows().await.unwrap();
    assert_eq!(rows, ["1|x", "2|z", "a|b", "2|y"]);
    let strangers =
        Folder::new("*.csv").with("a.csv", "id,name\n1,x\n").with("b.csv", "s3cret,eve\nann,joe\n");
    let strangers = strangers.option("missing", "refuse");
    let error = said(&strangers.refused().await);
    assert!(error.contains("b.csv`: it has no column") && !error.contains("s3cret"), "{error}");
    let error = said(&strangers.option("missing", "null").refused().await);
    assert!(error.contains("b.csv`: it has no column") && !error.contains("s3cret"), "{error}");
}

#[tokio::test]
async fn returns_end_lines_without_a_header_too() {
    let folder = Folder::new("*.csv").with("a.csv", "0,x\r1,\"y\nz\"\r").with("b.csv", "2,q\n");
    assert_eq!(folder.rows().await.unwrap(), ["0|x", "1|y\nz", "2|q"]);
}

#[tokio::test]
async fn what_is_no_table_is_refused() {
    for (text, words) in [
        ("a,b\n1,x,\n2,y,\n", "what delimits its fields is not clear"),
        ("a,b\n1;x\n", "a record has 1 field where there are 2 columns"),
        ("<html>login</html>\n", "it is a page of HTML or XML"),
        (" <!DOCTYPE html>\n<html>", "it is a page of HTML or XML"),
        ("a\0\n\0x\0", "its text has bytes of zero"),
    ] {
        let error = said(&Folder::of("a.csv", text).refused().await);
        assert!(error.contains(words), "{text}: {error}");
    }
    let prose = Folder::of("a.csv", "v\na;b\nc;d\n\"e, f\"\n");
    assert_eq!(prose.rows().await.unwrap(), ["a;b", "c;d", "e, f"]);
}
