//! Tables that get partitions, or lose them, while a run reads.

use std::time::Duration;

use serde_json::json;
use sluice_tests::postgres::Database;
use sluice_tests::proxy::Proxy;
use sluice_tests::sluice::Site;

use crate::concurrent_changes::{altered_when_planned, execute};
use crate::crashes::resume;
use crate::snapshot::SLOW;

/// A partitioned table and a parent of heirs, of 100 rows each, and a table beside each of them.
const TREES: &str = "
    CREATE TABLE days (id int, note text) PARTITION BY RANGE (id);
    CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (1) TO (51);
    CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM (51) TO (101);
    INSERT INTO days SELECT n, repeat('x', 20000) FROM generate_series(1, 100) AS n;
    CREATE TABLE days_3 AS SELECT n AS id, ''::text AS note FROM generate_series(101, 110) AS n;
    CREATE TABLE base (id int, note text);
    CREATE TABLE heir () INHERITS (base);
    INSERT INTO heir SELECT * FROM days;
    CREATE TABLE late (id int, note text);
    INSERT INTO late VALUES (101, '');
    CREATE VIEW all_days AS SELECT * FROM days;
    CREATE VIEW all_heirs AS SELECT * FROM base";

/// The rows of a parent are those of the children that it has when a query begins, and not those of
/// the snapshot. Where partitions are read one by one, it does not matter.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_gets_or_loses_a_partition_after_the_snapshot_is_never_read_as_a_whole() {
    for (source, parent, change, refused) in [
        ("all_days", "days", "ALTER TABLE days DETACH PARTITION days_1", true),
        ("all_days", "days", "DROP TABLE days_2", true),
        (
            "all_days",
            "days",
            "ALTER TABLE days ATTACH PARTITION days_3 FOR VALUES FROM (101) TO (200)",
            true,
        ),
        ("all_heirs", "base", "ALTER TABLE heir NO INHERIT base", true),
        ("all_heirs", "base", "ALTER TABLE late INHERIT base", true),
        // What was undone, and what is no change of a tree.
        (
            "all_days",
            "days",
            "SAVEPOINT s; ALTER TABLE days DETACH PARTITION days_1; ROLLBACK TO s",
            false,
        ),
        ("all_days", "days", "ALTER TABLE days_1 ALTER note SET DEFAULT 'x'", false),
        ("days", "days", "ALTER TABLE days DETACH PARTITION days_1", false),
        // It has no children when it is planned, and is read without those that it gets.
        ("heir", "base", "ALTER TABLE late INHERIT heir", true),
    ] {
        let Some(database) = Database::fresh().await else { return };
        database.execute(TREES).await;
        let proxy = Proxy::slow(database.address(), SLOW).await;
        let site = Site::reading(database.url_through(proxy.port()));
        let job = site.job("copied", &json!({"table": format!("public.{source}")}), &json!({}));
        let run = altered_when_planned(&database, &site, &job, "SELECT").await;
        let before = site.documents(&run, "snapshots").len();
        let mut nightly = database.connect().await;
        let lock = format!("BEGIN; LOCK TABLE {parent} IN ACCESS EXCLUSIVE MODE");
        execute(&mut nightly, &lock).await;
        let running = resume(&site, &job, &run);
        while site.documents(&run, "snapshots").len() == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        execute(&mut nightly, &format!("{change}; COMMIT")).await;
        let ended = running.ended().await;
        if refused {
            ended.refused(
                1,
                &["altered since the run was planned", "given to a parent or taken from it"],
            );
            assert!(!site.table("copied").exists(), "{source}, {change}: something became visible");
        } else {
            assert_eq!(ended.code, Some(0), "{source}, {change}: {ended}");
            assert!(ended.stdout.contains("100 rows"), "{source}, {change}: {ended}");
        }
    }
}
