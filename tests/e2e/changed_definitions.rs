//! Views, columns and types that are defined anew while a run reads.

use serde_json::json;
use sluice_tests::oracle::{Expected, assert_same};
use sluice_tests::postgres::Database;
use sluice_tests::sluice::Site;

use crate::concurrent_changes::refused_when_changed;
use crate::shop;

/// Rows are those of the snapshot, but a query means by a name what it means now: the newest
/// definition of a view, and the newest column of that name.
#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_changes_after_the_snapshot_is_never_read_as_the_old_one() {
    const INNER: &str = "CREATE VIEW inner_view AS SELECT id, note, status FROM orders";
    let outer = format!("{INNER}; CREATE VIEW outer_view AS SELECT * FROM inner_view");
    let replaced = "CREATE OR REPLACE VIEW inner_view AS
        SELECT id, upper(note) AS note, status FROM orders WHERE id % 2 = 0";
    let exchanged = format!(
        "DROP VIEW inner_view CASCADE; {}; CREATE VIEW outer_view AS SELECT * FROM inner_view",
        INNER.replace("note,", "status AS note,")
    );
    let columns = |of: &str| {
        let rename = |one: &str, other: &str| format!("ALTER {of} RENAME {one} TO {other}");
        [rename("note", "other"), rename("status", "note"), rename("other", "status")].join("; ")
    };
    let again = "ALTER TABLE orders DROP note CASCADE; ALTER TABLE orders ADD note text";
    let table = json!({"table": "orders"});
    let view = json!({"table": "outer_view"});
    let query = json!({"query": "SELECT id, note FROM inner_view WHERE id > 0"});
    for (source, held, change) in [
        (&view, "inner_view", replaced),
        (&query, "inner_view", replaced),
        (&view, "outer_view", &*exchanged),
        (&query, "inner_view", &*columns("VIEW inner_view")),
        (&table, "orders", &*columns("TABLE orders")),
        (&table, "orders", again),
    ] {
        refused_when_changed(source, &outer, held, change).await;
    }
    // Types too: a value of an enum or a composite is what its type says now.
    let typed = "CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TYPE pair AS (a int, b int);
        CREATE TABLE typed AS SELECT id, 'sad'::mood AS mood, (1, 2)::pair AS pair,
            ARRAY['glad'::mood] AS moods FROM orders";
    for change in [
        "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'",
        "ALTER TYPE pair RENAME ATTRIBUTE a TO c",
        "ALTER TYPE pair ADD ATTRIBUTE c int",
    ] {
        refused_when_changed(&json!({"table": "typed"}), typed, "typed", change).await;
    }
    // A materialized view is a table in this: what it holds is replaced as a whole.
    let kept = "CREATE MATERIALIZED VIEW kept AS SELECT id, note FROM orders";
    let refresh = "UPDATE orders SET note = 'later'; REFRESH MATERIALIZED VIEW kept";
    for source in [json!({"table": "kept"}), json!({"query": "SELECT id FROM kept"})] {
        refused_when_changed(&source, kept, "kept", refresh).await;
    }
}

/// A change that was given up leaves its traces in the catalog.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_whose_change_was_rolled_back_is_read() {
    let Some(database) = Database::fresh().await else { return };
    shop::orders(&database, 1_000).await;
    let change = "CREATE OR REPLACE VIEW late AS SELECT id, upper(note) AS note FROM orders";
    database.execute("CREATE VIEW late AS SELECT id, note FROM orders").await;
    database.execute(&format!("BEGIN; {change}; ROLLBACK")).await;
    let site = Site::reading(database.url());
    site.run(&site.job("late", &json!({"table": "late"}), &json!({}))).await;
    assert_same(Expected::Table(&database, "late"), &site.table("late")).await;
}
