//! Tables of which a standby has no rows.

use super::driver::Connection;
use sluice_contracts::documents::Relation;
use sluice_contracts::{Error, Kind, Result};

use super::connection::{attempt, execute, get, rows};
use super::dialect;

/// Why a standby does not read an unlogged table.
pub(super) const REASON: &str = "it is unlogged: a standby has no rows of it";
/// The remedy.
pub(super) const HINT: &str = "read the primary, or run `ALTER TABLE ... SET LOGGED` there";

/// Refuses what reads an unlogged table, or a partition that is one, if this server is a standby.
/// The server would refuse it too, without a name, when it plans the query.
///
/// <https://www.postgresql.org/docs/current/sql-createtable.html#SQL-CREATETABLE-UNLOGGED>
pub(super) async fn refuse(
    connection: &mut Connection,
    relation: &Relation,
    filter: Option<&str>,
) -> Result<()> {
    let what = || format!("look for unlogged tables of `{relation}`");
    let standby = rows(connection, "select pg_is_in_recovery()", what).await?;
    if !standby.first().map(|row| get(row, 0)).transpose()?.unwrap_or(false) {
        return Ok(());
    }
    execute(connection, "savepoint unlogged", what).await?;
    // To prepare a query is to read it without planning it, so the server locks what it names.
    let query = dialect::select("1", &dialect::relation(relation), filter);
    let prepare = format!("prepare _sluice_unlogged as {query}; deallocate _sluice_unlogged");
    let found = match attempt(connection, &prepare).await {
        Ok(_) => rows(connection, LOCKED, what).await?,
        // What describes the relation says better what is wrong with it.
        Err(_) => Vec::new(),
    };
    execute(connection, "rollback to savepoint unlogged; release savepoint unlogged", what).await?;
    let Some(row) = found.first() else { return Ok(()) };
    let name: String = get(row, 0)?;
    Err(Error::new(Kind::Denied, format!("describe table `{relation}`"))
        .because(format!("`{name}`: {REASON}"))
        .hint(HINT))
}

const LOCKED: &str = "\
    with recursive tree(oid) as (\
      select relation from pg_locks where pid = pg_backend_pid() and locktype = 'relation' \
        and granted \
      union select i.inhrelid from tree t join pg_inherits i on i.inhparent = t.oid) \
    select c.oid::regclass::text from tree t join pg_class c on c.oid = t.oid \
    where c.relpersistence = 'u' and c.relkind = 'r' order by 1 limit 1";
