//! The planning side.

use std::sync::Arc;
use std::time::Duration;

use super::driver::{Connection, SslMode};
use async_trait::async_trait;
use sluice_contracts::documents::{Column, Cut, Relation, SnapshotPlan, TargetType};
use sluice_contracts::job::{RowSecurity, TableJob, nearest_hint};
use sluice_contracts::{Error, Kind, Result};

use super::Database;
use super::catalog::{self, CatalogEntry};
use super::columns::Attribute;
use super::comments::Comments;
use super::connection::{
    self, STATEMENT_MINUTES, attempt, execute, get, if_allowed, row_security, rows,
};
use super::partitions;
use super::rights;
use super::server_error::{failed, is_hidden};
use super::type_table::{PgType, resolve};
use super::{address, dialect, distribution, extras, listing};
use super::{pieces, replacements, statistics_warnings, unlogged};
use crate::description::{Description, Distribution, Key, Listing, NativeSource, Piece};
use crate::naming;
use crate::place::Protection;
use crate::source::Survey;
use crate::sql::{chosen, refuse_foreign};

/// How long a second connection is waited for that only tells whether there is a pooler.
const PATIENCE: Duration = Duration::from_secs(2);
/// What two connections mean that one process of the server serves.
const POOLED: &str = "a pooler of transactions, such as PgBouncer, is before the server: each task \
                      keeps one of its connections until the run ends, so the pool \
                      (`default_pool_size`) needs one for each task; `limits.max_connections` of \
                      the job limits them";

/// A connection for planning.
pub(super) struct PgSurvey {
    connection: Connection,
    database: Arc<Database>,
    application: String,
    /// Whether a pooler of transactions is between, once it was found out.
    pooled: Option<bool>,
}

impl PgSurvey {
    pub(super) fn new(
        connection: Connection,
        database: Arc<Database>,
        application: String,
    ) -> Self {
        Self { connection, database, application, pooled: None }
    }
}

#[async_trait]
impl Survey for PgSurvey {
    async fn tables(&mut self) -> Result<Listing> {
        let found = listing::list(self.begin().await?).await;
        self.end(found).await
    }

    async fn connections(&mut self) -> Result<Option<u32>> {
        let found = listing::connections(self.begin().await?).await;
        self.end(found).await
    }

    async fn describe(&mut self, table: &TableJob) -> Result<Description> {
        let found = describe(self.begin().await?, table).await;
        match self.end(found).await {
            Err(error) if error.kind() == Kind::Denied => {
                let error = rights::explained(self.begin().await?, &table.relation, error).await;
                self.end(Err(error)).await
            }
            found => found,
        }
    }

    async fn distribution(
        &mut self,
        table: &TableJob,
        piece: &Piece,
        key: &Key,
    ) -> Result<Option<Distribution>> {
        let connection = self.begin().await?;
        let set = row_security(table.row_security);
        execute(connection, &set, || "set up a transaction".to_owned()).await?;
        let found = distribution::find(connection, table, piece, key).await;
        self.end(found).await
    }

    async fn protection(&mut self) -> Result<Option<Protection>> {
        let demanded = address::protection(&self.database.options);
        let plain = self.database.options.ssl_mode == SslMode::Disable;
        if demanded > Protection::None || plain {
            return Ok(Some(demanded));
        }
        // Behind a pooler the server knows the pooler's connection and not this one.
        if self.is_pooled().await? {
            return Ok(None);
        }
        let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
        let what = || "find out whether the connection is encrypted".to_owned();
        let found = if_allowed(self.begin().await?, sql, what).await;
        let Some(found) = self.end(found).await? else { return Ok(None) };
        let encrypted = found.first().map(|row| get::<bool>(row, 0)).transpose()?;
        Ok(encrypted.map(|yes| if yes { Protection::Encrypted } else { Protection::None }))
    }

    async fn warnings(&mut self) -> Result<Vec<String>> {
        let closed = extras::left_out(self.begin().await?).await;
        let closed = self.end(closed).await?;
        let pooled = self.is_pooled().await?.then(|| POOLED.to_owned());
        Ok(pooled.into_iter().chain(closed).collect())
    }

    async fn snapshot(&mut self) -> Result<SnapshotPlan> {
        // A reader proves with these catalogs that nothing was replaced. Nothing is locked here, so
        // nothing is found, but a catalog that may not be read is refused before a task begins.
        let looked = replacements::find(self.begin().await?, true).await;
        self.end(looked).await.map(|_| SnapshotPlan::Held)
    }

    fn predicate(&self, cut: &Cut) -> Result<String> {
        dialect::predicate(cut)
    }
}

impl PgSurvey {
    /// Begins a transaction of its own for each question, so that none keeps the locks of another.
    /// Limits each of its statements: the server goes on with one whose client has given up.
    async fn begin(&mut self) -> Result<&mut Connection> {
        let connection = &mut self.connection;
        let begun = async {
            connection::begin_soon(connection, "read committed").await?;
            connection::settle(connection).await?;
            let limit = format!("set local statement_timeout to '{STATEMENT_MINUTES} min'");
            execute(connection, &limit, || "limit the statements of planning".to_owned()).await
        };
        // A pooler connects only now, and says then what it cannot connect to.
        begun.await.map_err(|error| self.database.secrets.redact(error))?;
        Ok(&mut self.connection)
    }

    /// Whether two connections meet one process of the server: a pooler is between, which gives its
    /// connections out by transactions.
    async fn is_pooled(&mut self) -> Result<bool> {
        if let Some(pooled) = self.pooled {
            return Ok(pooled);
        }
        let mine = backend(self.begin().await?).await;
        let mine = self.end(mine).await?;
        let pooled = match tokio::time::timeout(PATIENCE, self.backend_of_another()).await {
            Ok(Ok(theirs)) => mine == theirs,
            // There may be no second connection for this user.
            Ok(Err(error)) => {
                tracing::info!("not looking for a pooler: {}", error.chain());
                false
            }
            Err(_) => false,
        };
        self.pooled = Some(pooled);
        Ok(pooled)
    }

    /// The process of the server that another connection meets.
    async fn backend_of_another(&self) -> Result<i32> {
        let mut other = self.database.connect(&self.application).await?;
        let found = backend(&mut other).await;
        // So that it does not count among the connections of the tasks.
        if let Err(error) = other.close().await {
            tracing::debug!("could not close a connection: {error}");
        }
        found
    }

    async fn end<T>(&mut self, found: Result<T>) -> Result<T> {
        let what = || "end a transaction".to_owned();
        let ended = execute(&mut self.connection, "rollback", what).await;
        let found = found.map_err(|error| self.database.secrets.redact_cause(error))?;
        ended.map(|()| found)
    }
}

/// The process of the server that carries out the statements of a connection.
pub(super) async fn backend(connection: &mut Connection) -> Result<i32> {
    let what = || "look which process of the server answers".to_owned();
    let found = rows(connection, "select pg_backend_pid()", what).await?;
    get(found.first().ok_or_else(|| Error::bug(what()))?, 0)
}

async fn describe(connection: &mut Connection, table: &TableJob) -> Result<Description> {
    let what = || format!("describe table `{}`", table.relation);
    execute(connection, &row_security(table.row_security), what).await?;
    refuse_foreign(&table.relation)?;
    pieces::refuse(connection, &table.relation, table.filter.as_deref()).await?;
    unlogged::refuse(connection, &table.relation, table.filter.as_deref()).await?;
    let found = catalog::find(connection, &table.relation).await?;
    let mut columns = columns(table, &found)?;
    let comments = Comments::of(connection, found.oid).await?;
    comments.describe(&mut columns);
    let pieces = partitions::find(connection, table, &found, &columns).await;
    let pieces = pieces.map_err(|error| error.during(what()))?;
    let mut warnings = pieces.warnings;
    if let Some(oid) = found.oid {
        let tables: Vec<u32> = pieces.leaves.iter().copied().chain([oid]).collect();
        warnings.extend(
            statistics_warnings::warnings(connection, &table.relation, &tables, &columns).await?,
        );
    }
    if table.row_security == RowSecurity::Filter && hides_rows(connection, table, &found).await? {
        warnings.push(format!(
            "row security hides rows of `{}` from this user: only those that its policies show are \
             moved",
            table.relation
        ));
    }
    if matches!(found.kind, 'v' | 'q') {
        warnings.push(
            "a view or query is computed anew for every unit: one whose result changes from call \
             to call (`random()`, `clock_timestamp()`) must be read as one unit; a table that a \
             function reads inside may be emptied meanwhile without being noticed"
                .to_owned(),
        );
    }
    Ok(Description {
        shape: shape(&found, &columns, &pieces.leaves),
        keys: found.keys(),
        identity: found.primary.clone(),
        columns,
        pieces: pieces.all,
        relation: None,
        native: NativeSource::Absent,
        store: None,
        query: None,
        has_streams: false,
        dollars: 0.0,
        unreadable: None,
        comment: comments.table,
        warnings,
    })
}

/// Whether policies hide rows of what a table job reads, or of what lies below it.
async fn hides_rows(
    connection: &mut Connection,
    table: &TableJob,
    found: &CatalogEntry,
) -> Result<bool> {
    let what = || format!("look for row security of `{}`", table.relation);
    execute(connection, &row_security(RowSecurity::Refuse), what).await?;
    let from = found.alone(&table.relation);
    let sql = format!("explain {}", dialect::select("1", &from, table.filter.as_deref()));
    match attempt(connection, &sql).await {
        Ok(_) => Ok(false),
        Err(error) if is_hidden(&error) => Ok(true),
        Err(error) => Err(failed(what(), error)),
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
    let columns = selected.into_iter().map(|attribute| column(attribute, table, found.kind));
    let columns = Error::all(columns, naming::refused).map_err(during)?;
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

fn column(attribute: &Attribute, table: &TableJob, kind: char) -> Result<Column> {
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
    let described = wanted.and_then(|wanted| wanted.description.as_deref());
    Ok(Column {
        name: naming::target_name(&attribute.name, wanted.and_then(|w| w.name.as_deref()))?,
        source_name: attribute.name.clone(),
        source_type: attribute.display.clone(),
        encoding: resolved.encoding,
        target_type: resolved.target_type,
        repeated: resolved.repeated,
        decimal: resolved.decimal,
        fields: Vec::new(),
        // Views have no constraints, and those of a foreign table are not enforced.
        nullable: matches!(kind, 'r' | 'p').then_some(attribute.nullable),
        max_length: longest(&pg).filter(|_| resolved.target_type == TargetType::String),
        description: naming::description(described),
        on_invalid: wanted.and_then(|wanted| wanted.on_invalid).unwrap_or_default(),
        invalid: resolved.invalid,
    })
}

/// Most characters that a type holds, if it is limited.
fn longest(pg: &PgType<'_>) -> Option<u32> {
    match pg.base {
        "varchar" | "bpchar" if pg.extension.is_empty() => u32::try_from(pg.typmod - 4).ok(),
        "uuid" => Some(36),
        _ => None,
    }
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
    connection: &mut Connection,
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
