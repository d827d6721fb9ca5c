//! The columns of a relation, down to their base types.

use std::collections::{HashMap, HashSet};

use super::driver::{Connection, Oid, Row};
use sluice_contracts::{Error, Result};

use super::FIRST_USER_OID;
use super::connection::{get, if_allowed, rows, text};
use super::type_table::{self, Arrays};

/// One column as found.
#[derive(Debug)]
pub(super) struct Attribute {
    pub(super) name: String,
    /// As `format_type` spells it.
    pub(super) display: String,
    pub(super) nullable: bool,
    /// Name of its type, or of its array's elements' type, domains unwrapped.
    pub(super) base: String,
    /// The extension that `base` belongs to; empty for the server's own types.
    pub(super) extension: String,
    /// `pg_type.typtype` of the same.
    pub(super) typtype: char,
    /// Modifier of the column or of its domain.
    pub(super) typmod: i32,
    pub(super) arrays: Arrays,
    /// Which type inside of a composite the server's JSON does not hold exactly, and why.
    pub(super) inexact: Option<String>,
    /// Whether a composite has arrays inside of it.
    pub(super) has_arrays: bool,
    /// Whether this user may read it.
    pub(super) readable: bool,
}

/// A column before its type is looked up.
pub(super) struct RawAttribute {
    pub(super) name: String,
    pub(super) oid: u32,
    pub(super) typmod: i32,
    pub(super) nullable: bool,
    /// As `format_type` spells it; empty if it was not queried.
    pub(super) display: String,
    /// Dimensions that an array is declared with; the server does not enforce them.
    pub(super) dimensions: i32,
    /// Whether this user may read it.
    pub(super) readable: bool,
}

impl RawAttribute {
    pub(super) fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            name: text(row, 0)?,
            oid: get::<Oid>(row, 1)?.0,
            typmod: get(row, 2)?,
            nullable: !get::<bool>(row, 3)?,
            display: text(row, 4)?,
            dimensions: get(row, 5)?,
            readable: get(row, 6)?,
        })
    }
}

/// A row of `pg_type`.
struct TypeRow {
    /// With its schema, unless it is the server's own or an extension's: a user's type may have the
    /// name of one of those and be sent in another form.
    name: String,
    extension: String,
    typtype: char,
    base: u32,
    typmod: i32,
    element: u32,
    array: bool,
    display: String,
    /// Dimensions that a domain over an array is declared with.
    dimensions: i32,
    /// Types of a composite's attributes.
    members: Vec<u32>,
}

/// Unwraps domains and arrays down to their base types.
pub(super) async fn attributes(
    connection: &mut Connection,
    raw: Vec<RawAttribute>,
) -> Result<Vec<Attribute>> {
    let types = types(connection, raw.iter().map(|attribute| attribute.oid)).await?;
    let mut attributes =
        raw.iter().map(|attribute| unwrap(attribute, &types)).collect::<Result<Vec<_>>>()?;
    let is_money = |a: &Attribute| a.base == "money" && a.extension.is_empty();
    if attributes.iter().any(is_money) {
        let typmod = money_typmod(connection).await?;
        for attribute in attributes.iter_mut().filter(|attribute| is_money(attribute)) {
            attribute.typmod = typmod;
        }
    }
    Ok(attributes)
}

/// The modifier of a `numeric` with as many digits after the point as the currency of this
/// database has: `lc_monetary` says so, and the values are meant that way.
async fn money_typmod(connection: &mut Connection) -> Result<i32> {
    const SQL: &str = "select pg_catalog.scale('0'::pg_catalog.money::pg_catalog.numeric)";
    let found = rows(connection, SQL, || "look up the digits of money".to_owned()).await?;
    let scale = found.first().map(|row| get::<i32>(row, 0)).transpose()?.unwrap_or(2);
    Ok(((19 << 16) | scale) + 4)
}

fn unwrap(raw: &RawAttribute, types: &HashMap<u32, TypeRow>) -> Result<Attribute> {
    let missing = || Error::bug(format!("look up the type of column `{}`", raw.name));
    let mut oid = raw.oid;
    let mut typmod = raw.typmod;
    let mut arrays = Arrays::None;
    let mut dimensions = raw.dimensions;
    let mut nullable = raw.nullable;
    loop {
        let row = types.get(&oid).ok_or_else(missing)?;
        if row.typtype == 'd' {
            typmod = if row.typmod == -1 { typmod } else { row.typmod };
            dimensions = dimensions.max(row.dimensions);
            // A domain's NOT NULL is not enforced in every case.
            nullable = true;
            oid = row.base;
        } else if row.array {
            let one = arrays == Arrays::None && dimensions <= 1;
            arrays = if one { Arrays::One } else { Arrays::Deep };
            oid = row.element;
        } else {
            let display = if raw.display.is_empty() {
                types.get(&raw.oid).ok_or_else(missing)?.display.clone()
            } else {
                raw.display.clone()
            };
            let inside = inside(oid, types);
            let inexact = inside.iter().find_map(|row| {
                let why = type_table::inexact_json(&row.extension, &row.name, row.typtype)?;
                Some(format!("of the `{}` inside of it, {why}", row.display))
            });
            return Ok(Attribute {
                name: raw.name.clone(),
                display,
                nullable,
                base: row.name.clone(),
                extension: row.extension.clone(),
                typtype: row.typtype,
                typmod,
                arrays,
                inexact,
                has_arrays: inside.iter().any(|row| row.array),
                readable: raw.readable,
            });
        }
    }
}

/// Every type inside of a composite, at whatever depth.
fn inside(composite: u32, types: &HashMap<u32, TypeRow>) -> Vec<&TypeRow> {
    let mut next: Vec<u32> = types.get(&composite).map_or_else(Vec::new, |row| row.members.clone());
    let mut seen: HashSet<u32> = next.iter().copied().collect();
    let mut found = Vec::new();
    while let Some(row) = next.pop().and_then(|oid| types.get(&oid)) {
        let below = row.members.iter().chain([&row.base, &row.element]);
        next.extend(below.copied().filter(|oid| *oid != 0 && seen.insert(*oid)));
        found.push(row);
    }
    found
}

async fn types(
    connection: &mut Connection,
    oids: impl Iterator<Item = u32>,
) -> Result<HashMap<u32, TypeRow>> {
    let oids: Vec<String> = oids.map(|oid| oid.to_string()).collect();
    let sql = format!(
        "with recursive found(oid) as (\
           select unnest('{{{}}}'::oid[]) \
           union \
           select below.oid from found f join pg_type t on t.oid = f.oid \
           cross join lateral (\
             select t.typbasetype where t.typtype = 'd' \
             union all select t.typelem where t.typelem <> 0 \
             union all select a.atttypid from pg_attribute a \
               where t.typtype = 'c' and a.attrelid = t.typrelid \
               and a.attnum > 0 and not a.attisdropped) as below(oid)) \
         select t.oid, case when n.nspname = 'pg_catalog' \
                  then t.typname::text else format('%I.%I', n.nspname, t.typname) end, \
                t.typtype::text, t.typbasetype, t.typtypmod, t.typelem, \
                t.typelem <> 0 and t.typlen = -1 and t.typcategory = 'A' \
                  and t.typname not in ('int2vector', 'oidvector'), \
                format_type(t.oid, null), t.typname::text, t.typndims::int4, \
                array(select a.atttypid from pg_attribute a where t.typtype = 'c' \
                  and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped) \
         from found f join pg_type t on t.oid = f.oid join pg_namespace n on n.oid = t.typnamespace",
        oids.join(",")
    );
    let found = rows(connection, &sql, || "describe the columns' types".to_owned()).await?;
    let oids = found.iter().map(|row| Ok(get::<Oid>(row, 0)?.0)).collect::<Result<Vec<_>>>()?;
    let mut extensions = extensions(connection, &oids).await?;
    let mut types = HashMap::new();
    for (oid, row) in oids.into_iter().zip(&found) {
        let extension = extensions.remove(&oid);
        types.insert(
            oid,
            TypeRow {
                name: text(row, if extension.is_some() { 8 } else { 1 })?,
                typtype: get::<String>(row, 2)?.chars().next().unwrap_or(' '),
                base: get::<Oid>(row, 3)?.0,
                typmod: get(row, 4)?,
                element: get::<Oid>(row, 5)?.0,
                array: get(row, 6)?,
                display: text(row, 7)?,
                extension: extension.unwrap_or_default(),
                dimensions: get(row, 9)?,
                members: get::<Vec<Oid>>(row, 10)?.into_iter().map(|oid| oid.0).collect(),
            },
        );
    }
    Ok(types)
}

/// The extensions that types belong to. Without the catalogs that say it, a type of an extension is
/// taken for a user's own.
async fn extensions(connection: &mut Connection, types: &[u32]) -> Result<HashMap<u32, String>> {
    let oids = types.iter().filter(|oid| **oid >= FIRST_USER_OID);
    let oids: Vec<String> = oids.map(u32::to_string).collect();
    if oids.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = format!(
        "select d.objid, x.extname::text from pg_depend d join pg_extension x on x.oid = d.refobjid \
         where d.classid = 'pg_type'::regclass and d.objid = any('{{{}}}'::oid[]) \
         and d.objsubid = 0 and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'",
        oids.join(",")
    );
    let what = || "look which types belong to extensions".to_owned();
    let found = if_allowed(connection, &sql, what).await?.unwrap_or_default();
    found.iter().map(|row| Ok((get::<Oid>(row, 0)?.0, text(row, 1)?))).collect()
}
