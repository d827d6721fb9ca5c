//! Tokens with which other connections join a snapshot.

use super::driver::{Connection, Failure};
use sluice_contracts::{Error, Result};

use super::connection::{get, rows};
use super::dialect;
use super::server_error::{failed, sqlstate};

/// Ends the server's own name of a snapshot in a token.
const NAME_ENDS: char = ' ';

/// Exports the snapshot of this connection's transaction. The token is valid as long as it lasts.
pub(super) async fn export(connection: &mut Connection) -> Result<String> {
    let what = || "export a snapshot".to_owned();
    let found = rows(connection, "select pg_export_snapshot()", what).await?;
    let row = found.first().ok_or_else(|| Error::bug(what()))?;
    let name: String = get(row, 0)?;
    Ok(format!("{name}{NAME_ENDS}{}", identity(connection).await?))
}

/// Joins the snapshot of a token. `false` if no transaction holds it any more.
///
/// The server names a snapshot by a place in its memory and two counters, and begins them again
/// when it starts: the name may be that of another run's snapshot by now. So the token says what
/// the snapshot shows as well. (Those of earlier versions are a name alone.)
pub(super) async fn joined(connection: &mut Connection, token: &str) -> Result<bool> {
    let (name, meant) = match token.split_once(NAME_ENDS) {
        Some((name, meant)) => (name, Some(meant)),
        None => (token, None),
    };
    let sql = format!("set transaction snapshot {}", dialect::literal(name));
    match connection.query(&sql).await {
        Ok(_) => {}
        Err(error) if is_gone(&error) => return Ok(false),
        Err(error) => return Err(failed("join a snapshot".to_owned(), error)),
    }
    match meant {
        Some(meant) => Ok(identity(connection).await? == meant),
        None => Ok(true),
    }
}

/// What tells the snapshot of this connection from every other: the transactions that it shows, and
/// when the server was started.
async fn identity(connection: &mut Connection) -> Result<String> {
    let what = || "look which snapshot this is".to_owned();
    let sql = "select concat(txid_current_snapshot(), ' since ', \
               (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint)";
    let found = rows(connection, sql, what).await?;
    get(found.first().ok_or_else(|| Error::bug(what()))?, 0)
}

/// Whether the server reports that a snapshot ended: its file is gone (`undefined_object` since
/// PostgreSQL 17, `invalid_parameter_value` before), or the transaction that exported it failed and
/// waits for its end (`object_not_in_prerequisite_state`).
fn is_gone(error: &Failure) -> bool {
    matches!(sqlstate(error), Some("22023" | "42704" | "55000"))
}
