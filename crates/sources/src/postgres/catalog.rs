//! A relation as the catalog describes it.

use std::collections::BTreeMap;

use super::driver::{Connection, Oid};
use sluice_contracts::documents::{KeyType, Relation};
use sluice_contracts::{Error, Kind, Result};

use super::BTREE;
use super::columns::{Attribute, RawAttribute, attributes};
use super::connection::{get, if_allowed, rows};
use super::dialect;
use super::rights::refuse_closed_schema;
use super::type_table::Arrays;
use crate::description::Key;
use crate::sql::refuse_foreign;

/// A relation as found.
#[derive(Debug)]
pub(super) struct CatalogEntry {
    /// Its oid; `None` for a query.
    pub(super) oid: Option<u32>,
    /// `pg_class.relkind`; `q` for a query.
    pub(super) kind: char,
    /// Whether row security may hide rows from this user.
    pub(super) row_security: bool,
    /// Its columns.
    pub(super) attributes: Vec<Attribute>,
    /// Columns of the primary key, in its order.
    pub(super) primary: Vec<String>,
    /// Columns that an index begins with.
    pub(super) indexed: Vec<String>,
    /// How far the rows lie in the order of each column, as the last ANALYZE saw it.
    pub(super) correlations: BTreeMap<String, f64>,
}

/// Looks a relation up.
pub(super) async fn find(connection: &mut Connection, relation: &Relation) -> Result<CatalogEntry> {
    refuse_foreign(relation)?;
    match relation {
        Relation::Query(sql) => find_query(connection, sql).await,
        _ => find_table(connection, relation).await,
    }
}

async fn find_table(connection: &mut Connection, relation: &Relation) -> Result<CatalogEntry> {
    let what = || format!("describe table `{relation}`");
    refuse_closed_schema(connection, relation).await?;
    let name = dialect::literal(&dialect::relation(relation));
    let sql = format!(
        "select c.oid, c.relkind::text, \
                c.relrowsecurity and row_security_active(c.oid), \
                has_table_privilege(c.oid, 'select') or has_any_column_privilege(c.oid, 'select'), \
                c.relispopulated \
         from pg_class c where c.oid = to_regclass({name})"
    );
    let found = rows(connection, &sql, what).await?;
    let Some(row) = found.first() else {
        return Err(not_found(connection, relation).await?);
    };
    let oid = get::<Oid>(row, 0)?.0;
    let kind = get::<String>(row, 1)?.chars().next().unwrap_or(' ');
    if !get::<bool>(row, 3)? {
        return Err(Error::new(Kind::Denied, what())
            .because("this user may not read it")
            .hint(format!("grant SELECT on `{relation}` to this user")));
    }
    if !"rpvmf".contains(kind) {
        return Err(Error::invalid(format!("{}: it is not a table or view", what())));
    }
    if !get::<bool>(row, 4)? {
        return Err(unpopulated(&what(), &relation.to_string()));
    }
    // No privilege is known of a column that was dropped since this transaction's snapshot.
    let sql = format!(
        "select a.attname::text, a.atttypid, a.atttypmod, a.attnotnull, \
                format_type(a.atttypid, a.atttypmod), a.attndims::int4, \
                coalesce(has_column_privilege(a.attrelid, a.attnum, 'select'), false) \
         from pg_attribute a where a.attrelid = {oid} and a.attnum > 0 and not a.attisdropped \
         order by a.attnum"
    );
    let raw = rows(connection, &sql, what).await?;
    let raw = raw.iter().map(RawAttribute::read).collect::<Result<Vec<_>>>()?;
    let attributes = attributes(connection, raw).await?;
    let sql = format!(
        "select a.attname::text, k.n = 1, i.indisprimary \
         from pg_index i \
         join pg_class x on x.oid = i.indexrelid \
         cross join lateral unnest(i.indkey[0:i.indnkeyatts - 1]) with ordinality as k(attnum, n) \
         join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum \
         where i.indrelid = {oid} and i.indisvalid and i.indpred is null and x.relam = {BTREE} \
         order by i.indexrelid, k.n"
    );
    let mut primary = Vec::new();
    let mut indexed = Vec::new();
    // Without its indexes a table is cut by its pages, or where the job says.
    for row in &if_allowed(connection, &sql, what).await?.unwrap_or_default() {
        let name: String = get(row, 0)?;
        if get::<bool>(row, 1)? && !indexed.contains(&name) {
            indexed.push(name.clone());
        }
        if get::<bool>(row, 2)? {
            primary.push(name);
        }
    }
    let row_security = get::<bool>(row, 2)?;
    let correlations = correlations(connection, oid).await?;
    let oid = Some(oid);
    Ok(CatalogEntry { oid, kind, row_security, attributes, primary, indexed, correlations })
}

/// Reads the correlation of each column of a table. A partitioned table gives no correlations, because its
/// rows lie in its partitions.
async fn correlations(connection: &mut Connection, oid: u32) -> Result<BTreeMap<String, f64>> {
    let sql = format!(
        "select s.attname::text, s.correlation::float8 from pg_stats s \
         join pg_namespace n on n.nspname = s.schemaname \
         join pg_class c on c.relnamespace = n.oid and c.relname = s.tablename \
         where c.oid = {oid} and not s.inherited and s.correlation is not null"
    );
    let what = || "read the statistics of a table".to_owned();
    let found = if_allowed(connection, &sql, what).await?.unwrap_or_default();
    found.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect()
}

/// A query's columns, from the server's own description of its result.
async fn find_query(connection: &mut Connection, sql: &str) -> Result<CatalogEntry> {
    let what = || "describe query".to_owned();
    // The query stands on lines of its own, so that a comment at its end swallows nothing. `limit 0`
    // on the right of the join makes one row of NULLs: the query is planned and not executed.
    let wrapped = format!(
        "select q.* from (select) as one \
         left join (select * from (\n{sql}\n) as q limit 0) as q on true"
    );
    let found = rows(connection, &wrapped, what).await?;
    let row = found.first().ok_or_else(|| Error::bug(what()))?;
    let mut raw = Vec::new();
    for column in row.columns() {
        raw.push(RawAttribute {
            name: column.name.clone(),
            oid: column.oid.0,
            typmod: -1,
            nullable: true,
            display: String::new(),
            dimensions: 0,
            readable: true,
        });
    }
    for (at, attribute) in raw.iter().enumerate() {
        if raw.iter().take(at).any(|other| other.name == attribute.name) {
            return Err(Error::invalid(format!(
                "describe query: two columns are called `{}`",
                attribute.name
            ))
            .hint("give one of them another name in the query: `select a.id as a_id, ...`"));
        }
    }
    Ok(CatalogEntry {
        oid: None,
        kind: 'q',
        row_security: false,
        attributes: attributes(connection, raw).await?,
        primary: Vec::new(),
        indexed: Vec::new(),
        correlations: BTreeMap::new(),
    })
}

/// The error of what reads a materialized view that holds no result yet.
pub(super) fn unpopulated(doing: &str, view: &str) -> Error {
    let what = format!("{doing}: materialized view `{view}` has not been populated");
    Error::new(Kind::Denied, what).hint(format!("run `REFRESH MATERIALIZED VIEW {view}`"))
}

/// Why a relation was not found, with the name that was probably meant.
async fn not_found(connection: &mut Connection, relation: &Relation) -> Result<Error> {
    let Relation::Table { schema, name, .. } = relation else {
        return Ok(Error::bug("look a query up"));
    };
    let sql = format!(
        "select n.nspname::text, c.relname::text from pg_class c \
         join pg_namespace n on n.oid = c.relnamespace \
         where c.relkind in ('r', 'p', 'v', 'm', 'f') and lower(c.relname) = lower({}) \
         order by n.nspname = {} desc, 1, 2 limit 1",
        dialect::literal(name),
        dialect::literal(schema.as_deref().unwrap_or("public")),
    );
    let near = rows(connection, &sql, || format!("look for table `{relation}`")).await?;
    let hint = match near.first() {
        Some(row) => {
            format!("there is a table `{}.{}`", get::<String>(row, 0)?, get::<String>(row, 1)?)
        }
        None => "write `schema.table`, with the names as the server has them".to_owned(),
    };
    Ok(Error::not_found(format!("describe table `{relation}`: there is no such table")).hint(hint))
}

impl CatalogEntry {
    /// The relation as it stands after FROM, without its partitions, which the server would lock
    /// all. Policies and rights that count are the relation's own.
    pub(super) fn alone(&self, relation: &Relation) -> String {
        let only = if matches!(self.kind, 'r' | 'p') { "only " } else { "" };
        format!("{only}{}", dialect::relation(relation))
    }

    /// Columns that it can be cut by.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.attributes
            .iter()
            .filter(|attribute| attribute.arrays == Arrays::None && attribute.extension.is_empty())
            .filter_map(|attribute| {
                let key_type = match attribute.base.as_str() {
                    "int2" | "int4" | "int8" => KeyType::Integer,
                    "date" => KeyType::Date,
                    "timestamp" => KeyType::Timestamp,
                    "timestamptz" => KeyType::Timestamptz,
                    _ => return None,
                };
                Some(Key {
                    column: attribute.name.clone(),
                    key_type,
                    indexed: self.indexed.contains(&attribute.name),
                    primary: self.primary.as_slice() == std::slice::from_ref(&attribute.name),
                    nullable: attribute.nullable,
                    correlation: self.correlations.get(&attribute.name).copied(),
                })
            })
            .collect()
    }
}
