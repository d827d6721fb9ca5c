use sluice_contracts::Kind;
use sluice_contracts::documents::SnapshotPlan;

use super::*;

const TABLE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 50000)
    INSERT INTO t SELECT i, printf('%0100d', i) FROM n;";

async fn pin(database: &Database) -> String {
    let mut survey = database.source().survey("test").await.unwrap();
    match survey.snapshot().await.unwrap() {
        SnapshotPlan::Pinned { value } => value,
        other => panic!("{other:?}"),
    }
}

async fn join(database: &Database, pinned: &str) -> Result<Box<dyn Reader>> {
    Ok(database.source().reader("test", Join::Pinned(pinned)).await?.unwrap())
}

#[tokio::test]
async fn a_state_that_the_plan_pinned_can_be_joined_until_a_write() {
    for mode in ["DELETE", "WAL"] {
        let database = Database::new(&format!("PRAGMA journal_mode = {mode}; {TABLE}"));
        let pinned = pin(&database).await;
        // A run that an older planner planned hands the same state on from reader to reader.
        assert_eq!(database.reader().await.export().await.unwrap(), pinned, "{mode}");
        join(&database, &pinned).await.unwrap().confirm().await.unwrap();
        for write in ["UPDATE t SET v = '' WHERE id = 7", "DELETE FROM t WHERE id = 8"] {
            let pinned = pin(&database).await;
            database.connection.execute_batch(write).unwrap();
            let error = join(&database, &pinned).await.map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), Kind::Data, "{mode}");
            assert!(error.to_string().ends_with("the database changed since the run was planned"));
        }
    }
}

#[tokio::test]
async fn a_log_that_is_only_copied_into_the_file_changes_nothing() {
    let database = Database::new(&format!("PRAGMA journal_mode = WAL; {TABLE}"));
    let pinned = pin(&database).await;
    assert!(pinned.starts_with("wal-"));
    database.connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)").unwrap();
    assert!(join(&database, &pinned).await.is_ok());
}

#[tokio::test]
async fn a_log_moves_on_but_what_a_reader_sees_does_not() {
    let database = Database::new(&format!("PRAGMA journal_mode = WAL; {TABLE}"));
    let table = planned(&job("t"), database.describe(&job("t")).await.unwrap());
    let mut reader = database.reader().await;
    database.connection.execute_batch("DELETE FROM t WHERE id > 10").unwrap();
    let unit = unit(Cut::Full);
    let mut batches = reader.read(&table, &unit).await.unwrap();
    assert_eq!(rows(&drain(&mut *batches).await.unwrap()), 50_000);
    drop(batches);
    assert_eq!(reader.confirm().await.unwrap_err().kind(), Kind::Data);
    let mut alone = database.source().reader("test", Join::Independent).await.unwrap().unwrap();
    let mut batches = alone.read(&table, &unit).await.unwrap();
    assert_eq!(rows(&drain(&mut *batches).await.unwrap()), 10);
    drop(batches);
    alone.confirm().await.unwrap();
}

#[tokio::test]
async fn looking_at_the_file_does_not_drop_the_locks_on_it() {
    let database = Database::new(TABLE);
    let reader = database.reader().await;
    let pinned = pin(&database).await;
    join(&database, &pinned).await.unwrap().confirm().await.unwrap();
    database.connection.busy_timeout(std::time::Duration::ZERO).unwrap();
    let write = "DELETE FROM t";
    assert!(database.connection.execute_batch(write).is_err(), "a reader still reads");
    drop(reader);
    database.connection.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    database.connection.execute_batch(write).unwrap();
}

#[tokio::test]
async fn a_locked_database_is_worth_another_attempt() {
    let database = Database::new(TABLE);
    database.connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = database.source().reader("test", Join::New).await.map(|_| ()).unwrap_err();
    assert!(error.is_transient(), "{}", message(&error));
}

#[tokio::test]
async fn an_altered_table_is_refused_with_what_changed() {
    let database = Database::new("CREATE TABLE t (a INT, b TEXT); CREATE TABLE other (x INT)");
    let table = planned(&job("t"), database.describe(&job("t")).await.unwrap());
    let altered = async |sql: &str| {
        database.connection.execute_batch(sql).unwrap();
        let checked = database.reader().await.check(&table).await;
        checked.map_err(|error| (error.kind(), error.to_string()))
    };
    assert_eq!(altered("DROP TABLE other; CREATE INDEX i ON t (a)").await, Ok(()));
    let (kind, text) = altered("ALTER TABLE t ADD COLUMN c INT").await.unwrap_err();
    assert_eq!(kind, Kind::Data);
    assert!(text.ends_with("planned: column `c` is new"), "{text}");
    let (_, text) = altered("ALTER TABLE t DROP COLUMN b").await.unwrap_err();
    assert!(text.ends_with("column `b` is gone, column `c` is new"), "{text}");
    let (_, text) = altered("DROP TABLE t; CREATE TABLE t (b TEXT, a INT)").await.unwrap_err();
    assert!(text.ends_with("another order"), "{text}");
    let (_, text) = altered("DROP TABLE t; CREATE TABLE t (a BIGINT, b TEXT)").await.unwrap_err();
    assert!(text.ends_with("column `a` was `INT`, is `BIGINT`"), "{text}");
    let (kind, text) = altered("DROP TABLE t").await.unwrap_err();
    assert_eq!(
        (kind, text.as_str()),
        (Kind::Data, "check `t`: it is gone since the run was planned")
    );
}

#[tokio::test]
async fn a_unit_that_is_given_up_lets_the_next_one_be_read() {
    let database = Database::new(TABLE);
    let table = planned(&job("t"), database.describe(&job("t")).await.unwrap());
    let mut reader = database.reader().await;
    let unit = unit(Cut::Full);
    let mut batches = reader.read(&table, &unit).await.unwrap();
    assert!(batches.next().await.unwrap().unwrap().num_rows() <= 16_384);
    drop(batches);
    let mut batches = reader.read(&table, &unit).await.unwrap();
    let all = drain(&mut *batches).await.unwrap();
    assert_eq!((rows(&all), all.len() > 2), (50_000, true));
    assert_eq!(batches.bytes(), 50_000 * 108);
    // A search that SQLite would continue without end ends as well.
    drop(batches);
    let endless =
        query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n");
    let endless = with(endless, "i", serde_json::json!({"type": "INT64"}));
    let endless = TableJob { filter: Some("i < 0".into()), ..endless };
    let table = planned(&endless, database.describe(&endless).await.unwrap());
    drop(reader.read(&table, &unit).await.unwrap());
    reader.confirm().await.unwrap();
}

#[tokio::test]
async fn empty_and_narrow_tables_have_batches_too() {
    let database = Database::new("CREATE TABLE t (a INT)");
    let (batches, invalid) = database.read(&job("t"), Cut::Full).await.unwrap();
    assert_eq!((rows(&batches), invalid), (0, vec![0]));
}
