//! A shop whose orders are moved: a table of PostgreSQL, and a check that BigQuery has the same.

use serde_json::{Value, json};
use sluice_contracts::documents::{EventName, RunEvent};

use super::bigquery::Warehouse;
use super::world::{Setting, World};
use crate::postgres::Database;

/// Rows of the table that is moved.
pub const ROWS: i64 = 20_000;

/// A database with the table `orders`, and a world that reads it.
#[derive(Debug)]
pub struct Shop {
    /// The source database.
    pub database: Database,
    /// The programs and the services that they call.
    pub world: World,
}

impl Shop {
    /// Opens a shop with the usual setting. Reports a skip and returns `None` if a part is missing.
    pub async fn open() -> Option<Self> {
        Self::open_with(|setting| setting).await
    }

    /// Opens a shop with a setting that the caller changes.
    pub async fn open_with(change: impl FnOnce(Setting) -> Setting) -> Option<Self> {
        let database = Database::fresh().await?;
        Self::stock(&database).await;
        let world = World::start(change(Setting::reading(database.url()))).await?;
        Some(Self { database, world })
    }

    /// Makes the table in a database.
    pub async fn stock(database: &Database) {
        let rows = format!(
            "CREATE TABLE orders (id bigint PRIMARY KEY, customer text, total numeric(12, 2),
               placed timestamptz, paid boolean);
             INSERT INTO orders SELECT n, CASE WHEN n % 7 > 0 THEN 'kunde ' || n % 100 END, n * 0.25,
               timestamptz '2026-01-01 00:00:00+00' + n * interval '1 minute', n % 3 = 0
             FROM generate_series(1, {ROWS}) AS n;
             ANALYZE orders"
        );
        database.execute(&rows).await;
    }

    /// A request that moves the table with eight units on four tasks.
    pub fn request() -> Value {
        Self::request_with(&json!({}))
    }

    /// The same request with `more` merged into its job.
    pub fn request_with(more: &Value) -> Value {
        let cut = json!({
            "partitioning": {"strategy": "id_range", "target_rows": ROWS / 8},
            "limits": {"max_tasks": 4, "finish_within": "100ms"},
        });
        let mut job = World::job("orders", &cut);
        crate::sluice::merge(&mut job, more);
        json!({"job": job})
    }

    /// Fails unless the run has moved the table as it is now.
    pub async fn assert_moved(&self, event: &RunEvent) {
        assert_eq!(event.event, EventName::Finished, "{event:#?}\n{}", self.world.said());
        assert_eq!(event.rows, ROWS.unsigned_abs());
        self.assert_same().await;
    }

    /// Fails unless BigQuery has the same table as PostgreSQL has now.
    pub async fn assert_same(&self) {
        let found = Self::compare(&self.database, &self.world.warehouse, "orders").await;
        assert!(found.is_ok(), "{found:?}\n{}", self.world.said());
    }

    /// Compares the table with one of the dataset; an error has the facts of both.
    pub async fn compare(
        database: &Database,
        warehouse: &Warehouse,
        table: &str,
    ) -> Result<(), (String, Vec<String>)> {
        let theirs = format!("SELECT {} FROM orders", Self::facts(false));
        let expected = database.text(&theirs).await;
        let sql = format!("SELECT {} FROM `sales.{table}`", Self::facts(true));
        let found = warehouse.query(&sql).await;
        if found == [expected.as_str()] { Ok(()) } else { Err((expected, found)) }
    }

    /// An SQL expression of all that has to agree, in the dialect of BigQuery or PostgreSQL.
    pub fn facts(bigquery: bool) -> String {
        let (int, seconds) = if bigquery {
            ("INT64", ["UNIX_SECONDS(min(placed))", "UNIX_SECONDS(max(placed))"])
        } else {
            (
                "bigint",
                [
                    "extract(epoch FROM min(placed))::bigint",
                    "extract(epoch FROM max(placed))::bigint",
                ],
            )
        };
        let facts = [
            "count(*)".to_owned(),
            "count(DISTINCT id)".to_owned(),
            "count(customer)".to_owned(),
            "sum(id)".to_owned(),
            format!("sum(CAST(total * 100 AS {int}))"),
            seconds[0].to_owned(),
            seconds[1].to_owned(),
            "sum(CASE WHEN paid THEN 1 ELSE 0 END)".to_owned(),
        ];
        let texts = facts.map(|fact| {
            if bigquery {
                format!("CAST({fact} AS STRING)")
            } else {
                format!("CAST({fact} AS text)")
            }
        });
        format!("concat({})", texts.join(", ' ', "))
    }
}
