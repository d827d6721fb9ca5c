//! What reads the rows of a relation: the query that gives them.

use chrono::{DateTime, Utc};
use sluice_contracts::Result;
use sluice_contracts::documents::{Column, Relation, TargetType};
use sluice_runtime::google::bigquery::{BigQueryClient, TableId};

use super::address::Address;
use super::catalog::CatalogTable;
use super::dialect;
use super::tables::Tables;

/// The column that a query of a wildcard has besides those of the tables.
const SUFFIX: &str = "_table_suffix";

/// What is read, and at which moment.
#[derive(Debug)]
pub(super) struct Reading {
    /// The tables of a name; `None` for a query.
    pub(super) tables: Option<Tables>,
    /// The moment; `None` where BigQuery keeps no earlier state.
    pub(super) at: Option<DateTime<Utc>>,
    /// What a query reads from, in SQL.
    from: String,
    /// What a row has to meet.
    conditions: Vec<String>,
    /// Condition that holds for every row, where a query has to name partitions.
    pub(super) every: Option<String>,
}

impl Reading {
    /// How the rows of a relation are read that meet the filter.
    ///
    /// # Errors
    /// `NotFound` if it does not exist.
    pub(super) async fn of(
        client: &BigQueryClient,
        address: &Address,
        relation: &Relation,
        filter: Option<&str>,
        at: Option<DateTime<Utc>>,
    ) -> Result<Self> {
        let filter = filter.map(str::to_owned);
        if let Relation::Query(sql) = relation {
            let (from, conditions) = (format!("({sql}\n)"), filter.into_iter().collect());
            return Ok(Self { tables: None, at: None, from, conditions, every: None });
        }
        let tables = Tables::look_up(client, address, relation, at).await?;
        let names_suffix = filter.as_deref().is_some_and(|filter| {
            tables.wildcard.is_some() && filter.to_lowercase().contains(SUFFIX)
        });
        // BigQuery keeps what tables were, and nothing of what views were.
        let at = at.filter(|_| tables.are_tables() && !names_suffix);
        let newest = tables.newest();
        let from = match (&tables.wildcard, newest) {
            (Some(name), Some(newest)) if names_suffix => newest.id.beside(name.as_str()).quoted(),
            (Some(_), _) => union(&tables, at),
            (None, newest) => {
                newest.map(|table| dialect::relation(&table.id, at)).unwrap_or_default()
            }
        };
        // The tables of a wildcard have their own conditions.
        let every = match &tables.wildcard {
            Some(_) if !names_suffix => None,
            _ => newest.and_then(CatalogTable::every_partition),
        };
        let conditions = filter.into_iter().chain(every.clone()).collect();
        Ok(Self { tables: Some(tables), at, from, conditions, every })
    }

    /// The query that gives the columns.
    pub(super) fn statement(&self, columns: &[Column]) -> String {
        dialect::select(columns, dialect::expression, &self.from, &self.conditions)
    }

    /// The same without the job's filter.
    pub(super) fn unfiltered(&self, columns: &[Column]) -> String {
        let every: Vec<String> = self.every.iter().cloned().collect();
        dialect::select(columns, dialect::expression, &self.from, &every)
    }

    /// The query that gives the columns as part files have them: as texts, where they lie as texts
    /// there and BigQuery would send something else.
    pub(super) fn as_text(&self, columns: &[Column]) -> String {
        dialect::select(columns, dialect::text_expression, &self.from, &self.conditions)
    }

    /// The query that counts the rows.
    pub(super) fn count(&self) -> String {
        format!("SELECT CAST(COUNT(*) AS STRING) FROM {}", self.from)
    }

    /// The condition on the rows of a stored table, as a session takes it.
    pub(super) fn restriction(&self) -> Option<String> {
        let conditions: Vec<String> =
            self.conditions.iter().map(|condition| format!("({condition}\n)")).collect();
        (!conditions.is_empty()).then(|| conditions.join(" AND "))
    }

    /// The table, if it is a single one whose rows BigQuery stores.
    pub(super) fn stored(&self) -> Option<&TableId> {
        let tables = self.tables.as_ref()?;
        let is_stored = tables.wildcard.is_none() && tables.are_tables();
        tables.newest().filter(|_| is_stored).map(|table| &table.id)
    }
}

/// Whether columns are read as they lie: none becomes another type, and none is sent otherwise than
/// part files have it.
pub(super) fn is_plain(columns: &[Column]) -> bool {
    columns.iter().all(|column| !is_text_alone(column) && !dialect::is_cast(column))
}

/// A column that lies as a text in part files, inside of a structure that no expression makes a text of;
/// `None` if tasks can read all of them.
pub(super) fn unreadable(columns: &[Column]) -> Option<&Column> {
    let fields = |column: &&Column| column.target_type == TargetType::Struct;
    columns.iter().filter(fields).find(|column| holds_text_alone(&column.fields))
}

fn holds_text_alone(columns: &[Column]) -> bool {
    columns.iter().any(|column| is_text_alone(column) || holds_text_alone(&column.fields))
}

/// Whether values lie as texts in part files, and are sent as something else.
pub(super) fn is_text_alone(column: &Column) -> bool {
    column.target_type == TargetType::Interval || column.target_type.range_element().is_some()
}

/// The rows of all tables, with the columns of the newest.
fn union(tables: &Tables, at: Option<DateTime<Utc>>) -> String {
    let fields = tables.newest().map(CatalogTable::fields).unwrap_or_default();
    let selects: Vec<String> = tables
        .found
        .iter()
        .map(|table| {
            let every = table.every_partition();
            let from = dialect::relation(&table.id, at);
            dialect::aligned(fields, table.fields(), &from, every.as_deref())
        })
        .collect();
    format!("({})", selects.join(" UNION ALL "))
}
