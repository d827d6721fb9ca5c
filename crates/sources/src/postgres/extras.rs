//! What is left out where a provider has closed catalogs: extras, without which the same rows are
//! moved.
//!
//! Each place that reads one of these catalogs does without it
//! ([`if_allowed`](super::connection::if_allowed)). All others are essential, and the plan is
//! refused with the server's error.

use super::driver::Connection;
use sluice_contracts::Result;

use super::connection::{get, rows};
use super::dialect::literal;

/// What is left out, and the catalogs that it needs.
const EXTRAS: &[(&str, &[&str])] = &[
    (
        "how many connections the server takes is not known",
        &["pg_database", "pg_roles", "pg_stat_activity"],
    ),
    ("a lost connection is noticed by its silence alone", &["pg_stat_activity"]),
    ("whether the connection is encrypted is not known", &["pg_stat_ssl"]),
    (
        "money has as many digits as the role's `lc_monetary` says",
        &["pg_database", "pg_db_role_setting", "pg_settings"],
    ),
    (
        "values that a target cannot hold are not foreseen, and ranges are found by a sample",
        &["pg_stats"],
    ),
    ("primary keys and indexes are not known", &["pg_index"]),
    ("comments on tables and columns become no descriptions", &["pg_description"]),
    (
        "types and tables of extensions are taken for the database's own",
        &["pg_depend", "pg_extension"],
    ),
    ("the servers of foreign tables are not named", &["pg_foreign_server", "pg_foreign_table"]),
    (
        "functions that read outside of the snapshot are not known, so each view, query and filter \
         is read as one unit",
        &["pg_depend", "pg_extension", "pg_language", "pg_proc"],
    ),
];

/// What is left out for this user, each with the catalogs that are closed.
pub(super) async fn left_out(connection: &mut Connection) -> Result<Vec<String>> {
    let names: Vec<String> =
        EXTRAS.iter().flat_map(|(_, catalogs)| *catalogs).map(|name| literal(name)).collect();
    let sql = format!(
        "select distinct name from unnest(array[{}]) as name \
         where not has_table_privilege('pg_catalog.' || name, 'select')",
        names.join(", ")
    );
    let found = rows(connection, &sql, || "look which catalogs may be read".to_owned()).await?;
    let closed = found.iter().map(|row| get(row, 0)).collect::<Result<Vec<String>>>()?;
    let lines = EXTRAS.iter().filter_map(|(left_out, catalogs)| {
        let closed = catalogs.iter().filter(|name| closed.iter().any(|closed| closed == *name));
        let closed: Vec<String> = closed.map(|name| format!("`{name}`")).collect();
        let closed = Some(closed.join(", ")).filter(|closed| !closed.is_empty())?;
        Some(format!("{left_out}: this user may not read {closed}"))
    });
    Ok(lines.collect())
}
