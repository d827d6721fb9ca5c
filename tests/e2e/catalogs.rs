//! Catalogs that a provider has closed to everybody.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;
use sluice_tests::oracle::{Expected, assert_same};
use sluice_tests::postgres::Database;
use sluice_tests::sluice::Site;

use crate::access::job;
use crate::many_tables::states;

/// Those that a promise rests on: what a table consists of, and whether it was replaced meanwhile.
const ESSENTIAL: [&str; 9] = [
    "pg_attrdef",
    "pg_attribute",
    "pg_class",
    "pg_enum",
    "pg_inherits",
    "pg_locks",
    "pg_namespace",
    "pg_rewrite",
    "pg_type",
];

/// A table of every kind that has the source look into other catalogs than a plain one.
const TABLES: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE EXTENSION citext;
    CREATE TABLE plain (id int PRIMARY KEY, price money, mood mood);
    INSERT INTO plain SELECT n, n, 'sad' FROM generate_series(1, 5000) AS n;
    CREATE TABLE words AS SELECT n AS id, ('w' || n)::citext AS word FROM generate_series(1, 50) AS n;
    CREATE TABLE days (id int, d date) PARTITION BY RANGE (d);
    CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
    CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
    INSERT INTO days SELECT n, date '2024-01-01' + n % 55 FROM generate_series(1, 500) AS n;
    CREATE VIEW seen AS SELECT id, lower(mood::text) AS mood FROM plain;
    CREATE TABLE there AS SELECT n AS id FROM generate_series(1, 70) AS n;
    CREATE EXTENSION postgres_fdw";

/// What the tests of this file move, in the order of their names.
const MOVED: [&str; 6] = ["days", "plain", "remote", "seen", "there", "words"];

/// The catalogs that the source names in its SQL.
fn catalogs() -> BTreeSet<String> {
    fn gather(folder: &Path, catalogs: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).expect("the folder can be listed") {
            let path = entry.expect("the entry can be read").path();
            if path.is_dir() {
                gather(&path, catalogs);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a file of the source");
            let words: Vec<&str> = text.split_whitespace().collect();
            for pair in words.windows(2).filter(|pair| matches!(pair[0], "from" | "join")) {
                let name = pair[1].trim_start_matches("pg_catalog.");
                let end = name.find(|c: char| !c.is_ascii_lowercase() && c != '_');
                let (name, after) = name.split_at(end.unwrap_or(name.len()));
                if name.starts_with("pg_") && !after.starts_with('(') {
                    catalogs.insert(name.to_owned());
                }
            }
        }
    }
    let mut catalogs = BTreeSet::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/sources/src/postgres");
    gather(Path::new(folder), &mut catalogs);
    catalogs
}

/// What serves extras only is done without. What a promise rests on is refused by the plan, by its
/// name, and not first by the tasks.
#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_is_closed_costs_extras_or_is_named_by_the_plan() {
    let Some(database) = Database::fresh().await else { return };
    let role = format!("tenant_of_{}", database.name());
    let (host, port) = database.address();
    let setup = format!(
        "{TABLES};
         CREATE ROLE {role} LOGIN;
         CREATE SERVER away FOREIGN DATA WRAPPER postgres_fdw
             OPTIONS (host '{host}', port '{port}', dbname '{name}');
         CREATE USER MAPPING FOR {role} SERVER away
             OPTIONS (user 'postgres', password_required 'false');
         CREATE FOREIGN TABLE remote (id int) SERVER away OPTIONS (table_name 'there');
         GRANT SELECT ON plain, words, days, days_1, days_2, seen, there, remote TO {role};
         ANALYZE plain",
        name = database.name()
    );
    database.execute(&setup).await;
    let tables = json!([
        {"table": "public.*"},
        {"table": "public.plain", "where": "id > 0",
         "partitioning": {"strategy": "id_range", "column": "id", "target_rows": 900}},
        {"table": "public.words", "columns": {"word": {"type": "STRING"}}},
        {"table": "public.seen"},
        {"table": "public.remote"},
    ]);
    let catalogs = catalogs();
    assert!(ESSENTIAL.iter().all(|name| catalogs.contains(*name)), "{catalogs:?}");
    assert!(catalogs.len() > 20, "{catalogs:?}");
    for catalog in &catalogs {
        database.execute(&format!("REVOKE SELECT ON pg_catalog.{catalog} FROM PUBLIC")).await;
        let site = Site::reading(database.url_as(&role));
        let path = job(&site, &[], &json!({"tables": tables}));
        if ESSENTIAL.contains(&catalog.as_str()) {
            for command in ["plan", "run"] {
                let ended = site.sluice([command.as_ref(), path.as_os_str()]).await;
                ended.refused(1, &[catalog, "hint: grant this user the right to what the error"]);
            }
            assert_eq!(site.newest_run(), None, "{catalog}");
        } else {
            let moved: Vec<(String, String)> =
                MOVED.map(|name| (format!("public.{name}"), "committed".to_owned())).into();
            let mut found = states(&site.run(&path).await);
            found.sort();
            assert_eq!(found, moved, "{catalog}");
            if catalog == "pg_index" {
                assert_same(Expected::Table(&database, "plain"), &folder(&site, "plain")).await;
            }
            let warnings = site.plan(&path).await["warnings"].to_string();
            assert!(warnings.contains("this user may not read"), "{catalog}: {warnings}");
            assert!(warnings.contains(&format!("`{catalog}`")), "{catalog}: {warnings}");
        }
        database.execute(&format!("GRANT SELECT ON pg_catalog.{catalog} TO PUBLIC")).await;
    }
    // A job that does without a snapshot does without what proves it.
    database.execute("REVOKE SELECT ON pg_locks FROM PUBLIC").await;
    let site = Site::reading(database.url_as(&role));
    let alone = json!({"consistency": "none"});
    site.run(&job(&site, &["public.days", "public.there"], &alone)).await;
    database.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

fn folder(site: &Site, table: &str) -> PathBuf {
    site.path().join("warehouse/shop").join(table)
}
