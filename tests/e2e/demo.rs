//! The first command that a new user types.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sluice_tests::oracle::{Expected, assert_same, duckdb};
use sluice_tests::sluice::Site;

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_moves_its_table_and_a_second_one_replaces_it() {
    let site = Site::new();
    let first = demo(&site).await;
    let database = file_where(site.path(), |path| {
        fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"SQLite format 3\0"))
    });
    let folder = target(&first);
    assert_eq!(first["rows"], 20_000, "{first:#}");
    assert!(folder.starts_with(site.path().join("here/warehouse")), "{}", folder.display());
    let table = table_of(&database);
    let facts = assert_same(Expected::Sqlite(&database, &table), &folder).await;
    let bytes = fs::metadata(&database).map(|file| file.len()).unwrap_or_default();

    let second = demo(&site).await;
    assert_ne!(first["run"], second["run"]);
    assert_eq!(second["rows"], 20_000, "{second:#}");
    assert_eq!(bytes, fs::metadata(&database).map(|file| file.len()).unwrap_or_default());
    let again = assert_same(Expected::Sqlite(&database, &table), &folder).await;
    if let (Some(facts), Some(again)) = (facts, again) {
        assert_eq!(facts["columns"], again["columns"]);
        // The database has NULLs, as real ones do.
        let columns = facts["columns"].as_object().cloned().unwrap_or_default();
        assert!(columns.values().any(|column| column["nulls"].as_u64() > Some(0)), "{facts:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_says_how_to_query_its_result() {
    let site = Site::new();
    let ended = site.sluice(["demo", "--dir", "here", "--rows", "3000"]).await;
    assert_eq!(ended.code, Some(0), "{ended}");
    let query = ended
        .stdout
        .lines()
        .find_map(|line| {
            let select =
                line.find(['S', 's']).filter(|_| line.to_lowercase().contains("select "))?;
            let from = line[select..].to_lowercase().find("select ")? + select;
            Some(line[from..].trim_end_matches(['"', ';', '\'']).to_owned())
        })
        .unwrap_or_else(|| panic!("no line with a query:\n{ended}"));
    // Removing the shell's quotes may have removed the last quote of a file name too.
    let query = if query.matches('\'').count() % 2 == 1 { format!("{query}'") } else { query };
    let query = query.replace("'here/", &format!("'{}/here/", site.path().display()));
    let Some(rows) = duckdb(&query).await else { return };
    assert!(!rows.is_empty(), "{query} answered nothing");
}

/// Runs the demo in the folder `here`, and returns its answer.
async fn demo(site: &Site) -> Value {
    site.sluice(["demo", "--json", "--dir", "here", "--rows", "20000"]).await.answer()
}

fn target(answer: &Value) -> PathBuf {
    let url = answer["tables"][0]["target"].as_str().unwrap_or_default();
    PathBuf::from(url.trim_start_matches("file://"))
}

/// The only table of the demo's database.
fn table_of(database: &Path) -> String {
    let connection = rusqlite::Connection::open(database).expect("the database opens");
    let query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    connection.query_row(query, [], |row| row.get(0)).expect("the database has a table")
}

fn file_where(folder: &Path, wanted: fn(&Path) -> bool) -> PathBuf {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if wanted(&path) {
                return path;
            }
        }
    }
    panic!("no such file below {}", folder.display());
}
