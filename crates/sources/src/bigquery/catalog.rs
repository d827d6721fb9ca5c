//! Tables as BigQuery describes them.

use serde_json::Value;
use sluice_contracts::{Error, Result};
use sluice_runtime::google::bigquery::{BigQueryClient, TableId};

/// A table, or anything else that a query can read by a name.
/// <https://cloud.google.com/bigquery/docs/reference/rest/v2/tables#Table>
#[derive(Debug, Clone)]
pub(super) struct CatalogTable {
    pub(super) id: TableId,
    table: Value,
}

impl CatalogTable {
    /// A table as BigQuery describes it.
    pub(super) fn new(id: TableId, table: Value) -> Self {
        Self { id, table }
    }

    /// Looks a table up.
    ///
    /// # Errors
    /// `NotFound` if there is no such table.
    pub(super) async fn look_up(client: &BigQueryClient, id: &TableId) -> Result<Self> {
        match client.table(id).await? {
            Some(table) => Ok(Self { id: id.clone(), table }),
            None => Err(Error::not_found(format!("describe table `{id}`: it does not exist"))
                .hint(format!("`bq ls {}` lists the tables of the dataset", id.dataset_name()))),
        }
    }

    /// What it is, in BigQuery's word.
    pub(super) fn kind(&self) -> &str {
        self.table["type"].as_str().unwrap_or("TABLE")
    }

    /// Whether BigQuery keeps what its rows were, and a copy has all of them.
    pub(super) fn is_table(&self) -> bool {
        self.kind() == "TABLE"
    }

    /// Its columns, as the API describes them.
    pub(super) fn fields(&self) -> &[Value] {
        self.table["schema"]["fields"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// Its rows, without those that are still being streamed in; `None` for views and the like.
    pub(super) fn rows(&self) -> Option<u64> {
        number(&self.table["numRows"])
    }

    /// Bytes of its rows.
    pub(super) fn bytes(&self) -> u64 {
        number(&self.table["numBytes"]).unwrap_or_default()
    }

    /// Where it lies: `US`, `europe-west3`, ...
    pub(super) fn location(&self) -> &str {
        self.table["location"].as_str().unwrap_or("US")
    }

    /// When it was made, in milliseconds since 1970.
    pub(super) fn created(&self) -> i64 {
        let created = number(&self.table["creationTime"]);
        created.and_then(|created| i64::try_from(created).ok()).unwrap_or_default()
    }

    /// What it is about.
    pub(super) fn comment(&self) -> Option<&str> {
        self.table["description"].as_str()
    }

    /// Whether rows are being streamed in, which no copy has.
    /// <https://cloud.google.com/bigquery/docs/managing-tables#limitations>
    pub(super) fn is_streamed_to(&self) -> bool {
        self.table["streamingBuffer"].is_object()
    }

    /// How it is partitioned and clustered.
    pub(super) fn layout(&self) -> [&Value; 3] {
        ["timePartitioning", "rangePartitioning", "clustering"].map(|key| &self.table[key])
    }

    /// Whether it is partitioned or clustered, so that a filter may spare bytes.
    pub(super) fn is_laid_out(&self) -> bool {
        self.layout().iter().any(|part| part.is_object())
    }

    /// A condition that holds for every row, where a query has to name partitions; `None` where it
    /// does not.
    /// <https://cloud.google.com/bigquery/docs/querying-partitioned-tables#require_a_partition_filter_in_queries>
    pub(super) fn every_partition(&self) -> Option<String> {
        let time = &self.table["timePartitioning"];
        let is_required = |value: &Value| value["requirePartitionFilter"] == true;
        if !is_required(&self.table) && !is_required(time) {
            return None;
        }
        if let Some(column) = self.table["rangePartitioning"]["field"].as_str() {
            return Some(format!("(`{column}` IS NULL OR `{column}` >= {})", i64::MIN));
        }
        let column = time["field"].as_str().unwrap_or("_PARTITIONTIME");
        let kind = self.fields().iter().find(|field| field["name"] == column);
        let kind = kind.and_then(|field| field["type"].as_str()).unwrap_or("TIMESTAMP");
        // A project may have another time zone than UTC by default.
        let least = match kind {
            "TIMESTAMP" => "0001-01-01 00:00:00+00",
            _ => "0001-01-01",
        };
        Some(format!("(`{column}` IS NULL OR `{column}` >= {kind} '{least}')"))
    }

    /// The columns of its primary key; empty if it declares none.
    /// <https://cloud.google.com/bigquery/docs/primary-foreign-keys>
    pub(super) fn primary_key(&self) -> Vec<String> {
        let key = self.table["tableConstraints"]["primaryKey"]["columns"].as_array();
        let names = key.into_iter().flatten().filter_map(Value::as_str);
        names.map(str::to_owned).collect()
    }

    /// The columns whose values policies may hide or mask from some readers.
    pub(super) fn tagged_columns(&self) -> Vec<&str> {
        let tagged = |field: &&Value| {
            let tags = field["policyTags"]["names"].as_array();
            let masked = field["dataPolicies"].as_array();
            [tags, masked].into_iter().flatten().any(|list| !list.is_empty())
        };
        self.fields().iter().filter(tagged).filter_map(|field| field["name"].as_str()).collect()
    }
}

/// The API writes numbers of 64 bits as text.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
