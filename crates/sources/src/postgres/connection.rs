//! Connecting, and what the server's errors mean.

use std::time::Duration;

use rustls::CertificateError;
use rustls::crypto::CryptoProvider;
use sluice_contracts::job::RowSecurity;
use sluice_contracts::{Error, Kind, Result};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgRow, PgSeverity};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

use super::unlogged;
use crate::source::NoConnectionLeft;

/// Longest wait for the server to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a statement of planning may take. It reads catalogs and statistics: after this time
/// something holds it up. A statement that reads rows takes as long as it takes.
pub(super) const STATEMENT_MINUTES: u32 = 5;

/// The server says the same of a statement that ran out of time and of one that a person cancelled,
/// unless one reads its language.
const CANCELLED: &str = "someone cancelled the statement, or it is one of planning and took longer \
                         than 5 minutes; look at the server's locks and load";

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
/// `row_security` is set for each table, as the job asks.
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
set local statement_timeout to 0; set local idle_in_transaction_session_timeout to 0; \
select set_config(name, '0', true) from unnest(\
array['idle_session_timeout', 'transaction_timeout']) as name \
where current_setting(name, true) is not null; \
select set_config('lock_timeout', least(nullif(milliseconds, 0), 30000)::text, true) from (select \
(extract(epoch from current_setting('lock_timeout')::interval) * 1000)::bigint as milliseconds) as set";

/// The digits of money, which the database says and a role may have changed. Catalogs say both, and
/// a provider may have closed those.
const MONEY: &str = "\
select set_config('lc_monetary', substr(entry, 13), true) \
from pg_db_role_setting join pg_database d on d.oid = setdatabase cross join unnest(setconfig) as entry \
where d.datname = current_database() and setrole = 0 and entry like 'lc_monetary=%' \
and exists (select from pg_settings where name = 'lc_monetary' and source like '%user')";

/// Opens a connection. `application` is what the server's operator sees in `pg_stat_activity`.
///
/// Between two transactions, each statement may meet another connection of the server, if a pooler
/// is between it and this program. So nothing is prepared, and everything that depends on a
/// setting, on a lock or on what was read before is done in a transaction.
pub(super) async fn connect(
    options: &PgConnectOptions,
    label: &str,
    application: &str,
) -> Result<PgConnection> {
    choose_cryptography();
    // PgBouncer refuses parameters that it does not track, and that is one.
    let options = options.clone().extra_float_digits(None);
    let options = options.application_name(application).disable_statement_logging();
    let what = || format!("connect to `{label}`");
    match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
        Ok(connected) => connected.map_err(|error| failed(what(), error)),
        Err(_) => {
            let seconds = CONNECT_TIMEOUT.as_secs();
            Err(Error::transient(format!("{}: no answer after {seconds} s", what()))
                .hint("this machine must reach that address; look at the network between them"))
        }
    }
}

/// Begins a transaction of `isolation` that reads, whose settings are not known yet.
pub(super) async fn begin(connection: &mut PgConnection, isolation: &str) -> Result<()> {
    let sql = format!("begin transaction isolation level {isolation} read only");
    execute(connection, &sql, || "begin a transaction".to_owned()).await
}

/// The same, for a connection that is new, and of little use if it has to wait: a pooler accepts it
/// at once, and has it wait with its first statement until a connection of the server is free.
pub(super) async fn begin_soon(connection: &mut PgConnection, isolation: &str) -> Result<()> {
    let begun = tokio::time::timeout(CONNECT_TIMEOUT, begin(connection, isolation)).await;
    begun.unwrap_or_else(|_| {
        let said = format!("no answer after {} s", CONNECT_TIMEOUT.as_secs());
        let what = "begin a transaction".to_owned();
        Err(Error::transient(what).because(NoConnectionLeft(said)).hint(POOL_HINT))
    })
}

/// Makes the settings of the transaction known.
pub(super) async fn settle(connection: &mut PgConnection) -> Result<()> {
    let what = || "set up a transaction".to_owned();
    execute(connection, SETTINGS, what).await?;
    if_allowed(connection, MONEY, what).await.map(drop)
}

/// Gives the process a provider of cryptography, if it has none. The driver names one for the
/// connection and leaves another to the process when it verifies a certificate without its name;
/// in a build that contains two, rustls chooses neither and panics.
fn choose_cryptography() {
    if CryptoProvider::get_default().is_none() {
        // Another thread may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// What a catalog says that serves extras only; `None` if this user may not read it.
pub(super) async fn if_allowed(
    connection: &mut PgConnection,
    sql: &str,
    what: impl FnOnce() -> String,
) -> Result<Option<Vec<PgRow>>> {
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
pub(super) async fn attempt(
    connection: &mut PgConnection,
    sql: &str,
) -> Result<Vec<PgRow>, sqlx::Error> {
    let sql = format!("savepoint attempt; {sql}; release savepoint attempt");
    let found = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut *connection).await;
    if found.is_err() {
        let undo = "rollback to savepoint attempt; release savepoint attempt";
        if let Err(error) = connection.execute(undo).await {
            // The first error is returned. It says so too, if the connection is lost.
            tracing::debug!("could not go back to a savepoint: {error}");
        }
    }
    found
}

/// Runs statements that return nothing.
pub(super) async fn execute(
    connection: &mut PgConnection,
    sql: &str,
    what: impl FnOnce() -> String,
) -> Result<()> {
    let statement = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    connection.execute(statement).await.map(drop).map_err(|error| failed(what(), error))
}

/// Runs a query and holds all of its rows.
pub(super) async fn rows(
    connection: &mut PgConnection,
    sql: &str,
    what: impl FnOnce() -> String,
) -> Result<Vec<PgRow>> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .fetch_all(connection)
        .await
        .map_err(|error| failed(what(), error))
}

/// A column of a row, by position.
pub(super) fn get<'r, T>(row: &'r PgRow, at: usize) -> Result<T>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    sqlx::Row::try_get(row, at).map_err(|error| failed("read the catalog".to_owned(), error))
}

/// A name of a row, by position. A database of encoding `SQL_ASCII` accepts any bytes as a name:
/// those that are not UTF-8 are replaced in the error.
pub(super) fn name(row: &PgRow, at: usize) -> Result<Result<String, String>> {
    let during = |error| failed("read the catalog".to_owned(), error);
    let value = sqlx::Row::try_get_raw(row, at).map_err(during)?;
    let bytes = value.as_bytes().map_err(|source| during(sqlx::Error::Decode(source)))?;
    let name = String::from_utf8(bytes.to_vec());
    Ok(name.map_err(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// The same, for a caller that can do nothing without the name.
pub(super) fn text(row: &PgRow, at: usize) -> Result<String> {
    name(row, at)?.map_err(|lossy| {
        Error::data(format!("read the catalog: the name `{lossy}` is not UTF-8")).hint(
            "the database's encoding is SQL_ASCII: rename the column or type, or move the table \
             with a query that leaves it out or gives it another name",
        )
    })
}

/// The driver's error, classified by who must act on it.
pub(super) fn failed(what: String, error: sqlx::Error) -> Error {
    use sqlx::Error as E;
    match error {
        E::Database(error) => match error.try_downcast::<PgDatabaseError>() {
            Ok(error) => refused(what, &error),
            Err(error) => Error::new(Kind::Invalid, what).because(error),
        },
        E::Io(error) if let Some(hint) = of_certificate(&error) => {
            Error::new(Kind::Denied, what).because(error).hint(hint)
        }
        E::Io(_) | E::Tls(_) | E::Protocol(_) | E::WorkerCrashed => {
            Error::transient(what).because(error)
        }
        E::Configuration(_) => Error::invalid(what).because(error),
        E::ColumnDecode { .. } | E::Decode(_) | E::ColumnNotFound(_) => {
            Error::bug(what).because(error)
        }
        error => Error::transient(what).because(error),
    }
}

/// What helps where the server's certificate is not accepted.
fn of_certificate(error: &std::io::Error) -> Option<&'static str> {
    let found = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::InvalidCertificate(reason) = found else { return None };
    Some(match reason {
        CertificateError::UnknownIssuer => {
            "have `sslrootcert` in `source.url` name the file with the certificate of the authority \
             that signed the server's"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "connect to a name that the certificate is for, or verify the certificate without its \
             name: `sslmode=verify-ca`"
        }
        _ => "have the server's operator renew its certificate",
    })
}

/// Whether the server refuses a statement because policies would hide rows from it. It says so
/// under a code of many meanings, so the function that refuses it is looked at.
fn hides_rows(error: &PgDatabaseError) -> bool {
    error.code() == "42501" && error.routine() == Some("check_enable_rls")
}

/// The same, of the driver's error.
pub(super) fn is_hidden(error: &sqlx::Error) -> bool {
    let database = error.as_database_error();
    database.and_then(|error| error.try_downcast_ref()).is_some_and(hides_rows)
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

/// The SQLSTATE of an error, if the server sent one.
pub(super) fn sqlstate(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}

/// The server's own name of a condition whose messages quote values.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn condition(code: &str) -> Option<&'static str> {
    Some(match code {
        "22001" => "a text is too long for its type",
        "22002" | "22004" => "a value is NULL where none may be",
        "22003" => "a number is out of the range of its type",
        "22007" | "22008" => "a date or time is out of range, or cannot be read",
        "22011" => "a part of a text is asked for that it cannot have",
        "22012" => "a division by zero",
        "22018" | "22P02" => "a text cannot be read as another type",
        "22019" | "22025" | "2201B" => "a pattern cannot be read",
        "2201E" => "a logarithm of zero or of a negative number",
        "2201F" => "a power or root without a real result",
        "2201W" | "2201X" => "a limit or offset is negative",
        "22021" => "a text has characters that its encoding does not have",
        "22023" => "a function is called with a value that it does not take",
        "2202E" => "an array has another number of dimensions or elements",
        "22030" | "22032" | "22033" | "22034" | "22035" | "22036" | "22037" | "22038" | "2203A"
        | "2203B" | "2203C" | "2203D" => "a JSON value is not what is expected",
        "22P01" => "a number is out of the range of floating point",
        "22P03" => "a value in binary form cannot be read",
        "P0001" => "a function raises an exception",
        "P0002" => "a function finds no row where it needs one",
        "P0003" => "a function finds more than one row where it needs one",
        "P0004" => "a function's assertion does not hold",
        _ => return None,
    })
}

/// What helps where a pooler has no connection left.
const POOL_HINT: &str = "if PgBouncer's pool has no connection left, lower `limits.max_connections` \
                         of the job to its `default_pool_size` or below";

/// Whether a pooler says that all of its connections are taken.
fn is_pool_empty(error: &PgDatabaseError) -> bool {
    error.code() == "08P01"
        && ["query_wait_timeout", "no more connections allowed"]
            .iter()
            .any(|said| error.message().contains(said))
}

/// What an error of a pooler means. It has one code for all of them.
fn of_pooler(error: &PgDatabaseError) -> Option<(Kind, &'static str)> {
    if error.message().contains("startup parameter") {
        let hint = "a pooler such as PgBouncer does not take this parameter: leave it out of \
                    `source.url`, add it to the pooler's `ignore_startup_parameters`, or connect \
                    to the server itself";
        return Some((Kind::Invalid, hint));
    }
    if error.message().contains("statement pooling") {
        let hint = "set PgBouncer's `pool_mode` to `session` or `transaction`, or connect to the \
                    server itself";
        return Some((Kind::Invalid, hint));
    }
    (error.severity() == PgSeverity::Fatal).then_some((Kind::Transient, POOL_HINT))
}

/// The server's error. Codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn refused(what: String, error: &PgDatabaseError) -> Error {
    let code = error.code();
    let (kind, hint) = match code {
        "08P01" if let Some((kind, hint)) = of_pooler(error) => (kind, Some(hint)),
        "53300" => (
            Kind::Transient,
            Some(
                "the server has no connection left; start the job again, which is planned with \
                 those that are free then, or lower `limits.max_connections` of the job",
            ),
        ),
        "55P03" => (
            Kind::Transient,
            Some("another transaction holds a lock on the table, perhaps a migration; wait for it"),
        ),
        "42501" if hides_rows(error) => (
            Kind::Denied,
            Some(
                "read as a user who sees all rows (its owner, or one with BYPASSRLS), or move only \
                 the rows that the policies show: `row_security: filter`",
            ),
        ),
        "42501" => (
            Kind::Denied,
            Some(
                "grant this user the right to what the error names: SELECT on a table, USAGE on a \
                 schema, EXECUTE on a function; what a view reads is granted to the view's owner",
            ),
        ),
        "42P01" | "42703" | "3F000" => {
            (Kind::NotFound, Some("check the names in the job; quote mixed-case names"))
        }
        "3D000" => (Kind::NotFound, Some("check the database's name in `source.url`")),
        "40001" if error.message().contains("recovery") => (
            Kind::Transient,
            Some(
                "the standby gives replication precedence; \
                 set `hot_standby_feedback = on` there, or raise `max_standby_streaming_delay`",
            ),
        ),
        // A server that the table lies on, and not this one.
        _ if code.starts_with("08") => (
            Kind::Denied,
            Some(
                "the server cannot connect to another one that the table lies on: look whether that \
                 one answers, and at its user mapping; then start the job again",
            ),
        ),
        "0A000" if error.message().contains("recovery") => (Kind::Denied, Some(unlogged::HINT)),
        "57014" => (Kind::Transient, Some(CANCELLED)),
        "22P05" => (
            Kind::Data,
            Some(
                "a text has a character that UTF-8 lacks; move the table with a query that makes \
                 bytes of the column: `convert_to(..., getdatabaseencoding())`",
            ),
        ),
        "28000" => (
            Kind::Denied,
            Some(
                "check the user in `source.url`, and `sslmode` if the connection has to be \
                 encrypted; the server's `pg_hba.conf` says who may connect, from where and how",
            ),
        ),
        _ if code.starts_with("28") => {
            (Kind::Denied, Some("check the user and the password in `source.url`"))
        }
        _ if ["40", "53", "57"].iter().any(|class| code.starts_with(class)) => {
            (Kind::Transient, None)
        }
        "55000" if error.routine() == Some("ExecOpenScanRelation") => {
            (Kind::Denied, Some("run `REFRESH MATERIALIZED VIEW` for what the error names"))
        }
        _ if ["22", "P0"].iter().any(|class| code.starts_with(class)) => (
            Kind::Data,
            Some(
                "run the query of the view, or the filter, on the server to find the row; correct \
                 it, or leave it out with `where`",
            ),
        ),
        _ if code.starts_with("XX") => (Kind::Data, None),
        // What a statement asks for: the job's query or filter.
        _ if ["0A", "21", "42"].iter().any(|class| code.starts_with(class)) => {
            (Kind::Invalid, None)
        }
        // States and limits of the server, and not of the job.
        _ => (Kind::Denied, None),
    };
    // Messages about values quote the values.
    let quotes_values = ["22", "23", "P0"].iter().any(|class| code.starts_with(class));
    let said = if quotes_values {
        match condition(code) {
            Some(condition) => format!("{condition} (SQLSTATE {code})"),
            None => format!("the server answers with SQLSTATE {code}"),
        }
    } else {
        format!("{} (SQLSTATE {code})", error.message())
    };
    let error = match code {
        "53300" => Error::new(kind, what).because(NoConnectionLeft(said)),
        _ if is_pool_empty(error) => Error::new(kind, what).because(NoConnectionLeft(said)),
        _ => Error::new(kind, what).because(said),
    };
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
