//! A table as it is before a load.

use serde_json::{Map, Value, json};
use sluice_contracts::documents::{Column, TargetType};
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::{Error, Result};
use sluice_runtime::format::thousands;

use super::address::TableId;
use super::claim;
use super::client::Client;
use super::schema::{SchemaMatch, compare, find, job_column, same, text};

/// The properties of an existing column that go into a load's schema.
const KEPT_OF_A_COLUMN: [&str; 6] =
    ["description", "policyTags", "precision", "scale", "maxLength", "roundingMode"];

/// The properties of a table that decide where its rows lie. A table that is replaced keeps them,
/// and a table that is copied over it has to have the same ones.
const LAYOUT: [&str; 3] = ["timePartitioning", "rangePartitioning", "clustering"];

/// A table as BigQuery describes it.
/// <https://cloud.google.com/bigquery/docs/reference/rest/v2/tables#Table>
#[derive(Debug, Clone)]
pub(super) struct ExistingTable {
    id: TableId,
    table: Value,
}

impl ExistingTable {
    /// The table that `target` names, if rows of these columns may be written to it; `None` if a
    /// load will create it.
    ///
    /// # Errors
    /// If a load with this write disposition would fail, or if there is no such dataset.
    pub(super) async fn admitting(
        client: &Client,
        id: &TableId,
        disposition: WriteDisposition,
        columns: &[Column],
    ) -> Result<Option<Self>> {
        require_loadable(columns)?;
        let Some(table) = Self::find(client, id).await? else {
            client.location(id).await?;
            return Ok(None);
        };
        table.require_table()?;
        match disposition {
            WriteDisposition::Truncate => table.require_partitioning(columns)?,
            WriteDisposition::Append => table.require_columns(columns)?,
            WriteDisposition::Empty => {
                table.require_empty()?;
                table.require_columns(columns)?;
            }
        }
        Ok(Some(table))
    }

    /// The table as it is now; `None` if it does not exist.
    pub(super) async fn find(client: &Client, id: &TableId) -> Result<Option<Self>> {
        Ok(client.table(id).await?.map(|table| Self { id: id.clone(), table }))
    }

    /// Its rows, without those that are still being streamed in.
    pub(super) fn rows(&self) -> u64 {
        text(&self.table, "numRows").parse().unwrap_or_default()
    }

    /// When it is deleted by itself, in milliseconds since 1970.
    pub(super) fn expiration(&self) -> Option<&str> {
        self.table.get("expirationTime").and_then(Value::as_str)
    }

    /// How often it was loaded today, as far as Sluice has counted.
    pub(super) fn loads_today(&self) -> u32 {
        claim::loads_today(&self.table)
    }

    /// How a job's columns compare with the table's.
    pub(super) fn compare(&self, columns: &[Column]) -> SchemaMatch {
        compare(self.fields(), columns)
    }

    /// The schema of a load of these columns. A column that the table has with the same type keeps
    /// its properties.
    pub(super) fn schema(&self, columns: &[Column]) -> Value {
        let fields = columns.iter().map(|column| {
            let mut field = new_field(column);
            if let Some(theirs) = find(self.fields(), &column.name)
                && same(theirs, column)
            {
                // A column that forbids NULL keeps forbidding it.
                if text(theirs, "mode") == "REQUIRED" {
                    field["mode"] = "REQUIRED".into();
                }
                for key in KEPT_OF_A_COLUMN {
                    if let Some(value) = theirs.get(key) {
                        field[key] = value.clone();
                    }
                }
            }
            field
        });
        json!({"fields": fields.collect::<Vec<Value>>()})
    }

    /// The table's own schema, unchanged, with these of a job's columns after it.
    pub(super) fn wider_schema(&self, columns: &[Column], new: &[usize]) -> Value {
        let new = new.iter().filter_map(|at| columns.get(*at)).map(new_field);
        let fields: Vec<Value> = self.fields().iter().cloned().chain(new).collect();
        json!({"fields": fields})
    }

    /// The properties that another table needs to have its rows where this one has them.
    pub(super) fn layout(&self) -> Map<String, Value> {
        self.kept(&LAYOUT)
    }

    /// The key that its rows are encrypted with, if it is the customer's own.
    pub(super) fn encryption(&self) -> Option<&Value> {
        self.table.get("encryptionConfiguration")
    }

    /// Primary and foreign keys.
    pub(super) fn constraints(&self) -> Map<String, Value> {
        self.kept(&["tableConstraints"])
    }

    fn kept(&self, keys: &[&str]) -> Map<String, Value> {
        let kept = |key: &&str| Some(((*key).to_owned(), self.table.get(*key)?.clone()));
        keys.iter().filter_map(kept).collect()
    }

    fn fields(&self) -> &[Value] {
        let fields = self.table.get("schema").and_then(|schema| schema.get("fields"));
        fields.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    /// Refuses views and the like.
    pub(super) fn require_table(&self) -> Result<()> {
        match text(&self.table, "type") {
            "" | "TABLE" => Ok(()),
            kind => Err(Error::data(format!(
                "it is a {} and not a table",
                kind.to_lowercase().replace('_', " ")
            ))
            .hint("choose another `target.table`")),
        }
    }

    /// Refuses a table with rows.
    pub(super) fn require_empty(&self) -> Result<()> {
        match self.rows() {
            0 => Ok(()),
            rows => Err(Error::data(format!(
                "table has {} rows but write disposition is `empty`",
                thousands(rows)
            ))
            .hint("use `truncate` to replace them or `append` to keep them")),
        }
    }

    /// Refuses a table whose columns are not the job's.
    pub(super) fn require_columns(&self, columns: &[Column]) -> Result<()> {
        let difference = match self.compare(columns) {
            SchemaMatch::Same => return Ok(()),
            // A table that was made without columns takes those of the first load.
            SchemaMatch::Wider(_) if self.fields().is_empty() => return Ok(()),
            SchemaMatch::Wider(new) => {
                let first = new.first().and_then(|at| columns.get(*at)).map(job_column);
                format!("it lacks {}", first.unwrap_or_default())
            }
            SchemaMatch::Different(difference) => difference,
        };
        Err(Error::data(format!("the table's columns differ: {difference}")).hint(
            "use `truncate`, or a target of its own; `source.columns` and `columns` in the job \
             choose names and types",
        ))
    }

    /// Refuses columns that lack, or change, one that the table is partitioned or clustered by:
    /// BigQuery does not replace a table by one with other partitioning.
    pub(super) fn require_partitioning(&self, columns: &[Column]) -> Result<()> {
        let by = |key: &str| self.table.get(key).map(|spec| text(spec, "field"));
        let clustering = self.table.get("clustering").and_then(|spec| spec.get("fields"));
        let clustering = clustering.and_then(Value::as_array).into_iter().flatten();
        let names = [by("timePartitioning"), by("rangePartitioning")]
            .into_iter()
            .flatten()
            .chain(clustering.filter_map(Value::as_str))
            // Partitions by the time of loading have no column.
            .filter(|name| !name.is_empty());
        for name in names {
            let field = find(self.fields(), name);
            let kept = |column: &Column| {
                column.name.to_lowercase() == name.to_lowercase()
                    && field.is_none_or(|field| same(field, column))
            };
            if !columns.iter().any(kept) {
                return Err(Error::data(format!(
                    "the table is partitioned or clustered by `{name}`, and the job has no \
                     column of that name and type"
                ))
                .hint(format!(
                    "`bq rm -t {}:{}.{}` deletes the table with its rows; the run makes it anew",
                    self.id.project, self.id.dataset, self.id.table
                )));
            }
        }
        Ok(())
    }
}

/// The field of a column that the table lacks.
fn new_field(column: &Column) -> Value {
    json!({
        "name": column.name,
        "type": column.target_type.name(),
        "mode": if column.repeated { "REPEATED" } else { "NULLABLE" },
    })
}

/// The schema of a table that does not exist yet.
pub(super) fn new_schema(columns: &[Column]) -> Value {
    json!({"fields": columns.iter().map(new_field).collect::<Vec<Value>>()})
}

/// Refuses columns that a load from Parquet cannot fill.
/// <https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet#parquet_conversions>
fn require_loadable(columns: &[Column]) -> Result<()> {
    if columns.is_empty() {
        return Err(Error::invalid("the table has no columns, and BigQuery has no such tables")
            .hint("leave the table out"));
    }
    match columns.iter().find(|column| column.target_type == TargetType::Json) {
        Some(column) => Err(Error::invalid(format!(
            "column `{}` is JSON, which BigQuery does not load from Parquet",
            column.source_name
        ))
        .hint(format!("`columns.{}.type: STRING` loads the document as text", column.source_name))),
        None => Ok(()),
    }
}
