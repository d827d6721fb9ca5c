use serde_json::json;
use sluice_contracts::Kind;

use super::*;

/// Ordinary tables among virtual ones, one of them of a module that nobody has.
const SCHEMA: &str = "
    CREATE TABLE duck (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO duck VALUES (1, 'a'), (2, 'b');
    CREATE TABLE docs_mine (id INT);
    CREATE VIRTUAL TABLE docs USING fts5(title, body); INSERT INTO docs VALUES ('t', 'b');
    CREATE VIRTUAL TABLE \"my box\" USING \"rtree\"(id, x0, x1);
    CREATE VIRTUAL TABLE old USING fts4(body);
    CREATE VIEW seen AS SELECT * FROM absent;
    PRAGMA writable_schema = on;
    INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) VALUES ('table', 'SpatialIndex',
      'SpatialIndex', 0, 'CREATE VIRTUAL TABLE SpatialIndex USING VirtualSpatialIndex()');
    PRAGMA writable_schema = off;";

#[tokio::test]
async fn virtual_tables_and_their_shadows_are_no_tables_of_the_user() {
    let database = Database::new(SCHEMA);
    let listing = database.source().survey("test").await.unwrap().tables().await.unwrap();
    let names: Vec<&str> = listing.tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, ["docs_mine", "duck"]);
    let excluded: Vec<String> = listing
        .excluded
        .iter()
        .map(|(table, reason)| format!("{}: {reason}", table.name))
        .collect();
    for expected in [
        "SpatialIndex: it is a virtual table of module `VirtualSpatialIndex`",
        "docs: it is a virtual table of module `fts5`",
        "docs_data: it is a shadow table: it keeps the data of virtual table `docs`",
        "my box: it is a virtual table of module `rtree`",
        "my box_node: it is a shadow table: it keeps the data of virtual table `my box`",
        "old_segments: it is a shadow table: it keeps the data of virtual table `old`",
    ] {
        assert!(excluded.iter().any(|found| found == expected), "{expected}: {excluded:#?}");
    }
    assert!(excluded.is_sorted(), "{excluded:#?}");
}

#[tokio::test]
async fn a_virtual_table_that_a_job_names_is_read_if_its_module_is_known() {
    let database = Database::new(SCHEMA);
    assert_eq!(rows(&database.read(&job("duck"), Cut::Full).await.unwrap().0), 2);
    let text = json!({"type": "STRING"});
    let docs = with(with(job("docs"), "title", text.clone()), "body", text);
    assert_eq!(rows(&database.read(&docs, Cut::Full).await.unwrap().0), 1);
    assert_eq!(rows(&database.read(&job("docs_docsize"), Cut::Full).await.unwrap().0), 1);

    let error = database.describe(&job("spatialindex")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(
        message(&error),
        "describe table `SpatialIndex`: it is a virtual table of module `VirtualSpatialIndex`, which \
         this program does not have | leave the table out, or copy its rows in a program that has \
         the module: `CREATE TABLE ... AS SELECT * FROM \"SpatialIndex\"`"
    );
}
