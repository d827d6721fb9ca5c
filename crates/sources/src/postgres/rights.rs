//! Rights that are missing, and whose they are.

use super::driver::Connection;
use sluice_contracts::documents::Relation;
use sluice_contracts::{Error, Kind, Result};

use super::connection::{get, rows};
use super::dialect;

/// Refuses a relation whose schema this user may not look into: the server says that of every name
/// in it, whatever it is.
pub(super) async fn refuse_closed_schema(
    connection: &mut Connection,
    relation: &Relation,
) -> Result<()> {
    let Relation::Table { schema: Some(schema), .. } = relation else { return Ok(()) };
    let what = || format!("describe table `{relation}`");
    let sql = format!(
        "select has_schema_privilege(oid, 'usage') from pg_namespace where nspname = {}",
        dialect::literal(schema)
    );
    let found = rows(connection, &sql, what).await?;
    if found.first().map(|row| get(row, 0)).transpose()?.unwrap_or(true) {
        return Ok(());
    }
    Err(Error::new(Kind::Denied, format!("{}: this user may not use schema `{schema}`", what()))
        .hint(format!("grant USAGE on schema `{schema}` to this user")))
}

/// The right that the owner of a view lacks: of the relation, if it is a view, and of the views
/// below it. A view reads with its owner's rights, so a grant to the user of the view does not help.
pub(super) async fn missing_right_of_owner(
    connection: &mut Connection,
    relation: &Relation,
) -> Result<Option<String>> {
    if !matches!(relation, Relation::Table { .. }) {
        return Ok(None);
    }
    let sql = format!(
        "with recursive read(view, owner, oid) as (\
           select null::oid, null::oid, to_regclass({})::oid union \
           select c.oid, c.relowner, d.refobjid from read r \
           join pg_class c on c.oid = r.oid and c.relkind = 'v' \
           join pg_rewrite w on w.ev_class = c.oid \
           join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid \
             and d.refclassid = 'pg_class'::regclass and d.refobjid <> c.oid \
           where not exists (select from pg_options_to_table(c.reloptions) \
             where option_name = 'security_invoker' and option_value::bool)) \
         select view::regclass::text, pg_get_userbyid(owner)::text, oid::regclass::text from read \
         where not has_table_privilege(owner, oid, 'select') \
           and not has_any_column_privilege(owner, oid, 'select') limit 1",
        dialect::literal(&dialect::relation(relation))
    );
    let what = || format!("look for the rights that `{relation}` is read with");
    let found = rows(connection, &sql, what).await?;
    let Some(row) = found.first() else { return Ok(None) };
    let (view, owner): (String, String) = (get(row, 0)?, get(row, 1)?);
    let table: String = get(row, 2)?;
    Ok(Some(format!(
        "view `{view}` reads with the rights of its owner: grant SELECT on `{table}` to `{owner}`"
    )))
}

/// An error of a relation, with the hint that helps.
pub(super) async fn explained(
    connection: &mut Connection,
    relation: &Relation,
    error: Error,
) -> Error {
    match missing_right_of_owner(connection, relation).await {
        Ok(Some(hint)) => error.hint(hint),
        // The server's error is returned as it is.
        Ok(None) | Err(_) => error,
    }
}
