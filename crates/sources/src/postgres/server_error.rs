//! What the errors of the driver and of the server mean.

use std::io::ErrorKind;

use rustls::CertificateError;
use sluice_contracts::{Error, Kind};

use super::driver::{Failure, ServerError};
use super::unlogged;
use crate::source::NoConnectionLeft;

/// The server says the same of a statement that ran out of time and of one that somebody cancelled,
/// unless one reads its language. Limits of the role or the database do not count
/// ([`settle`](super::connection::settle)), but those of another server that a table lies on do.
const CANCELLED: &str = "the statement was cancelled: by somebody at the server, by a time limit \
                         of another server that the table lies on, or, in planning, because its \
                         statements may take 1 minute; look at the server's log, locks and load";

/// The driver's error, classified by who must act on it.
pub(super) fn failed(what: String, error: Failure) -> Error {
    match error {
        Failure::Refused(error) => refused(what, &error),
        Failure::Io(error) if let Some(hint) = of_certificate(&error) => {
            Error::new(Kind::Denied, what).because(error).hint(hint)
        }
        Failure::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Error::transient(what).because("the server or the network ended the connection")
        }
        Failure::Io(error) => Error::transient(what).because(error),
        Failure::NoTls => Error::new(Kind::Denied, what).because(error).hint(
            "have the server's operator switch TLS on (`ssl = on`), or leave `sslmode` out: the \
             connection is not encrypted then",
        ),
        Failure::Authentication(_) => Error::new(Kind::Denied, what).because(error).hint(
            "have `pg_hba.conf` ask this user for a password (`scram-sha-256`), or for a certificate",
        ),
        Failure::Untrusted => Error::new(Kind::Denied, what).because(error).hint(
            "check the host in `source.url`: another server may answer there",
        ),
        Failure::Unusable(..) => Error::invalid(what).because(error),
        Failure::Protocol(_) => Error::transient(what).because(error),
        Failure::Unexpected(_) | Failure::Busy => Error::bug(what).because(error),
    }
}

/// The same, of the attempt to connect for planning. `is_socket` says that the address is the folder of a
/// socket. A task finds the same address later: there it is a server that is down for a moment.
pub(super) fn not_found(what: String, error: Failure, is_socket: bool) -> Error {
    match error {
        Failure::Io(error) if let Some(hint) = of_no_server(&error, is_socket) => {
            Error::transient(what).because(error).hint(hint)
        }
        error => failed(what, error),
    }
}

/// What helps where no server is found.
fn of_no_server(error: &std::io::Error, is_socket: bool) -> Option<&'static str> {
    match error.kind() {
        ErrorKind::NotFound if is_socket => Some(
            "no server has its socket in that folder: check `source.url`, and start the server; on \
             Cloud Run, name the Cloud SQL instance in `cloud_sql_instances` of Terraform",
        ),
        ErrorKind::ConnectionRefused => {
            Some("no server listens there: check the host and the port in `source.url`")
        }
        _ if error.to_string().starts_with("failed to lookup address") => Some(
            "check the host in `source.url`, and whether this machine may ask for names of that network",
        ),
        _ => None,
    }
}

/// What helps where a certificate is not accepted.
fn of_certificate(error: &std::io::Error) -> Option<&'static str> {
    let found = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    if let rustls::Error::AlertReceived(_) = found {
        return Some(
            "the server refuses the connection: it may ask for a certificate, which `sslcert` and `sslkey` in \
             `source.url` name",
        );
    }
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
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "have the server's operator renew its certificate"
        }
        // A certificate of an authority, as `openssl req -x509` makes it.
        CertificateError::Other(_) => {
            "have the server use a certificate that is made for a server, not for an authority, \
             and name the authority's in `sslrootcert`"
        }
        _ => "have the server's operator look at its certificate",
    })
}

/// Whether the server refuses a statement because policies would hide rows from it. It says so
/// under a code of many meanings, so the function that refuses it is looked at.
fn hides_rows(error: &Said<'_>) -> bool {
    error.code == "42501" && error.routine == Some("check_enable_rls")
}

/// The same, of the driver's error.
pub(super) fn is_hidden(error: &Failure) -> bool {
    error.refused().is_some_and(|error| hides_rows(&Said::of(error)))
}

/// Whether this user has no account at the server of a foreign table. The code is that of an object
/// that does not exist.
pub(super) fn lacks_user_mapping(error: &Failure) -> bool {
    error.refused().is_some_and(|error| error.routine.as_deref() == Some("GetUserMapping"))
}

/// Whether a text that is sent as one statement holds several. The code is that of any text which
/// is not SQL.
pub(super) fn is_several_statements(error: &Failure) -> bool {
    error.refused().is_some_and(|error| {
        error.code == "42601" && error.routine.as_deref() == Some("exec_parse_message")
    })
}

/// The SQLSTATE of an error, if the server sent one.
pub(super) fn sqlstate(error: &Failure) -> Option<&str> {
    error.refused().map(|error| error.code.as_str())
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
pub(super) const POOL_HINT: &str = "if PgBouncer's pool has no connection left, lower \
    `limits.max_connections` of the job to its `default_pool_size` or below";

/// What tells one error of the server from another.
struct Said<'a> {
    code: &'a str,
    message: &'a str,
    /// The function of the server that refuses.
    routine: Option<&'a str>,
    /// Whether the connection ends.
    is_fatal: bool,
}

impl<'a> Said<'a> {
    fn of(error: &'a ServerError) -> Self {
        Self {
            code: &error.code,
            message: &error.message,
            routine: error.routine.as_deref(),
            is_fatal: error.is_fatal,
        }
    }
}

/// Whether a pooler says that all of its connections are taken.
fn is_pool_empty(error: &Said<'_>) -> bool {
    error.code == "08P01"
        && ["query_wait_timeout", "no more connections allowed"]
            .iter()
            .any(|said| error.message.contains(said))
}

/// What PgBouncer says of a client that it does not let in.
const REFUSALS_OF_POOLERS: &[&str] = &[
    "authentication failed",
    "no such user",
    "no such database",
    "SSL required",
    "login rejected",
    "config error",
];

/// What an error of a pooler means. It has one code for all of them.
fn of_pooler(error: &Said<'_>) -> Option<(Kind, Option<&'static str>)> {
    if error.message.contains("startup parameter") {
        let hint = "a pooler such as PgBouncer does not take this parameter: leave it out of \
                    `source.url`, add it to the pooler's `ignore_startup_parameters`, or connect \
                    to the server itself";
        return Some((Kind::Invalid, Some(hint)));
    }
    if error.message.contains("statement pooling") {
        let hint = "set PgBouncer's `pool_mode` to `session` or `transaction`, or connect to the \
                    server itself";
        return Some((Kind::Invalid, Some(hint)));
    }
    if REFUSALS_OF_POOLERS.iter().any(|said| error.message.contains(said)) {
        let hint = "check the user, the password and the database in `source.url`, and the \
                    pooler's configuration";
        return Some((Kind::Denied, Some(hint)));
    }
    let hint = is_pool_empty(error).then_some(POOL_HINT);
    (error.is_fatal).then_some((Kind::Transient, hint))
}

/// Who must act on the server's error, and what helps.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn meaning(error: &Said<'_>) -> (Kind, Option<&'static str>) {
    let code = error.code;
    match code {
        "08P01" if let Some(meaning) = of_pooler(error) => meaning,
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
        "42P01" | "42703" | "3F000" => (
            Kind::NotFound,
            Some(
                "check the names in the job, and those in the views and functions that it reads; quote \
                 mixed-case names",
            ),
        ),
        "3D000" => (Kind::NotFound, Some("check the database's name in `source.url`")),
        "40001" if error.message.contains("recovery") => (
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
        "0A000" if error.message.contains("recovery") => (Kind::Denied, Some(unlogged::HINT)),
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
        "55000" if error.routine == Some("ExecOpenScanRelation") => {
            (Kind::Denied, Some("run `REFRESH MATERIALIZED VIEW` for what the error names"))
        }
        _ if ["21", "22", "P0"].iter().any(|class| code.starts_with(class)) => (
            Kind::Data,
            Some(
                "run the query of the view, or the filter, on the server to find the row; correct \
                 it, or leave it out with `where`",
            ),
        ),
        _ if code.starts_with("XX") => (Kind::Data, None),
        // What a statement asks for: the job's query or filter.
        _ if ["0A", "42"].iter().any(|class| code.starts_with(class)) => (Kind::Invalid, None),
        // States and limits of the server, and not of the job.
        _ => (Kind::Denied, None),
    }
}

/// The server's error.
fn refused(what: String, error: &ServerError) -> Error {
    let said = &Said::of(error);
    let ((kind, hint), code) = (meaning(said), said.code);
    // Messages about values quote the values.
    let quotes_values = ["22", "23", "P0"].iter().any(|class| code.starts_with(class))
        // A function says what it likes, under the code that it likes.
        || said.routine == Some("exec_stmt_raise");
    let is_connection_missing = code == "53300" || is_pool_empty(said);
    let said = if quotes_values {
        match condition(code) {
            Some(condition) => format!("{condition} (SQLSTATE {code})"),
            None => format!("the server answers with SQLSTATE {code}"),
        }
    } else {
        format!("{} (SQLSTATE {code})", said.message)
    };
    let error = Error::new(kind, what);
    let error = if is_connection_missing {
        error.because(NoConnectionLeft(said))
    } else {
        error.because(said)
    };
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

#[cfg(test)]
mod tests;
