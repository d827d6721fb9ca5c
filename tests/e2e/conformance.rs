//! The suites of the ports, run on the adapters that need a server.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use sluice_contracts::documents::Relation;
use sluice_contracts::store::Bucket;
use sluice_sources::conformance::{ROWS, SourceFixture};
use sluice_sources::{Source, conformance as source};
use sluice_targets::conformance::TargetFixture;
use sluice_targets::{BigQueryTarget, Target, conformance as target};
use sluice_tests::cloud::bigquery::Warehouse;
use sluice_tests::postgres::Database;

struct Postgres(Database, Arc<dyn Source>);

#[async_trait]
impl SourceFixture for Postgres {
    fn source(&self) -> Arc<dyn Source> {
        Arc::clone(&self.1)
    }

    fn relation(&self) -> Relation {
        Relation::table(Some("public"), "rows")
    }

    fn missing_relation(&self) -> Relation {
        Relation::table(Some("public"), "absent")
    }

    async fn insert(&self, id: i64) {
        self.0.execute(&format!("INSERT INTO rows VALUES ({id}, 'x')")).await;
    }

    async fn alter(&self) {
        self.0.execute("ALTER TABLE rows DROP COLUMN note").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_does_what_every_source_has_to() {
    let Some(database) = Database::fresh().await else { return };
    database
        .execute(&format!(
            "CREATE TABLE rows (id bigint PRIMARY KEY, note text);
             INSERT INTO rows SELECT i, CASE WHEN i % 7 = 0 THEN NULL ELSE 'x' END
             FROM generate_series(1, {ROWS}) i; ANALYZE rows"
        ))
        .await;
    let source = sluice_sources::open(&database.url(), &|_| None, None).expect("the URL is right");
    source::all(&Postgres(database, source)).await.expect("the suite ends");
}

struct Datasets(Warehouse, Arc<dyn Source>);

#[async_trait]
impl SourceFixture for Datasets {
    fn source(&self) -> Arc<dyn Source> {
        Arc::clone(&self.1)
    }

    fn relation(&self) -> Relation {
        Relation::table(None, "rows")
    }

    fn missing_relation(&self) -> Relation {
        Relation::table(None, "absent")
    }

    async fn insert(&self, id: i64) {
        self.0.query(&format!("INSERT INTO sales.rows VALUES ({id}, 'x')")).await;
    }

    async fn alter(&self) {
        self.0.query("ALTER TABLE sales.rows DROP COLUMN note").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bigquery_does_what_every_source_has_to() {
    let Some(warehouse) = Warehouse::start().await else { return };
    let rows = format!(
        "CREATE TABLE sales.rows AS SELECT i AS id, IF(MOD(i, 7) = 0, NULL, 'x') AS note \
         FROM UNNEST(GENERATE_ARRAY(1, {ROWS})) AS i"
    );
    warehouse.query(&rows).await;
    let source = sluice_sources::bigquery_at("bigquery://shop/sales", &warehouse.endpoints());
    let source = source.expect("the URL is right");
    let datasets = Datasets(warehouse, source);
    let suite = async {
        source::a_table_is_described(&datasets).await?;
        source::every_cut_covers_every_row_once(&datasets).await?;
        source::a_reader_recovers_from_a_unit_that_it_left(&datasets).await?;
        // The server gives a session the table as it is, whatever moment it asks for: what a session asks
        // for is tested where it is asked.
        source::an_altered_table_is_refused(&datasets).await
    };
    suite.await.expect("the suite ends");
}

struct BigQuery(Warehouse, BigQueryTarget);

#[async_trait]
impl TargetFixture for BigQuery {
    fn target(&self) -> &dyn Target {
        &self.1
    }

    fn bucket(&self) -> Bucket {
        self.0.bucket()
    }

    fn table(&self, name: &str) -> String {
        Warehouse::target(name)
    }

    async fn ids(&self, table: &str) -> Option<Vec<i64>> {
        let name = Path::new(table).file_name()?.to_str()?;
        if !self.0.tables().await.iter().any(|known| known == name) {
            return None;
        }
        let rows = self.0.query(&format!("SELECT id FROM `sales.{name}` ORDER BY id")).await;
        Some(rows.iter().map(|id| id.parse().expect("`id` is INT64")).collect())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bigquery_does_what_every_target_has_to() {
    let Some(warehouse) = Warehouse::start().await else { return };
    let target = warehouse.client().await;
    target::all(&BigQuery(warehouse, target)).await.expect("the suite ends");
}
