//! Columns that the paths of files hold.

use sluice_contracts::documents::OnInvalid;

use super::*;

/// Files in folders of two days.
fn days(ending: &str, file: impl Fn(u32) -> Vec<u8>) -> Folder {
    let mut folder = Folder::new(&format!("**/*.{ending}"));
    for (number, day) in [(1, "2026-11-01"), (2, "2026-11-02")] {
        std::fs::create_dir_all(folder.path(&format!("dt={day}/shop=a%3Ab"))).unwrap();
        folder = folder.with(&format!("dt={day}/shop=a%3Ab/x.{ending}"), file(number));
    }
    folder.option("partition_columns", r#"["dt","shop"]"#)
}

#[tokio::test]
async fn folders_are_columns_when_asked() {
    let csv = days("csv", |number| format!("id\n{number}\n{number}0\n").into_bytes());
    let json = days("jsonl", |number| {
        format!("{{\"id\": {number}}}\n{{\"id\": {number}0}}\n").into_bytes()
    });
    let parquet = days("parquet", |number| {
        let number = i32::try_from(number).unwrap();
        typed::parquet_of(&typed::ints("id", vec![number, number * 10]), 1)
    });
    for folder in [csv, json, parquet] {
        assert_eq!(folder.columns().await, ["id: INT64", "dt: DATE", "shop: STRING"]);
        let rows = folder.rows().await.unwrap();
        let expected =
            ["1|2026-11-01|a:b", "10|2026-11-01|a:b", "2|2026-11-02|a:b", "20|2026-11-02|a:b"];
        assert_eq!(rows, expected);
        let mut job = folder.job();
        job.select = Some(vec!["shop".into(), "id".into()]);
        assert_eq!(folder.rows_of(&job).await.unwrap().0[0], "a:b|1");
        job.select = Some(vec!["dt".into()]);
        job.columns.insert("dt".into(), of_type("TIMESTAMP"));
        assert_eq!(folder.rows_of(&job).await.unwrap().0[3], "2026-11-02 00:00:00");
    }
}

#[tokio::test]
async fn a_file_outside_of_the_folders_is_refused() {
    let folder = days("csv", |_| b"id\n1\n".to_vec()).with("late.csv", "id\n2\n");
    let error = said(&folder.refused().await);
    assert!(error.contains("late.csv") && error.contains("`dt=...`"), "{error}");
    let folder = days("csv", |_| b"id,dt\n1,2\n".to_vec());
    let error = said(&folder.refused().await);
    assert!(error.contains("`dt` is in the files and in their paths"), "{error}");
}

#[tokio::test]
async fn a_value_that_its_type_does_not_hold_is_refused_with_its_path() {
    let folder = days("csv", |_| b"id\n1\n".to_vec());
    let mut job = folder.job();
    job.columns.insert("shop".into(), of_type("INT64"));
    let error = said(&folder.rows_of(&job).await.unwrap_err());
    assert!(error.contains("/dt=2026-11-01") && error.contains("column `shop`"), "{error}");
    if let Some(shop) = job.columns.get_mut("shop") {
        shop.on_invalid = Some(OnInvalid::Null);
    }
    let (rows, invalid) = folder.rows_of(&job).await.unwrap();
    assert_eq!(rows, ["1|2026-11-01|-", "1|2026-11-02|-"]);
    assert_eq!(invalid, [0, 0, 2]);
}
