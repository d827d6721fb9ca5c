//! Which tables a name means.

use chrono::{DateTime, Utc};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::Value;
use sluice_contracts::documents::Relation;
use sluice_contracts::{Error, Result};
use sluice_runtime::google::bigquery::{BigQueryClient, TableId};

use super::address::Address;
use super::catalog::CatalogTable;
use super::columns::{is_named, name_of, type_of};
use super::listing::is_own;

/// Tables that one query may read.
/// <https://cloud.google.com/bigquery/quotas#query_jobs>
const MOST_TABLES: usize = 1_000;
/// Tables that BigQuery is asked about at once.
const AT_ONCE: usize = 16;

/// What stands for the end of a name.
pub(super) const WILDCARD: char = '*';

/// The table of a name, or the tables that a wildcard matches.
#[derive(Debug)]
pub(super) struct Tables {
    /// Never empty; the newest first, whose columns are those of a wildcard.
    pub(super) found: Vec<CatalogTable>,
    /// The name as the job has it, if it ends with a wildcard.
    pub(super) wildcard: Option<String>,
    /// Names of views and the like that the wildcard matches, and that are not read.
    pub(super) passed_over: Vec<String>,
}

impl Tables {
    /// Looks them up.
    ///
    /// # Errors
    /// `NotFound` if no table matches; `Invalid` if the tables of a wildcard differ in their columns.
    pub(super) async fn look_up(
        client: &BigQueryClient,
        address: &Address,
        relation: &Relation,
        at: Option<DateTime<Utc>>,
    ) -> Result<Self> {
        let (dataset, name) = place(address, relation)?;
        let Some(prefix) = name.strip_suffix(WILDCARD) else {
            let id = table_id(address, dataset, name)?;
            let found = vec![CatalogTable::look_up(client, &id).await?];
            return Ok(Self { found, wildcard: None, passed_over: Vec::new() });
        };
        let listed = client.tables(&address.project, dataset).await?;
        let (matching, others): (Vec<_>, Vec<_>) = listed
            .into_iter()
            .filter(|table| table.name.starts_with(prefix) && !is_own(&table.name))
            .partition(|table| table.kind == "TABLE");
        let passed_over = others.into_iter().map(|table| table.name).collect();
        if matching.len() > MOST_TABLES {
            let what = format!("there are {}, and one query reads {MOST_TABLES}", matching.len());
            return Err(Error::invalid(format!("describe tables `{name}`: {what}"))
                .hint("write more of the name before the `*`"));
        }
        let ids: Vec<TableId> = matching
            .iter()
            .map(|table| table_id(address, dataset, &table.name))
            .collect::<Result<_>>()?;
        let asked: Vec<_> = ids.iter().map(|id| client.table(id)).collect();
        let asked: Vec<_> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
        // The plan covers the tables that existed at its snapshot: later ones are left out.
        let is_meant =
            |table: &CatalogTable| at.is_none_or(|at| table.created() <= at.timestamp_millis());
        let mut found: Vec<CatalogTable> = ids
            .into_iter()
            .zip(asked)
            .filter_map(|(id, table)| Some(CatalogTable::new(id, table?)))
            .filter(is_meant)
            .collect();
        if found.is_empty() {
            return Err(Error::not_found(format!("describe tables `{name}`: there are none"))
                .hint(format!("`bq ls {}:{dataset}` lists the tables", address.project)));
        }
        found.sort_by_key(|table| std::cmp::Reverse((table.created(), table.id.table.clone())));
        let this = Self { found, wildcard: Some(name.to_owned()), passed_over };
        this.require_same_types(name)?;
        Ok(this)
    }

    /// Whether BigQuery keeps what their rows were.
    pub(super) fn are_tables(&self) -> bool {
        self.found.iter().all(CatalogTable::is_table)
    }

    /// Names and types of the columns.
    pub(super) fn shape(&self) -> String {
        let fields = self.newest().map(CatalogTable::fields).unwrap_or_default();
        let columns: Vec<String> =
            fields.iter().map(|field| format!("{} {}", name_of(field), sql_type(field))).collect();
        columns.join(", ")
    }

    /// The newest table.
    pub(super) fn newest(&self) -> Option<&CatalogTable> {
        self.found.first()
    }

    /// Refuses tables of which a column has another type than in the newest.
    fn require_same_types(&self, name: &str) -> Result<()> {
        let Some((newest, older)) = self.found.split_first() else { return Ok(()) };
        for table in older {
            for field in newest.fields() {
                let own = table.fields().iter().find(|own| is_named(own, name_of(field)));
                let Some(own) = own.filter(|own| declared(own) != declared(field)) else {
                    continue;
                };
                return Err(Error::invalid(format!(
                    "describe tables `{name}`: `{}` is {} in `{}` and {} in `{}`",
                    name_of(field),
                    declared(own),
                    table.id.table,
                    declared(field),
                    newest.id.table,
                ))
                .hint("write more of the name before the `*`, or a `source.query` that casts it"));
            }
        }
        Ok(())
    }

    /// The columns of older tables that the newest lacks, which are not read, each with a table.
    pub(super) fn left_out(&self) -> Vec<(&str, &str)> {
        let Some((newest, older)) = self.found.split_first() else { return Vec::new() };
        let mut left_out: Vec<(&str, &str)> = Vec::new();
        for table in older {
            for own in table.fields() {
                let name = name_of(own);
                let is_known = newest.fields().iter().any(|field| is_named(field, name))
                    || left_out.iter().any(|(known, _)| *known == name);
                if !is_known {
                    left_out.push((name, &table.id.table));
                }
            }
        }
        left_out
    }

    /// Whether all of them have the columns of the newest, in its order.
    pub(super) fn are_alike(&self) -> bool {
        let columns = |table: &CatalogTable| -> Vec<(String, String, bool)> {
            let column = |field: &Value| {
                (name_of(field).to_lowercase(), declared(field), field["mode"] == "REQUIRED")
            };
            table.fields().iter().map(column).collect()
        };
        let Some(first) = self.newest() else { return false };
        let alike = |table: &CatalogTable| {
            columns(first) == columns(table) && first.layout() == table.layout()
        };
        self.found.iter().all(alike)
    }
}

/// The type of a field as SQL writes it.
pub(super) fn sql_type(field: &Value) -> String {
    let single = match type_of(field).as_str() {
        "STRUCT" => {
            let fields = field["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
            let fields: Vec<String> = fields
                .iter()
                .map(|field| format!("`{}` {}", name_of(field), sql_type(field)))
                .collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        kind => kind.to_owned(),
    };
    if field["mode"] == "REPEATED" { format!("ARRAY<{single}>") } else { single }
}

/// The type of a field with its digits or its length: in a table with fewer, BigQuery rounds.
fn declared(field: &Value) -> String {
    let limits = ["precision", "scale", "maxLength"].map(|key| &field[key]);
    let limits: Vec<&str> = limits.into_iter().filter_map(Value::as_str).collect();
    let fields = field["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
    let inside: Vec<String> =
        fields.iter().map(declared).filter(|kind| kind.contains('(')).collect();
    let kind = sql_type(field);
    match (limits.is_empty(), inside.is_empty()) {
        (true, true) => kind,
        (true, false) => format!("{kind} of {}", inside.join(", ")),
        (false, _) => format!("{kind}({})", limits.join(", ")),
    }
}

/// The dataset and the name of a table.
fn place<'a>(address: &'a Address, relation: &'a Relation) -> Result<(&'a str, &'a str)> {
    let refused = |what: &str, hint: &str| {
        Err(Error::invalid(format!("describe table `{relation}`: {what}")).hint(hint.to_owned()))
    };
    let Relation::Table { catalog: None, schema, name } = relation else {
        return refused("it is not a table of a dataset", "write `dataset.table`");
    };
    match (schema, &address.dataset) {
        (None, None) => refused(
            "its dataset is missing",
            "write `dataset.table`, or the dataset into the source's URL",
        ),
        (Some(typed), Some(dataset)) if typed != dataset => refused(
            "the source's URL names another dataset",
            "leave the dataset out of the table's name, or out of the URL",
        ),
        (Some(dataset), _) | (None, Some(dataset)) => Ok((dataset, name)),
    }
}

fn table_id(address: &Address, dataset: &str, name: &str) -> Result<TableId> {
    TableId::new(&address.project, dataset, name).map_err(|why| {
        Error::invalid(format!("describe table `{dataset}.{name}`: its {why}"))
            .hint("a `*` stands at the end of a name alone")
    })
}
