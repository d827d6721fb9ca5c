//! Asks the server's statistics which columns hold values that their target cannot hold.
//!
//! ANALYZE keeps the most common values of a column and the bounds of its histogram, and infinity,
//! far years and long numbers are at the ends of it.

use super::driver::Connection;
use sluice_contracts::documents::{Column, OnInvalid, Relation};
use sluice_contracts::{Kind, Result};

use super::connection::{attempt, text};
use super::dialect;
use super::server_error::failed;
use super::type_table::suspicion_of_element;

/// A warning for each column in which such a value would end the run, from the statistics of a
/// table and its leaves. The values stay on the server.
pub(super) async fn warnings(
    connection: &mut Connection,
    relation: &Relation,
    tables: &[u32],
    columns: &[Column],
) -> Result<Vec<String>> {
    let fails = |column: &&Column| column.on_invalid == OnInvalid::Fail;
    let asked: Vec<String> = columns.iter().filter(fails).filter_map(question).collect();
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let tables: Vec<String> = tables.iter().map(u32::to_string).collect();
    let sql = format!(
        "with of_table as materialized (select s.* from pg_stats s \
           where (s.schemaname, s.tablename) in (select n.nspname, c.relname from pg_class c \
             join pg_namespace n on n.oid = c.relnamespace where c.oid = any('{{{}}}'::oid[]))) \
         select distinct f.attname::text from ({}) as f",
        tables.join(","),
        asked.join(" union all ")
    );
    let what = || format!("read the statistics of `{relation}`");
    let found = match attempt(connection, &sql).await.map_err(|error| failed(what(), error)) {
        Ok(found) => found,
        Err(error) if error.is_transient() => return Err(error),
        // Said once, and not of each table.
        Err(error) if error.kind() == Kind::Denied => return Ok(Vec::new()),
        // Without the statistics the plan is no worse than without ANALYZE.
        Err(error) => return Ok(vec![error.chain()]),
    };
    let likely = found.iter().map(|row| text(row, 0)).collect::<Result<Vec<_>>>()?;
    let warnings = columns.iter().filter(|column| likely.contains(&column.source_name));
    Ok(warnings
        .map(|column| {
            format!(
                "column `{name}` of `{relation}` is likely to hold values that {} cannot, by the \
                 server's statistics ({}): set `columns.{name}.on_invalid` or `columns.{name}.type`",
                column.target_type,
                column.invalid.as_deref().unwrap_or_default(),
                name = column.source_name,
            )
        })
        .collect())
}

/// A query that has a row where the statistics of a column hold such a value.
fn question(column: &Column) -> Option<String> {
    let (kind, condition) = suspicion_of_element(column, "_value.of")?;
    let arrays: &[&str] = if column.repeated {
        &["most_common_elems"]
    } else {
        &["histogram_bounds", "most_common_vals"]
    };
    let name = dialect::literal(&column.source_name);
    // Without `case` the server might cast the values of other columns and tables.
    let values = arrays
        .iter()
        .map(|array| {
            format!(
                "select pg_catalog.unnest(case when s.attname = {name} \
                 then s.{array}::pg_catalog.text::{kind}[] end)"
            )
        })
        .collect::<Vec<_>>()
        .join(" union all ");
    Some(format!(
        "select s.attname from of_table s where s.attname = {name} and exists (\
         select from ({values}) as _value(of) where {condition})"
    ))
}
