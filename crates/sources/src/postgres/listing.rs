//! The tables of a database, and the connections that it accepts.

use std::collections::HashSet;

use super::driver::{Connection, Oid};
use sluice_contracts::Result;
use sluice_contracts::job::TableName;

use super::connection::{get, if_allowed, name, rows};
use super::{dialect, unlogged};
use crate::description::Listing;

/// Lists the database's own tables.
pub(super) async fn list(connection: &mut Connection) -> Result<Listing> {
    let sql = format!(
        "select n.nspname::text, c.relname::text, case when c.relispartition then 'it is a partition: its rows are read with its parent' \
          when exists (select from pg_inherits i where i.inhrelid = c.oid) \
            then 'it inherits from another table: its rows are read with its parent' \
          when c.relpersistence = 'u' and c.relkind = 'r' and pg_is_in_recovery() then {} \
        end, c.oid \
        from pg_class c join pg_namespace n on n.oid = c.relnamespace \
        where c.relkind in ('r', 'p') and c.relpersistence <> 't' \
        and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' order by 1, 2",
        dialect::literal(unlogged::REASON)
    );
    let what = || "list the tables of the database".to_owned();
    let mut listing = Listing::default();
    let of_extensions = of_extensions(connection).await?;
    for row in &rows(connection, &sql, what).await? {
        let (schema, table) = (name(row, 0)?, name(row, 1)?);
        let broken = schema.is_err() || table.is_err();
        let (Ok(schema) | Err(schema), Ok(table) | Err(table)) = (schema, table);
        let table = TableName { schema: Some(schema), name: table };
        match get::<Option<String>>(row, 2)? {
            _ if broken => listing.excluded.push((table, "its name is not UTF-8".to_owned())),
            _ if of_extensions.contains(&get::<Oid>(row, 3)?.0) => {
                listing.excluded.push((table, "it belongs to an extension".to_owned()));
            }
            None => listing.tables.push(table),
            Some(reason) => listing.excluded.push((table, reason)),
        }
    }
    Ok(listing)
}

/// The tables that belong to extensions. They are listed as any other where this user may not look
/// that up.
async fn of_extensions(connection: &mut Connection) -> Result<HashSet<u32>> {
    let sql = "select objid from pg_depend where classid = 'pg_class'::regclass and deptype = 'e'";
    let what = || "look which tables belong to extensions".to_owned();
    let found = if_allowed(connection, sql, what).await?.unwrap_or_default();
    found.iter().map(|row| Ok(get::<Oid>(row, 0)?.0)).collect()
}

/// Connections that this user can open, this one included, which ends before they are needed. `None`
/// if this user may not read who is connected.
pub(super) async fn connections(connection: &mut Connection) -> Result<Option<u32>> {
    let sql = "\
        select greatest(1, 1 + least( \
          case when not r.rolsuper and r.rolconnlimit >= 0 then r.rolconnlimit - \
            (select count(*) from pg_stat_activity a where a.usesysid = r.oid) end, \
          case when not r.rolsuper and d.datconnlimit >= 0 then d.datconnlimit - \
            (select count(*) from pg_stat_activity a where a.datid = d.oid) end, \
          current_setting('max_connections')::bigint \
            - current_setting('superuser_reserved_connections')::bigint - \
            (select count(*) from pg_stat_activity a where a.backend_type = 'client backend'))) \
        from pg_roles r cross join pg_database d \
        where r.rolname = current_user and d.datname = current_database()";
    let what = || "look how many connections the server takes".to_owned();
    let Some(found) = if_allowed(connection, sql, what).await? else { return Ok(None) };
    let count = found.first().map(|row| get::<i64>(row, 0)).transpose()?;
    Ok(count.map(|count| u32::try_from(count).unwrap_or(u32::MAX)))
}
