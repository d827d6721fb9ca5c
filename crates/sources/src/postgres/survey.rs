//! The planning side.

use async_trait::async_trait;
use sluice_contracts::documents::{Column, Cut, Relation, SnapshotPlan};
use sluice_contracts::job::{RowSecurity, TableJob, nearest_hint};
use sluice_contracts::{Error, Kind, Result};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::catalog::{self, CatalogEntry};
use super::columns::Attribute;
use super::connection::{
    STATEMENT_MINUTES, execute, failed, get, if_allowed, is_hidden, row_security, rows,
};
use super::partitions;
use super::type_table::{PgType, resolve};
use super::{dialect, distribution, listing, statistics_warnings};
use crate::naming;
use crate::place::Protection;
use crate::source::{Description, Distribution, Key, Listing, Piece, Survey};
use crate::sql::chosen;

/// A connection for planning.
pub(super) struct PgSurvey {
    connection: PgConnection,
    protection: Protection,
}

impl PgSurvey {
    /// `protection` is what the URL demands at least. Limits each of its statements: the server
    /// goes on with one whose client has given up.
    pub(super) async fn new(mut connection: PgConnection, protection: Protection) -> Result<Self> {
        let limit = format!("set statement_timeout to '{STATEMENT_MINUTES} min'");
        let what = || "limit the statements of planning".to_owned();
        execute(&mut connection, &limit, what).await?;
        Ok(Self { connection, protection })
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
        let what = || format!("describe table `{}`", table.relation);
        let set = row_security(table.row_security, false);
        execute(&mut self.connection, &set, what).await?;
        let found = catalog::find(&mut self.connection, &table.relation).await?;
        let columns = columns(table, &found)?;
        let pieces = partitions::find(&mut self.connection, table, &found, &columns).await;
        let pieces = pieces.map_err(|error| error.during(what()))?;
        let mut warnings = pieces.warnings;
        if let Some(oid) = found.oid {
            let tables: Vec<u32> = pieces.leaves.iter().copied().chain([oid]).collect();
            let connection = &mut self.connection;
            warnings.extend(
                statistics_warnings::warnings(connection, &table.relation, &tables, &columns)
                    .await?,
            );
        }
        if table.row_security == RowSecurity::Filter && self.hides_rows(table, &found).await? {
            warnings.push(format!(
                "row security hides rows of `{}` from this user: only those that its policies \
                 show are moved",
                table.relation
            ));
        }
        if matches!(found.kind, 'v' | 'q') {
            warnings.push(
                "a view or query is computed anew for every unit: one whose result changes from \
                 call to call (`random()`, `clock_timestamp()`) must be read as one unit; a table \
                 that a function reads inside may be emptied meanwhile without being noticed"
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

    async fn protection(&mut self) -> Result<Option<Protection>> {
        if self.protection > Protection::None {
            return Ok(Some(self.protection));
        }
        let what = || "find out whether the connection is encrypted".to_owned();
        let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
        let Some(found) = if_allowed(rows(&mut self.connection, sql, what).await)? else {
            return Ok(None);
        };
        let encrypted = found.first().map(|row| get::<bool>(row, 0)).transpose()?;
        Ok(encrypted.map(|yes| if yes { Protection::Encrypted } else { Protection::None }))
    }

    async fn snapshot(&mut self) -> Result<SnapshotPlan> {
        Ok(SnapshotPlan::Held)
    }

    fn predicate(&self, cut: &Cut) -> Result<String> {
        dialect::predicate(cut)
    }
}

impl PgSurvey {
    /// Whether policies hide rows of what a table job reads, or of what lies below it.
    async fn hides_rows(&mut self, table: &TableJob, found: &CatalogEntry) -> Result<bool> {
        let what = || format!("look for row security of `{}`", table.relation);
        let set = |asked| row_security(asked, false);
        execute(&mut self.connection, &set(RowSecurity::Refuse), what).await?;
        let from = found.alone(&table.relation);
        let sql = format!("explain {}", dialect::select("1", &from, table.filter.as_deref()));
        let plan = sqlx::query(AssertSqlSafe(sql)).persistent(false);
        let hidden = match plan.fetch_all(&mut self.connection).await {
            Ok(_) => false,
            Err(error) if is_hidden(&error) => true,
            Err(error) => return Err(failed(what(), error)),
        };
        execute(&mut self.connection, &set(table.row_security), what).await?;
        Ok(hidden)
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
    refuse_unreadable(table, &selected)?;
    let columns = selected
        .into_iter()
        .map(|attribute| column(attribute, table))
        .collect::<Result<Vec<_>>>()
        .map_err(during)?;
    naming::refuse_collisions(&columns).map_err(during)?;
    Ok(columns)
}

/// Refuses columns that this user may not read, all at once.
fn refuse_unreadable(table: &TableJob, selected: &[&Attribute]) -> Result<()> {
    let closed = selected.iter().filter(|attribute| !attribute.readable);
    let closed: Vec<String> = closed.map(|attribute| format!("`{}`", attribute.name)).collect();
    if closed.is_empty() {
        return Ok(());
    }
    let (relation, closed) = (&table.relation, closed.join(", "));
    Err(Error::new(
        Kind::Denied,
        format!("describe table `{relation}`: this user may not read column {closed}"),
    )
    .hint("name the columns to read in the job, or grant SELECT on these to this user"))
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

/// The shape that a planned table has now, as this connection's transaction sees it, and the number
/// of its leaves if it is the root of a tree of tables.
///
/// # Errors
/// `Data` where a column that was planned is gone or has another type, naming it.
pub(super) async fn shape_now(
    connection: &mut PgConnection,
    relation: &Relation,
    planned: &[Column],
) -> Result<(String, Option<usize>)> {
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
    let is_tree = found.kind == 'p' || leaves.iter().any(|leaf| Some(*leaf) != found.oid);
    Ok((shape(&found, planned, &leaves), is_tree.then_some(leaves.len())))
}
