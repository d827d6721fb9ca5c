//! Connecting, and running statements.

use std::time::Duration;

use sluice_contracts::job::RowSecurity;
use sluice_contracts::{Error, Kind, Result};

use super::driver::{Connection, Failure, FromText, Options, Row};
use super::server_error::{POOL_HINT, failed, not_found};
use crate::source::NoConnectionLeft;

/// Longest wait for the server to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a statement of planning may take. It reads catalogs and statistics: after this time
/// something holds it up. A statement that reads rows takes as long as it takes.
pub(super) const STATEMENT_MINUTES: u32 = 1;

/// Settings that a user, a role or the server may have changed, and that would change the text of
/// values or end a long read. A lock is waited for at most half a minute, and less if the operator
/// has set less.
///
/// A database of encoding `SQL_ASCII` accepts any bytes as text and refuses to send bytes that are
/// not UTF-8 as UTF-8. So it is asked to send them as they are, and each value is checked here.
///
/// The server's own functions, operators and types come before any that a schema of the search path
/// may have under the same name. `lc_monetary` says how many digits money has, so the database's
/// setting, if there is one, overrides the role's: the role that reads is not the one that wrote.
/// `row_security` is set for each table, as the job asks. The server ends what it computes for a
/// program that is gone, where its system can tell: other systems than Linux may refuse the setting.
///
/// All of them end with the transaction: a pooler may lend the connection to another program then.
const SETTINGS: &str = "\
select pg_catalog.set_config('search_path', pg_catalog.rtrim(pg_catalog.concat(\
'pg_catalog, ', pg_catalog.current_setting('search_path')), ', '), true); \
select set_config('client_encoding', case current_setting('server_encoding') \
when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end, true); \
set local datestyle to 'ISO, YMD'; set local intervalstyle to 'iso_8601'; \
set local timezone to 'UTC'; set local extra_float_digits to 3; \
set local bytea_output to 'hex'; set local xmloption to 'content'; \
set local xmlbinary to 'base64'; set local quote_all_identifiers to off; \
set local idle_in_transaction_session_timeout to 0; \
select set_config(name, '0', true) from unnest(\
array['idle_session_timeout', 'transaction_timeout']) as name \
where current_setting(name, true) is not null; \
select set_config(name, '10s', true) from unnest(\
array['client_connection_check_interval']) as name \
where current_setting(name, true) is not null and version() like '%linux%'; \
select set_config('lock_timeout', least(nullif(milliseconds, 0), 30000)::text, true) from (select \
(extract(epoch from current_setting('lock_timeout')::interval) * 1000)::bigint as milliseconds) as set";

/// The digits of money, which the database says and a role may have changed. Catalogs say both, and
/// a provider may have closed those.
const MONEY: &str = "\
select set_config('lc_monetary', substr(entry, 13), true) \
from pg_db_role_setting join pg_database d on d.oid = setdatabase cross join unnest(setconfig) as entry \
where d.datname = current_database() and setrole = 0 and entry like 'lc_monetary=%' \
and exists (select from pg_settings where name = 'lc_monetary' and source like '%user')";

/// Opens a connection. `application` is what the server's operator sees in `pg_stat_activity`. `plans`
/// says that it is the first one to this address.
///
/// Between two transactions, each statement may meet another connection of the server, if a pooler
/// is between it and this program. So nothing stays prepared, and everything that depends on a
/// setting, on a lock or on what was read before is done in a transaction.
pub(super) async fn connect(
    mut options: Options,
    label: &str,
    application: &str,
    plans: bool,
) -> Result<Connection> {
    options.application = Some(application.to_owned());
    let what = || format!("connect to `{label}`");
    let is_socket = options.socket().is_some();
    match tokio::time::timeout(CONNECT_TIMEOUT, Connection::open(&options)).await {
        Ok(Err(error)) if plans => Err(not_found(what(), error, is_socket)),
        Ok(connected) => connected.map_err(|error| failed(what(), error)),
        Err(_) => {
            let seconds = CONNECT_TIMEOUT.as_secs();
            Err(Error::transient(format!("{}: no answer after {seconds} s", what()))
                .hint("this machine must reach that address; look at the network between them"))
        }
    }
}

/// Begins a transaction of `isolation` that reads, whose settings are not known yet. From its first
/// statement on, the time limit that a role or the server has set for statements does not count.
pub(super) async fn begin(connection: &mut Connection, isolation: &str) -> Result<()> {
    let sql = format!(
        "begin transaction isolation level {isolation} read only; set local statement_timeout to 0"
    );
    execute(connection, &sql, || "begin a transaction".to_owned()).await
}

/// The same, and waits for it no longer than for a connection: a pooler has the first statement of
/// each transaction wait until a connection of the server is free.
pub(super) async fn begin_soon(connection: &mut Connection, isolation: &str) -> Result<()> {
    let begun = tokio::time::timeout(CONNECT_TIMEOUT, begin(connection, isolation)).await;
    begun.unwrap_or_else(|_| {
        let said = format!("no answer after {} s", CONNECT_TIMEOUT.as_secs());
        let what = "begin a transaction".to_owned();
        Err(Error::transient(what).because(NoConnectionLeft(said)).hint(POOL_HINT))
    })
}

/// Makes the settings of the transaction known.
pub(super) async fn settle(connection: &mut Connection) -> Result<()> {
    let what = || "set up a transaction".to_owned();
    execute(connection, SETTINGS, what).await?;
    if_allowed(connection, MONEY, what).await.map(drop)
}

/// What a catalog says that serves extras only; `None` if this user may not read it.
pub(super) async fn if_allowed(
    connection: &mut Connection,
    sql: &str,
    what: impl FnOnce() -> String,
) -> Result<Option<Vec<Row>>> {
    match attempt(connection, sql).await.map_err(|error| failed(what(), error)) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == Kind::Denied => {
            tracing::info!("going on without a catalog: {}", error.chain());
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Runs a query whose failure does not end the transaction.
pub(super) async fn attempt(connection: &mut Connection, sql: &str) -> Result<Vec<Row>, Failure> {
    let sql = format!("savepoint attempt; {sql}; release savepoint attempt");
    let found = connection.query(&sql).await;
    if found.is_err() {
        let undo = "rollback to savepoint attempt; release savepoint attempt";
        if let Err(error) = connection.query(undo).await {
            // The first error is returned. It says so too, if the connection is lost.
            tracing::debug!("could not go back to a savepoint: {error}");
        }
    }
    found
}

/// Runs statements that return nothing.
pub(super) async fn execute(
    connection: &mut Connection,
    sql: &str,
    what: impl FnOnce() -> String,
) -> Result<()> {
    connection.query(sql).await.map(drop).map_err(|error| failed(what(), error))
}

/// Runs a query and holds all of its rows.
pub(super) async fn rows(
    connection: &mut Connection,
    sql: &str,
    what: impl FnOnce() -> String,
) -> Result<Vec<Row>> {
    connection.query(sql).await.map_err(|error| failed(what(), error))
}

/// A column of a row, by position.
pub(super) fn get<T: FromText>(row: &Row, at: usize) -> Result<T> {
    row.get(at).map_err(|error| failed("read the catalog".to_owned(), error))
}

/// A comment of a row, by position. Bytes that are not UTF-8 are replaced: it is for people.
pub(super) fn comment(row: &Row, at: usize) -> Result<Option<String>> {
    let bytes = row.bytes(at).map_err(|error| failed("read the catalog".to_owned(), error))?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
}

/// A name of a row, by position. A database of encoding `SQL_ASCII` accepts any bytes as a name:
/// those that are not UTF-8 are replaced in the error.
pub(super) fn name(row: &Row, at: usize) -> Result<Result<String, String>> {
    let during = |error| failed("read the catalog".to_owned(), error);
    let bytes = row.bytes(at).map_err(during)?.ok_or_else(|| during(Failure::Unexpected(at)))?;
    let name = String::from_utf8(bytes.to_vec());
    Ok(name.map_err(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// The same, for a caller that can do nothing without the name.
pub(super) fn text(row: &Row, at: usize) -> Result<String> {
    name(row, at)?.map_err(|lossy| {
        Error::data(format!("read the catalog: the name `{lossy}` is not UTF-8")).hint(
            "the database's encoding is SQL_ASCII: rename the column or type, or move the table \
             with a query that leaves it out or gives it another name",
        )
    })
}

/// The statement that makes the server refuse statements from which policies would hide rows, or
/// hide them.
///
/// <https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-ROW-SECURITY>
pub(super) fn row_security(asked: RowSecurity) -> String {
    let value = match asked {
        RowSecurity::Refuse => "off",
        RowSecurity::Filter => "on",
    };
    format!("set local row_security to {value}")
}
