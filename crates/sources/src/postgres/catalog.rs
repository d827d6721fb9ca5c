//! What the catalog says of a relation.

use std::collections::HashMap;

use sluice_contracts::manifest::Relation;
use sluice_contracts::unit::KeyType;
use sluice_contracts::{Error, Result};
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Column as _, Executor, SqlSafeStr as _, Statement as _};

use super::connection::{failed, get, rows};
use super::dialect;
use crate::source::Key;

/// A relation as found.
#[derive(Debug)]
pub(super) struct Found {
    /// Its oid; none for a query.
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
}

/// One column as found.
#[derive(Debug)]
pub(super) struct Attribute {
    pub(super) name: String,
    /// As `format_type` spells it.
    pub(super) display: String,
    pub(super) nullable: bool,
    /// Name of its type, or of its array's elements' type, domains unwrapped.
    pub(super) base: String,
    /// `pg_type.typtype` of the same.
    pub(super) typtype: char,
    /// Modifier of the column or of its domain.
    pub(super) typmod: i32,
    pub(super) array: bool,
}

/// Looks a relation up.
pub(super) async fn find(connection: &mut PgConnection, relation: &Relation) -> Result<Found> {
    match relation {
        Relation::Table { .. } => find_table(connection, relation).await,
        Relation::Query(sql) => find_query(connection, sql).await,
    }
}

async fn find_table(connection: &mut PgConnection, relation: &Relation) -> Result<Found> {
    let what = || format!("describe table `{relation}`");
    let name = dialect::literal(&dialect::relation(relation));
    let sql = format!(
        "select c.oid, c.relkind::text, \
                c.relrowsecurity and row_security_active(c.oid), \
                has_table_privilege(c.oid, 'select') or has_any_column_privilege(c.oid, 'select') \
         from pg_class c where c.oid = to_regclass({name})"
    );
    let found = rows(connection, &sql, what).await?;
    let Some(row) = found.first() else {
        return Err(not_found(connection, relation).await?);
    };
    let oid = get::<Oid>(row, 0)?.0;
    let kind = get::<String>(row, 1)?.chars().next().unwrap_or(' ');
    if !get::<bool>(row, 3)? {
        return Err(Error::new(sluice_contracts::Kind::Denied, what())
            .because("this user may not read it")
            .hint(format!("grant SELECT on `{relation}` to this user")));
    }
    if !"rpvmf".contains(kind) {
        return Err(Error::invalid(format!("{}: it is no table or view", what())));
    }
    let sql = format!(
        "select a.attname::text, a.atttypid, a.atttypmod, a.attnotnull, \
                format_type(a.atttypid, a.atttypmod) \
         from pg_attribute a where a.attrelid = {oid} and a.attnum > 0 and not a.attisdropped \
         order by a.attnum"
    );
    let raw = rows(connection, &sql, what).await?;
    let raw = raw.iter().map(raw_attribute).collect::<Result<Vec<_>>>()?;
    let attributes = attributes(connection, raw).await?;
    let sql = format!(
        "select a.attname::text, k.n = 1, i.indisprimary \
         from pg_index i \
         join pg_class x on x.oid = i.indexrelid join pg_am m on m.oid = x.relam \
         cross join lateral unnest(i.indkey[0:i.indnkeyatts - 1]) with ordinality as k(attnum, n) \
         join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum \
         where i.indrelid = {oid} and i.indisvalid and i.indpred is null and m.amname = 'btree' \
         order by i.indexrelid, k.n"
    );
    let mut primary = Vec::new();
    let mut indexed = Vec::new();
    for row in &rows(connection, &sql, what).await? {
        let name: String = get(row, 0)?;
        if get::<bool>(row, 1)? && !indexed.contains(&name) {
            indexed.push(name.clone());
        }
        if get::<bool>(row, 2)? {
            primary.push(name);
        }
    }
    let row_security = get::<bool>(row, 2)?;
    Ok(Found { oid: Some(oid), kind, row_security, attributes, primary, indexed })
}

/// A query's columns, from the server's own description of its result.
async fn find_query(connection: &mut PgConnection, sql: &str) -> Result<Found> {
    let what = || "describe query".to_owned();
    // On lines of its own, so that a comment at its end does not swallow the rest.
    let wrapped = format!("select * from (\n{sql}\n) as q");
    let statement = (&mut *connection)
        .prepare(AssertSqlSafe(wrapped).into_sql_str())
        .await
        .map_err(|error| failed(what(), error))?;
    let mut raw = Vec::new();
    for column in statement.columns() {
        let Some(oid) = column.type_info().oid() else {
            return Err(Error::invalid(format!(
                "describe query: column `{}` has a type that the driver cannot name",
                column.name()
            ))
            .hint("cast it in the query"));
        };
        raw.push(RawAttribute {
            name: column.name().to_owned(),
            oid: oid.0,
            typmod: -1,
            nullable: true,
            display: String::new(),
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
    Ok(Found {
        oid: None,
        kind: 'q',
        row_security: false,
        attributes: attributes(connection, raw).await?,
        primary: Vec::new(),
        indexed: Vec::new(),
    })
}

/// Why a relation was not found, with the name that was probably meant.
async fn not_found(connection: &mut PgConnection, relation: &Relation) -> Result<Error> {
    let Relation::Table { schema, name } = relation else {
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

struct RawAttribute {
    name: String,
    oid: u32,
    typmod: i32,
    nullable: bool,
    display: String,
}

fn raw_attribute(row: &PgRow) -> Result<RawAttribute> {
    Ok(RawAttribute {
        name: get(row, 0)?,
        oid: get::<Oid>(row, 1)?.0,
        typmod: get(row, 2)?,
        nullable: !get::<bool>(row, 3)?,
        display: get(row, 4)?,
    })
}

/// A row of `pg_type`.
struct TypeRow {
    /// With its schema, unless it is the server's own: a user's type may share a name with one of
    /// those and be sent quite differently.
    name: String,
    typtype: char,
    base: u32,
    typmod: i32,
    element: u32,
    array: bool,
    display: String,
}

/// Unwraps domains and arrays until the types at their bottom are found.
async fn attributes(
    connection: &mut PgConnection,
    raw: Vec<RawAttribute>,
) -> Result<Vec<Attribute>> {
    let types = types(connection, raw.iter().map(|attribute| attribute.oid)).await?;
    raw.iter().map(|attribute| unwrap(attribute, &types)).collect()
}

fn unwrap(raw: &RawAttribute, types: &HashMap<u32, TypeRow>) -> Result<Attribute> {
    let missing = || Error::bug(format!("look up the type of column `{}`", raw.name));
    let mut oid = raw.oid;
    let mut typmod = raw.typmod;
    let mut array = false;
    let mut nullable = raw.nullable;
    loop {
        let row = types.get(&oid).ok_or_else(missing)?;
        if row.typtype == 'd' {
            typmod = if row.typmod == -1 { typmod } else { row.typmod };
            // A domain's NOT NULL is not enforced for every way a NULL can come about.
            nullable = true;
            oid = row.base;
        } else if row.array && !array {
            array = true;
            oid = row.element;
        } else {
            let display = if raw.display.is_empty() {
                types.get(&raw.oid).ok_or_else(missing)?.display.clone()
            } else {
                raw.display.clone()
            };
            return Ok(Attribute {
                name: raw.name.clone(),
                display,
                nullable,
                base: row.name.clone(),
                typtype: row.typtype,
                typmod,
                array,
            });
        }
    }
}

async fn types(
    connection: &mut PgConnection,
    oids: impl Iterator<Item = u32>,
) -> Result<HashMap<u32, TypeRow>> {
    let oids: Vec<String> = oids.map(|oid| oid.to_string()).collect();
    let sql = format!(
        "with recursive found(oid) as (\
           select unnest('{{{}}}'::oid[]) \
           union \
           select case when t.typtype = 'd' then t.typbasetype else t.typelem end \
           from found f join pg_type t on t.oid = f.oid \
           where t.typtype = 'd' or t.typelem <> 0) \
         select t.oid, case when n.nspname = 'pg_catalog' or t.typname = 'citext' then t.typname::text \
                  else format('%I.%I', n.nspname, t.typname) end, t.typtype::text, t.typbasetype, t.typtypmod, t.typelem, \
                t.typelem <> 0 and t.typlen = -1 and t.typcategory = 'A' \
                  and t.typname not in ('int2vector', 'oidvector'), \
                format_type(t.oid, null) \
         from found f join pg_type t on t.oid = f.oid join pg_namespace n on n.oid = t.typnamespace",
        oids.join(",")
    );
    let mut types = HashMap::new();
    for row in &rows(connection, &sql, || "describe the columns' types".to_owned()).await? {
        types.insert(
            get::<Oid>(row, 0)?.0,
            TypeRow {
                name: get(row, 1)?,
                typtype: get::<String>(row, 2)?.chars().next().unwrap_or(' '),
                base: get::<Oid>(row, 3)?.0,
                typmod: get(row, 4)?,
                element: get::<Oid>(row, 5)?.0,
                array: get(row, 6)?,
                display: get(row, 7)?,
            },
        );
    }
    Ok(types)
}

impl Found {
    /// Columns that it can be cut by.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.attributes
            .iter()
            .filter(|attribute| !attribute.array)
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
                })
            })
            .collect()
    }
}
