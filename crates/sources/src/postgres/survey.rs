//! The planning side.

use async_trait::async_trait;
use sluice_contracts::documents::{Column, Cut, Relation, SnapshotPlan};
use sluice_contracts::job::{TableJob, nearest_hint};
use sluice_contracts::{Error, Result};
use sqlx::postgres::PgConnection;

use super::catalog::{self, CatalogEntry};
use super::columns::Attribute;
use super::partitions;
use super::type_table::{PgType, resolve};
use super::{dialect, distribution, listing, statistics_warnings};
use crate::naming;
use crate::source::{Description, Distribution, Key, Listing, Piece, Survey};
use crate::sql::chosen;

/// A connection for planning.
pub(super) struct PgSurvey {
    connection: PgConnection,
}

impl PgSurvey {
    pub(super) fn new(connection: PgConnection) -> Self {
        Self { connection }
    }
}

#[async_trait]
impl Survey for PgSurvey {
    async fn tables(&mut self) -> Result<Listing> {
        listing::list(&mut self.connection).await
    }

    async fn connections(&mut self) -> Result<Option<u32>> {
        listing::connections(&mut self.connection).await
    }

    async fn describe(&mut self, table: &TableJob) -> Result<Description> {
        let found = catalog::find(&mut self.connection, &table.relation).await?;
        let columns = columns(table, &found)?;
        let pieces = partitions::find(&mut self.connection, table, &found).await?;
        let mut warnings = pieces.warnings;
        if let Some(oid) = found.oid {
            let tables: Vec<u32> = pieces.leaves.iter().copied().chain([oid]).collect();
            let connection = &mut self.connection;
            warnings.extend(
                statistics_warnings::warnings(connection, &table.relation, &tables, &columns)
                    .await?,
            );
        }
        if matches!(found.kind, 'v' | 'q') {
            warnings.push(
                "a view or query is computed anew for every unit: one whose result changes from \
                 call to call (`random()`, `clock_timestamp()`) must be read as one unit"
                    .to_owned(),
            );
        }
        Ok(Description {
            shape: shape(&found, &columns, &pieces.leaves),
            keys: found.keys(),
            identity: found.primary.clone(),
            columns,
            pieces: pieces.all,
            warnings,
        })
    }

    async fn distribution(
        &mut self,
        table: &TableJob,
        piece: &Piece,
        key: &Key,
    ) -> Result<Option<Distribution>> {
        distribution::find(&mut self.connection, table, piece, key).await
    }

    async fn snapshot(&mut self) -> Result<SnapshotPlan> {
        Ok(SnapshotPlan::Held)
    }

    fn predicate(&self, cut: &Cut) -> Result<String> {
        dialect::predicate(cut)
    }
}

/// The columns that the job asks for, with what they become.
fn columns(table: &TableJob, found: &CatalogEntry) -> Result<Vec<Column>> {
    let during = |error: Error| error.during(format!("describe table `{}`", table.relation));
    let names: Vec<String> = found.attributes.iter().map(|a| a.name.clone()).collect();
    let absent = |name: &str| {
        Error::not_found(format!(
            "describe table `{}`: there is no column `{name}`",
            table.relation
        ))
        .hint(nearest_hint(name, &names))
    };
    let find = |name: &str| {
        let attribute = found.attributes.iter().find(|attribute| attribute.name == name);
        attribute.ok_or_else(|| absent(name))
    };
    table.partitioning.column.as_deref().map(find).transpose()?;
    let selected = chosen(table, &found.attributes, find)?;
    let columns = selected
        .into_iter()
        .map(|attribute| column(attribute, table))
        .collect::<Result<Vec<_>>>()
        .map_err(during)?;
    naming::refuse_collisions(&columns).map_err(during)?;
    Ok(columns)
}

fn column(attribute: &Attribute, table: &TableJob) -> Result<Column> {
    let wanted = table.columns.get(&attribute.name);
    let pg = PgType {
        display: &attribute.display,
        base: &attribute.base,
        extension: &attribute.extension,
        typtype: attribute.typtype,
        typmod: attribute.typmod,
        arrays: attribute.arrays,
        inexact: attribute.inexact.as_deref(),
        has_arrays: attribute.has_arrays,
    };
    let resolved = resolve(&attribute.name, &pg, wanted)?;
    Ok(Column {
        name: naming::target_name(&attribute.name, wanted.and_then(|w| w.name.as_deref()))?,
        source_name: attribute.name.clone(),
        source_type: attribute.display.clone(),
        encoding: resolved.encoding,
        target_type: resolved.target_type,
        repeated: resolved.repeated,
        decimal: resolved.decimal,
        fields: Vec::new(),
        on_invalid: wanted.and_then(|wanted| wanted.on_invalid).unwrap_or_default(),
        invalid: resolved.invalid,
    })
}

/// What must be the same when the table is read: the columns that are read, by name and type, and
/// the leaves.
fn shape(found: &CatalogEntry, columns: &[Column], leaves: &[u32]) -> String {
    let columns: Vec<String> = columns
        .iter()
        .map(|column| {
            format!("{} {}", dialect::identifier(&column.source_name), column.source_type)
        })
        .collect();
    let mut leaves = leaves.to_vec();
    leaves.sort_unstable();
    let leaves: Vec<String> = leaves.iter().map(u32::to_string).collect();
    format!("{} ({}) of {}", found.kind, columns.join(", "), leaves.join(" "))
}

/// The shape that a planned table has now, as this connection's transaction sees it.
///
/// # Errors
/// `Data` where a column that was planned is gone or has another type, naming it.
pub(super) async fn shape_now(
    connection: &mut PgConnection,
    relation: &Relation,
    planned: &[Column],
) -> Result<String> {
    let found = catalog::find(connection, relation).await?;
    for column in planned {
        let attribute = found
            .attributes
            .iter()
            .find(|a| a.name == column.source_name)
            .ok_or_else(|| Error::data(format!("column `{}` is gone", column.source_name)))?;
        if attribute.display != column.source_type {
            return Err(Error::data(format!(
                "column `{}` was `{}` and is `{}`",
                column.source_name, column.source_type, attribute.display
            )));
        }
    }
    let leaves = match found.oid.filter(|_| "rpmf".contains(found.kind)) {
        Some(oid) => partitions::leaf_oids(connection, oid).await?,
        None => Vec::new(),
    };
    Ok(shape(&found, planned, &leaves))
}
