//! A table as it is before a load.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sluice_contracts::documents::{
    Column, Dedup, NewTable, SchemaChanges, Table, TargetType, bigquery_field,
};
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::{Error, Result};
use sluice_runtime::format::thousands;

use super::claim;
use super::dedup;
use super::layout;
use super::merge;
use super::partitions::Partitions;
use super::schema::{
    self, Difference, SchemaMatch, compare, differences, find, require_names, same, subfields, text,
};
use crate::target::Load;
use sluice_runtime::google::bigquery::{BigQueryClient, TableId};

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
    /// The table that a run is loaded into, if its rows may be written to it; `None` if a load will
    /// create it.
    ///
    /// # Errors
    /// Everything that a load would fail by, or that the job does not allow, at once; or that there
    /// is no such dataset.
    pub(super) async fn admitting(
        client: &BigQueryClient,
        id: &TableId,
        wanted: &Wanted<'_>,
    ) -> Result<Option<Self>> {
        let Wanted { disposition, columns, new_table, .. } = *wanted;
        let mut refusals: Vec<Error> = Vec::new();
        refusals.extend(require_loadable(columns).err());
        refusals.extend(require_names(columns).err());
        refusals.extend(layout::refusals(new_table, columns));
        let found = Self::find(client, id).await?;
        let table = found.as_ref().filter(|table| table.require_table().is_ok());
        refusals.extend(merge::refusals(wanted, table));
        refusals.extend(dedup::refusals(wanted, table));
        match &found {
            None => drop(client.location(id).await?),
            Some(table) => match table.require_table() {
                Err(error) => refusals.push(error),
                Ok(()) => {
                    if disposition == WriteDisposition::Empty {
                        refusals.extend(table.require_empty().err());
                    }
                    refusals.extend(table.require_columns(wanted).err());
                    refusals.extend(layout::require_same(&table.table, new_table, id).err());
                }
            },
        }
        let all = |count: usize| format!("the table and the job do not fit, for {count} reasons");
        Error::all(refusals.into_iter().map(Err::<(), _>), all)?;
        Ok(found)
    }

    /// The table as it is now; `None` if it does not exist.
    pub(super) async fn find(client: &BigQueryClient, id: &TableId) -> Result<Option<Self>> {
        Ok(client.table(id).await?.map(|table| Self { id: id.clone(), table }))
    }

    /// Its rows, without those that are still being streamed in.
    pub(super) fn rows(&self) -> u64 {
        text(&self.table, "numRows").parse().unwrap_or_default()
    }

    /// Bytes of its rows.
    pub(super) fn bytes(&self) -> u64 {
        text(&self.table, "numBytes").parse().unwrap_or_default()
    }

    /// Whether it has a column of this name. A table without columns takes those of the first load.
    pub(super) fn has_column(&self, name: &str) -> bool {
        self.fields().is_empty() || find(self.fields(), name).is_some()
    }

    /// Whether its columns are these, in this order.
    pub(super) fn has_exactly(&self, columns: &[Column]) -> bool {
        let names = self.fields().iter().map(|field| text(field, "name").to_lowercase());
        names.eq(columns.iter().map(|column| column.name.to_lowercase()))
    }

    /// Its partitions; `None` if it is not partitioned.
    pub(super) fn partitions(&self) -> Option<Partitions> {
        Partitions::of(&self.table)
    }

    /// Whether a statement has to say which partitions it reads.
    pub(super) fn requires_filter(&self) -> bool {
        let requires = |value: &Value| value.get("requirePartitionFilter") == Some(&true.into());
        requires(&self.table) || self.table.get("timePartitioning").is_some_and(requires)
    }

    /// When it is deleted by itself.
    pub(super) fn expires(&self) -> Option<DateTime<Utc>> {
        let milliseconds = text(&self.table, "expirationTime").parse().ok()?;
        DateTime::from_timestamp_millis(milliseconds)
    }

    /// How often it was loaded today, as far as Sluice has counted.
    pub(super) fn loads_today(&self) -> u32 {
        claim::loads_today(&self.table)
    }

    /// Whether it has a label of this name.
    pub(super) fn has_label(&self, name: &str) -> bool {
        self.table.get("labels").is_some_and(|labels| labels.get(name).is_some())
    }

    /// The names of its labels.
    pub(super) fn labels(&self) -> Vec<String> {
        let labels = self.table.get("labels").and_then(Value::as_object);
        labels.into_iter().flat_map(Map::keys).cloned().collect()
    }

    /// A condition that holds for every row, where a query has to name partitions.
    pub(super) fn every_partition(&self) -> Option<String> {
        let partitions = self.partitions().filter(|_| self.requires_filter())?;
        Some(partitions.all())
    }

    /// How a job's columns compare with the table's.
    pub(super) fn compare(&self, columns: &[Column]) -> SchemaMatch {
        compare(self.fields(), columns)
    }

    /// The schema of a load of these columns. A column that the table has with the same type keeps
    /// its properties.
    pub(super) fn schema(&self, columns: &[Column]) -> Value {
        let fields = columns.iter().map(|column| {
            let theirs = find(self.fields(), &column.name).filter(|theirs| same(theirs, column));
            let mut field = new_field(column);
            if let Some(theirs) = theirs {
                field = bigquery_field(column);
                if let Some(fields) = theirs.get("fields") {
                    field["fields"] = fields.clone();
                }
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

    /// Its columns, as the API describes them.
    pub(super) fn fields(&self) -> &[Value] {
        self.table.get("schema").map(subfields).unwrap_or_default()
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
                "table has {} row{} but write disposition is `empty`",
                thousands(rows),
                if rows == 1 { "" } else { "s" }
            ))
            .hint("use `truncate` to replace them or `append` to keep them")),
        }
    }

    /// Refuses a table whose columns differ from the run's in a way that the job does not allow.
    fn require_columns(&self, wanted: &Wanted<'_>) -> Result<()> {
        // A table that was made without columns takes those of the first load.
        if self.fields().is_empty() {
            return Ok(());
        }
        let truncates = wanted.disposition == WriteDisposition::Truncate;
        let partitioned_by = layout::columns(&self.table);
        let refusals = differences(self.fields(), wanted.columns).into_iter().map(|difference| {
            // Whatever the job says: BigQuery does not replace a table by one with other
            // partitioning.
            if let Some(name) = partitioned_by.iter().find(|name| difference.changes(name)) {
                return Err(self.partitioned_by(name, &difference));
            }
            let allowed = match wanted.schema_changes {
                SchemaChanges::Refuse => false,
                SchemaChanges::Add => difference.new_column().is_some(),
                SchemaChanges::Replace => truncates,
            };
            if allowed { Ok(()) } else { Err(difference.refusal(&self.id, truncates)) }
        });
        let errors: Vec<Error> = refusals.filter_map(Result::err).collect();
        if errors.is_empty() {
            return Ok(());
        }
        Err(Error::several("the table's columns differ", errors))
    }

    /// Why a column that the table is partitioned or clustered by has to stay.
    fn partitioned_by(&self, name: &str, difference: &Difference) -> Error {
        let what = &difference.what;
        Error::data(format!("the table is partitioned or clustered by `{name}`, and {what}")).hint(
            format!(
                "`bq rm -t {}:{}.{}` deletes the table with its rows; the run makes it anew",
                self.id.project, self.id.dataset, self.id.table
            ),
        )
    }

    /// What a load does to the table, or what keeps it from what the job asks for, for the reader
    /// of a plan.
    pub(super) fn warnings(&self, wanted: &Wanted<'_>) -> Vec<String> {
        let mut warnings = schema::warnings(self.fields(), wanted.columns);
        match self.compare(wanted.columns) {
            SchemaMatch::Same => {}
            // A table without columns has no readers who could miss them.
            SchemaMatch::Wider(_) if self.fields().is_empty() => {}
            SchemaMatch::Wider(new) => {
                let names: Vec<String> = new
                    .iter()
                    .filter_map(|at| wanted.columns.get(*at))
                    .map(|column| format!("`{}`", column.name))
                    .collect();
                warnings.push(format!(
                    "the table is given {}: readers find NULL there until the load is done",
                    names.join(", ")
                ));
            }
            SchemaMatch::Different(difference) => warnings.push(format!(
                "the target's columns differ ({difference}): they are replaced too, and their \
                 default values, the table's constraints, and the descriptions and policies of \
                 columns that change are lost"
            )),
        }
        warnings.extend(layout::warnings(&self.table, wanted.new_table, &self.id));
        warnings.extend(merge::advice(wanted, self));
        warnings
    }
}

/// What a run wants of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) disposition: WriteDisposition,
    pub(super) key: &'a [String],
    pub(super) order_by: Option<&'a str>,
    pub(super) dedup: Option<&'a Dedup>,
    pub(super) schema_changes: SchemaChanges,
    pub(super) new_table: &'a NewTable,
    pub(super) columns: &'a [Column],
}

impl<'a> From<&'a Table> for Wanted<'a> {
    fn from(table: &'a Table) -> Self {
        Self {
            disposition: table.write.disposition,
            key: &table.write.key,
            order_by: table.write.order_by.as_deref(),
            dedup: table.write.dedup.as_ref(),
            schema_changes: table.write.schema_changes,
            new_table: &table.write.new_table,
            columns: &table.columns,
        }
    }
}

impl<'a> From<&'a Load> for Wanted<'a> {
    fn from(load: &'a Load) -> Self {
        Self {
            disposition: load.disposition,
            key: &load.key,
            order_by: load.order_by.as_deref(),
            dedup: load.dedup.as_ref(),
            schema_changes: load.schema_changes,
            new_table: &load.new_table,
            columns: &load.columns,
        }
    }
}

/// The field of a column that the table lacks.
fn new_field(column: &Column) -> Value {
    let mut field = bigquery_field(column);
    if let Some(description) = &column.description {
        field["description"] = description.as_str().into();
    }
    if column.target_type == TargetType::Struct {
        field["fields"] = column.fields.iter().map(new_field).collect();
    }
    field
}

/// The schema of a table that does not exist yet.
pub(super) fn new_schema(columns: &[Column]) -> Value {
    json!({"fields": columns.iter().map(new_field).collect::<Vec<Value>>()})
}

/// Refuses columns that no load can fill.
fn require_loadable(columns: &[Column]) -> Result<()> {
    if columns.is_empty() {
        return Err(Error::invalid("the table has no columns, and BigQuery has no such tables")
            .hint("leave the table out"));
    }
    Ok(())
}
