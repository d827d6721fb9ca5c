//! The tables of a database.

use sluice_contracts::Result;
use sluice_contracts::job::TableName;
use sqlx::postgres::PgConnection;

use super::connection::{get, rows};
use crate::source::Listing;

/// Lists the database's own tables.
pub(super) async fn list(connection: &mut PgConnection) -> Result<Listing> {
    let sql = "\
        select n.nspname::text, c.relname::text, case \
          when exists (select from pg_depend d where d.classid = 'pg_class'::regclass \
            and d.objid = c.oid and d.deptype = 'e') then 'it belongs to an extension' \
          when c.relispartition then 'it is a partition: its rows are read with its parent' \
          when exists (select from pg_inherits i where i.inhrelid = c.oid) \
            then 'it inherits from another table: its rows are read with its parent' \
        end \
        from pg_class c join pg_namespace n on n.oid = c.relnamespace \
        where c.relkind in ('r', 'p') and c.relpersistence <> 't' \
        and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' order by 1, 2";
    let what = || "list the tables of the database".to_owned();
    let mut listing = Listing::default();
    for row in &rows(connection, sql, what).await? {
        let table = TableName { schema: Some(get(row, 0)?), name: get(row, 1)? };
        match get::<Option<String>>(row, 2)? {
            None => listing.tables.push(table),
            Some(reason) => listing.excluded.push((table, reason)),
        }
    }
    Ok(listing)
}
