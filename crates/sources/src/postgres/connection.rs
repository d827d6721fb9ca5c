//! Connecting, and what the server's errors mean.

use std::time::Duration;

use sluice_contracts::{Error, Kind, Result};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

/// Longest wait for the server to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a user, a role or the server may have set otherwise, and what would change the text of
/// values or end a long read.
const SETTINGS: &str = "\
set datestyle to 'ISO, YMD'; set intervalstyle to 'iso_8601'; set timezone to 'UTC'; \
set extra_float_digits to 3; set bytea_output to 'hex'; set xmloption to 'content'; \
set statement_timeout to 0; set idle_in_transaction_session_timeout to 0; \
set lock_timeout to '30s'";

/// Opens a connection whose settings are known. `application` is what the server's operator sees
/// in `pg_stat_activity`.
pub(super) async fn connect(
    options: &PgConnectOptions,
    label: &str,
    application: &str,
) -> Result<PgConnection> {
    let options = options.clone().application_name(application).disable_statement_logging();
    let what = || format!("connect to `{label}`");
    let mut connection = match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return Err(failed(what(), error)),
        Err(_) => {
            let seconds = CONNECT_TIMEOUT.as_secs();
            return Err(Error::transient(format!("{}: no answer after {seconds} s", what()))
                .hint("this machine must reach that address; look at the network between them"));
        }
    };
    execute(&mut connection, SETTINGS, what).await?;
    Ok(connection)
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
    sqlx::query(AssertSqlSafe(sql.to_owned()))
        .persistent(false)
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

/// The driver's error by who must act on it.
pub(super) fn failed(what: String, error: sqlx::Error) -> Error {
    use sqlx::Error as E;
    match error {
        E::Database(error) => match error.try_downcast::<PgDatabaseError>() {
            Ok(error) => refused(what, &error),
            Err(error) => Error::new(Kind::Invalid, what).because(error),
        },
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

/// The SQLSTATE of an error, if the server sent one.
pub(super) fn sqlstate(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}

/// What the server said. Codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn refused(what: String, error: &PgDatabaseError) -> Error {
    let code = error.code();
    let (kind, hint) = match code {
        "53300" => (
            Kind::Transient,
            Some("the server has no connection left; lower `limits.max_connections` of the job"),
        ),
        "55P03" => (
            Kind::Transient,
            Some("another transaction holds a lock on the table, perhaps a migration; wait for it"),
        ),
        "42501" => (Kind::Denied, Some("grant SELECT on the table to this user")),
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
        "57014" => (Kind::Transient, None),
        _ if code.starts_with("28") => {
            (Kind::Denied, Some("check the user and the password in `source.url`"))
        }
        _ if ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class)) => {
            (Kind::Transient, None)
        }
        _ if code.starts_with("22") => (Kind::Data, None),
        _ if code.starts_with("XX") => (Kind::Data, None),
        _ => (Kind::Invalid, None),
    };
    // Messages about values quote the values.
    let quotes_values = ["22", "23", "P0"].iter().any(|class| code.starts_with(class));
    let said = if quotes_values {
        format!("the server answers with SQLSTATE {code}")
    } else {
        format!("{} (SQLSTATE {code})", error.message())
    };
    let error = Error::new(kind, what).because(said);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
