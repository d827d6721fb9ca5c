use serde_json::json;
use sluice_contracts::Kind;
use sluice_contracts::documents::{Decimal, KeyType, OnInvalid, TargetType};

use super::*;
use crate::description::Key;

fn key(column: &str, key_type: KeyType, indexed: bool, primary: bool, nullable: bool) -> Key {
    Key { column: column.to_owned(), key_type, indexed, primary, nullable, correlation: None }
}

#[tokio::test]
async fn a_django_table_is_described_column_by_column() {
    let database = Database::new(
        "CREATE TABLE shop_order (
           id integer NOT NULL PRIMARY KEY AUTOINCREMENT, number varchar(20) NOT NULL,
           total decimal NOT NULL, net DECIMAL(12,2), paid bool NOT NULL, note text,
           created datetime NOT NULL, day date, at time, weight real, proof BLOB, extra JSON,
           stamp TIMESTAMPTZ, items integer unsigned NOT NULL CHECK (items >= 0),
           twice integer GENERATED ALWAYS AS (items * 2) STORED);
         CREATE INDEX by_created ON shop_order (created);
         CREATE INDEX by_day ON shop_order (day) WHERE day IS NOT NULL;
         CREATE INDEX by_items ON shop_order (items, created);",
    );
    let described = database.describe(&job("Shop_Order")).await.unwrap();
    let types: Vec<_> =
        described.columns.iter().map(|c| (c.name.as_str(), c.target_type.name())).collect();
    assert_eq!(
        types,
        [
            ("id", "INT64"),
            ("number", "STRING"),
            ("total", "BIGNUMERIC"),
            ("net", "NUMERIC"),
            ("paid", "BOOL"),
            ("note", "STRING"),
            ("created", "DATETIME"),
            ("day", "DATE"),
            ("at", "TIME"),
            ("weight", "FLOAT64"),
            ("proof", "BYTES"),
            ("extra", "JSON"),
            ("stamp", "TIMESTAMP"),
            ("items", "INT64"),
            ("twice", "INT64"),
        ]
    );
    assert_eq!(described.columns[3].decimal, Some(Decimal { precision: 12, scale: 2 }));
    assert_eq!(described.columns[0].invalid, None);
    assert!(described.columns[13].invalid.is_some());
    assert_eq!(
        described.keys,
        [
            key("id", KeyType::Integer, true, true, false),
            key("created", KeyType::Timestamp, true, false, false),
            key("day", KeyType::Date, false, false, true),
            key("stamp", KeyType::Timestamptz, false, false, true),
            key("items", KeyType::Integer, true, false, false),
            key("twice", KeyType::Integer, false, false, true),
        ]
    );
    assert_eq!(described.identity, ["id"]);
    assert_eq!((described.rows(), described.pieces.len()), (0, 1));
    assert_eq!(described.pieces[0].leaf, None);
}

#[tokio::test]
async fn overrides_are_honoured_and_impossible_ones_refused() {
    let database = Database::new("CREATE TABLE t (Amount decimal(12,2), \"größe\" int, b BLOB)");
    let asked = with(job("t"), "amount", json!({"type": "BIGNUMERIC", "on_invalid": "null"}));
    let asked = with(asked, "größe", json!({"type": "STRING", "name": "size"}));
    let described = database.describe(&asked).await.unwrap();
    assert_eq!(described.columns[0].target_type, TargetType::Bignumeric);
    assert_eq!(described.columns[0].decimal, Some(Decimal::BIGNUMERIC));
    assert_eq!(described.columns[0].on_invalid, OnInvalid::Null);
    assert_eq!(described.columns[1].name, "size");
    assert_eq!(described.columns[1].source_name, "größe");
    let error =
        database.describe(&with(job("t"), "b", json!({"type": "INT64"}))).await.unwrap_err();
    assert_eq!(
        message(&error),
        "describe table `t`: column `b` of declared type `BLOB` cannot become `INT64` | set \
         `columns.b.type` to one of `BYTES`, `STRING`"
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_by_the_plan_with_the_way_out() {
    let database = Database::new(
        "CREATE TABLE t (a foo, b, c INT);
         CREATE TABLE big (d decimal(60, 5)); CREATE TABLE twins (\"a b\" int, a_b int)",
    );
    let refused = async |job: TableJob| {
        let error = database.describe(&job).await.unwrap_err();
        (error.kind(), message(&error))
    };
    let select = |names: &[&str]| TableJob {
        select: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        ..job("t")
    };
    for (job, kind, expected) in [
        (
            job("t"),
            Kind::Invalid,
            "2 columns cannot be moved as they are\n  describe table `t`: column `a` has declared \
             type `foo`, which is not known\n  describe table `t`: column `b` has no declared type \
             | set `columns.a.type` to `STRING` or another type\nset `columns.b.type` to `STRING` \
             or another type",
        ),
        (
            select(&["a"]),
            Kind::Invalid,
            "describe table `t`: column `a` has declared type `foo`, which is not known | set \
             `columns.a.type` to `STRING` or another type",
        ),
        (
            select(&["b"]),
            Kind::Invalid,
            "describe table `t`: column `b` has no declared type | set `columns.b.type` to \
             `STRING` or another type",
        ),
        (
            job("big"),
            Kind::Invalid,
            "describe table `big`: column `d` has declared type `decimal(60, 5)`, which no type of \
             the target holds | set `columns.d.type` to `STRING` or another type",
        ),
        (
            job("twins"),
            Kind::Invalid,
            "name columns: `a b` and `a_b` would both be `a_b` in the target | set \
             `columns.a_b.name` to another name",
        ),
        (
            select(&["c", "C"]),
            Kind::Invalid,
            "name columns: `c` is read twice | name every column once in `source.columns`",
        ),
        (
            select(&["x"]),
            Kind::NotFound,
            "describe table `t`: no column `x` | it has `a`, `b`, `c`",
        ),
        (
            with(select(&["c"]), "created", json!({"type": "STRING"})),
            Kind::NotFound,
            "describe table `t`: no column `created` | it has `a`, `b`, `c`",
        ),
        (
            job("twin"),
            Kind::NotFound,
            "describe table `twin`: it does not exist | did you mean `twins`?",
        ),
        (
            TableJob { filter: Some("nope = 1".into()), ..select(&["c"]) },
            Kind::Invalid,
            "read the SQL of table `t`: no such column: nope | -",
        ),
        (
            TableJob { filter: Some("c = 1) OR (c = 2".into()), ..select(&["c"]) },
            Kind::Invalid,
            "read the SQL of table `t`: near \")\": syntax error | -",
        ),
        (
            query("SELECT 1 AS a"),
            Kind::Invalid,
            "describe the query: column `a` has no declared type | set `columns.a.type` to `STRING` \
             or another type, or write `CAST(... AS ...)` where it is selected",
        ),
        (
            query("SELECT c FROM absent"),
            Kind::Invalid,
            "describe the query: no such table: absent | -",
        ),
    ] {
        assert_eq!(refused(job).await, (kind, expected.to_owned()));
    }
    let elsewhere = Relation::table(Some("public"), "t");
    let (kind, _) = refused(TableJob { relation: elsewhere, ..job("t") }).await;
    assert_eq!(kind, Kind::NotFound);
}

#[tokio::test]
async fn every_form_of_relation_is_found() {
    let database = Database::new(
        "CREATE TABLE \"select\" (\"From\" TEXT, b INTEGER PRIMARY KEY DESC, c INT);
         CREATE TABLE pairs (x INT, y INT, note TEXT, PRIMARY KEY (y, x)) WITHOUT ROWID;
         CREATE TABLE strict (i INTEGER PRIMARY KEY, t TEXT) STRICT;
         CREATE VIEW seen AS SELECT i, t, i + 1 AS next FROM strict;
         CREATE VIRTUAL TABLE words USING fts5(body);",
    );
    let described = database.describe(&job("select")).await.unwrap();
    assert_eq!(described.columns[0].source_name, "From");
    // With `DESC` the key has an index of its own, which may contain NULL.
    assert_eq!(described.keys[0], key("b", KeyType::Integer, true, true, true));

    let described = database.describe(&job("pairs")).await.unwrap();
    assert_eq!(described.identity, ["y", "x"]);
    assert_eq!(
        described.keys,
        [
            key("x", KeyType::Integer, false, false, false),
            key("y", KeyType::Integer, true, false, false),
        ]
    );
    assert!(database.describe(&job("strict")).await.unwrap().warnings.is_empty());

    let view = with(job("seen"), "next", json!({"type": "INT64"}));
    let described = database.describe(&view).await.unwrap();
    assert_eq!(described.keys[0], key("i", KeyType::Integer, false, false, true));
    assert_eq!(described.warnings.len(), 1);

    let words = with(job("words"), "body", json!({"type": "STRING"}));
    let described = database.describe(&words).await.unwrap();
    assert_eq!((described.columns.len(), described.keys.len()), (1, 0));

    let described =
        database.describe(&query("SELECT t, i AS \"Id\" FROM strict -- all\n;")).await.unwrap();
    let names: Vec<_> = described.columns.iter().map(|c| c.source_name.as_str()).collect();
    assert_eq!(names, ["t", "Id"]);
    assert_eq!(described.keys[0].column, "Id");
}

#[tokio::test]
async fn files_that_are_no_database_are_refused() {
    let survey = async |path: PathBuf| {
        let source = crate::open(&format!("sqlite://{}", path.display()), &|_| None, None).unwrap();
        source.survey("test").await.map(|_| ()).unwrap_err()
    };
    let folder = tempfile::tempdir().unwrap();
    let error = survey(folder.path().join("absent.db")).await;
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().ends_with("there is no such file") && error.remedy().is_some());
    assert_eq!(survey(folder.path().to_owned()).await.kind(), Kind::Invalid);
    let text = folder.path().join("text.db");
    std::fs::write(&text, "this is certainly no database, and long enough".repeat(100)).unwrap();
    assert_eq!(survey(text).await.kind(), Kind::Invalid);
}
