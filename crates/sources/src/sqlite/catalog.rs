//! What the database says about a table, a view or a query.

use rusqlite::Connection;
use sluice_contracts::documents::{KeyType, Relation};
use sluice_contracts::{Error, Result};

use super::connection::failed;
use super::dialect::{filtered, first, from, qualifier, quote};
use super::listing::refuse_unknown_module;
use super::type_table::{Encoding, declared};
use crate::description::Key;
use crate::sql::refuse_foreign;

/// A relation as the database has it.
#[derive(Debug, Clone)]
pub(super) struct CatalogEntry {
    /// For messages: "table `events`" or "the query".
    pub(super) title: String,
    /// Name without quotes; empty for a query.
    pub(super) name: String,
    /// After `FROM`.
    pub(super) from: String,
    /// Before a column's name.
    qualifier: String,
    pub(super) form: Form,
    /// Whether SQLite itself refuses values of other types than the declared ones.
    pub(super) strict: bool,
    pub(super) columns: Vec<SourceColumn>,
}

/// What kind of relation, as far as reading it differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// A table whose rows have numbers, under this name.
    Rowid(String),
    /// A table that is its primary key's index.
    WithoutRowid,
    /// A view, a virtual table or a query.
    Derived,
}

/// One column as the database has it.
#[derive(Debug, Clone)]
pub(super) struct SourceColumn {
    pub(super) name: String,
    /// Declared type; empty if none.
    pub(super) declared: String,
    pub(super) not_null: bool,
    /// Place in the primary key, from 1; 0 outside of it.
    pub(super) primary: i64,
    /// Whether it is the row's number.
    pub(super) rowid: bool,
    /// The name of an index that begins with it, empty for the table's own order.
    pub(super) index: Option<String>,
}

impl CatalogEntry {
    /// Looks a relation up.
    pub(super) fn look_up(connection: &Connection, relation: &Relation) -> Result<Self> {
        refuse_foreign(relation)?;
        match relation {
            Relation::Table { schema, name, .. } => {
                table(connection, relation, schema.as_deref(), name)
            }
            _ => query(connection, relation),
        }
    }

    /// The column of this name. SQLite's names ignore case.
    pub(super) fn column(&self, name: &str) -> Result<&SourceColumn> {
        let exact = self.columns.iter().find(|column| column.name == name);
        exact
            .or_else(|| self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)))
            .ok_or_else(|| {
                let known = self.columns.iter().map(|column| column.name.as_str());
                Error::not_found(format!("describe {}: no column `{name}`", self.title))
                    .hint(nearest(name, known, "it has"))
            })
    }

    /// A column's name as SQL.
    pub(super) fn sql(&self, column: &str) -> String {
        format!("{}.{}", self.qualifier, quote(column))
    }

    /// A `SELECT` of expressions over the relation.
    pub(super) fn select(&self, expressions: &str, conditions: &[&str]) -> String {
        format!("SELECT {expressions} FROM {}{}", self.from, filtered(conditions))
    }

    /// Names and types of the columns, in order.
    pub(super) fn shape(&self) -> String {
        let columns: Vec<[&str; 2]> = self
            .columns
            .iter()
            .map(|column| [column.name.as_str(), column.declared.as_str()])
            .collect();
        serde_json::Value::from(
            columns.iter().map(|column| serde_json::json!(column)).collect::<Vec<_>>(),
        )
        .to_string()
    }

    /// The primary key, in its own order.
    pub(super) fn identity(&self) -> Vec<String> {
        let mut columns: Vec<&SourceColumn> =
            self.columns.iter().filter(|column| column.primary > 0).collect();
        columns.sort_by_key(|column| column.primary);
        columns.into_iter().map(|column| column.name.clone()).collect()
    }

    /// Columns that the relation can be cut by. Only those whose declared type gives their values
    /// the order of the bounds: integers, and days written as text.
    pub(super) fn keys(&self) -> Vec<Key> {
        let composite = self.columns.iter().filter(|column| column.primary > 0).count() > 1;
        self.columns
            .iter()
            .filter_map(|column| {
                let key_type = match declared(&column.declared).encoding {
                    Encoding::Integer => KeyType::Integer,
                    Encoding::Date => KeyType::Date,
                    Encoding::Datetime(_) => KeyType::Timestamp,
                    Encoding::Timestamp(_) => KeyType::Timestamptz,
                    _ => return None,
                };
                let unwritten = self.form == Form::WithoutRowid && column.primary > 0;
                Some(Key {
                    column: column.name.clone(),
                    key_type,
                    indexed: column.index.is_some(),
                    primary: column.primary > 0 && !composite,
                    nullable: !(column.not_null || column.rowid || unwritten),
                    correlation: None,
                })
            })
            .collect()
    }
}

fn table(
    connection: &Connection,
    relation: &Relation,
    schema: Option<&str>,
    wanted: &str,
) -> Result<CatalogEntry> {
    let doing = || format!("describe table `{wanted}`");
    if let Some(schema) = schema.filter(|schema| !schema.eq_ignore_ascii_case("main")) {
        return Err(Error::not_found(format!(
            "describe table `{schema}.{wanted}`: a SQLite database has no schema `{schema}`"
        ))
        .hint(format!("write `{wanted}`; quote a name that has a dot: `\"{schema}.{wanted}\"`")));
    }
    let row = connection.query_row(
        "SELECT name, type, wr, strict FROM pragma_table_list
         WHERE schema = 'main' AND name = ?1 COLLATE NOCASE",
        [wanted],
        |row| {
            let (name, kind): (String, String) = (row.get(0)?, row.get(1)?);
            Ok((name, kind, row.get::<_, bool>(2)?, row.get::<_, bool>(3)?))
        },
    );
    let (name, kind, without_rowid, strict) = match row {
        Ok(row) => row,
        Err(rusqlite::Error::QueryReturnedNoRows) => return Err(absent(connection, wanted)),
        Err(error) => return Err(failed(error, doing())),
    };
    if kind == "virtual" {
        refuse_unknown_module(connection, &name)?;
    }
    let columns = columns(connection, &name).map_err(|error| failed(error, doing()))?;
    let form = if without_rowid { Form::WithoutRowid } else { Form::Derived };
    let mut found = CatalogEntry {
        title: format!("{} `{name}`", if kind == "view" { "view" } else { "table" }),
        from: from(relation),
        qualifier: qualifier(relation),
        name,
        form,
        strict,
        columns,
    };
    if kind == "table" {
        indexes(connection, &mut found, without_rowid).map_err(|error| failed(error, doing()))?;
    }
    Ok(found)
}

fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<SourceColumn>> {
    // Hidden columns of virtual tables are arguments, not data; generated ones (2, 3) are data.
    let mut statement = connection.prepare(
        "SELECT name, type, \"notnull\", pk FROM pragma_table_xinfo(?1, 'main')
         WHERE hidden <> 1 ORDER BY cid",
    )?;
    let rows = statement.query_map([table], |row| {
        Ok(SourceColumn {
            name: row.get(0)?,
            declared: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
            not_null: row.get(2)?,
            primary: row.get(3)?,
            rowid: false,
            index: None,
        })
    })?;
    rows.collect()
}

/// Finds the row number's name, and which columns an index begins with.
fn indexes(
    connection: &Connection,
    found: &mut CatalogEntry,
    without_rowid: bool,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(
        "SELECT list.name, list.origin, list.partial, info.name, info.coll
         FROM pragma_index_list(?1, 'main') AS list, pragma_index_xinfo(list.name, 'main') AS info
         WHERE info.seqno = 0",
    )?;
    let mut primary_index = false;
    let mut rows = statement.query([&found.name])?;
    while let Some(row) = rows.next()? {
        let own = row.get::<_, String>(1)? == "pk";
        primary_index |= own;
        let (index, partial): (String, bool) = (row.get(0)?, row.get(2)?);
        let collation: Option<String> = row.get(4)?;
        // An index of an expression has no column; an index in another order than the column's own
        // is not used for its ranges.
        let Some(leading) = row.get::<_, Option<String>>(3)? else { continue };
        if partial || !collation.is_none_or(|order| order.eq_ignore_ascii_case("BINARY")) {
            continue;
        }
        let index = if own && without_rowid { String::new() } else { index };
        for column in found.columns.iter_mut().filter(|column| column.name == leading) {
            column.index.get_or_insert_with(|| index.clone());
        }
    }
    if without_rowid {
        return Ok(());
    }
    // `INTEGER PRIMARY KEY` is the row's number unless it needed an index of its own.
    let only = found.columns.iter().filter(|column| column.primary > 0).count() == 1;
    let alias =
        found.columns.iter_mut().find(|column| column.primary > 0).filter(|column| {
            only && !primary_index && column.declared.eq_ignore_ascii_case("INTEGER")
        });
    if let Some(alias) = alias {
        alias.rowid = true;
        alias.index = Some(String::new());
        found.form = Form::Rowid(alias.name.clone());
        return Ok(());
    }
    let hidden =
        |name: &&&str| !found.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    if let Some(name) = ["rowid", "oid", "_rowid_"].iter().find(hidden) {
        found.form = Form::Rowid((*name).to_owned());
    }
    Ok(())
}

fn query(connection: &Connection, relation: &Relation) -> Result<CatalogEntry> {
    let doing = "describe the query";
    let sql = format!("SELECT * FROM {}", from(relation));
    let statement = connection.prepare(&sql).map_err(|error| failed(error, doing))?;
    let columns: Vec<SourceColumn> = statement
        .columns()
        .map(|column| SourceColumn {
            name: column.name().to_owned(),
            declared: column.decl_type().unwrap_or_default().to_owned(),
            not_null: false,
            primary: 0,
            rowid: false,
            index: None,
        })
        .collect();
    for (place, column) in columns.iter().enumerate() {
        if columns[..place].iter().any(|other| other.name.eq_ignore_ascii_case(&column.name)) {
            return Err(Error::invalid(format!(
                "describe the query: it has two columns `{}`",
                column.name
            ))
            .hint("give each column a name of its own with `AS`"));
        }
    }
    Ok(CatalogEntry {
        title: "the query".to_owned(),
        name: String::new(),
        from: from(relation),
        qualifier: qualifier(relation),
        form: Form::Derived,
        strict: false,
        columns,
    })
}

fn absent(connection: &Connection, wanted: &str) -> Error {
    let names = || -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare(
            "SELECT name FROM pragma_table_list
             WHERE schema = 'main' AND type <> 'shadow' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
             ORDER BY name",
        )?;
        statement.query_map([], |row| row.get(0))?.collect()
    };
    let names = names().unwrap_or_default();
    Error::not_found(format!("describe table `{wanted}`: it does not exist")).hint(nearest(
        wanted,
        names.iter().map(String::as_str),
        "the database has",
    ))
}

/// The name that was probably meant, or the first few known names.
fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>, has: &str) -> String {
    const SHOWN: usize = 10;
    let lower = typed.to_lowercase();
    let known: Vec<&str> = known.collect();
    let near = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= typed.chars().count() / 3);
    if let Some((_, name)) = near {
        return format!("did you mean `{name}`?");
    }
    if known.is_empty() {
        return format!("{has} nothing");
    }
    let names: Vec<String> = known.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let more = if known.len() > SHOWN { " and others" } else { "" };
    format!("{has} {}{more}", names.join(", "))
}

/// Pages of the database times their size: the whole file, not only one table's part.
pub(super) fn file_bytes(connection: &Connection) -> Result<u64> {
    let bytes = first::<i64>(
        connection,
        "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
        [],
    )
    .map_err(|error| failed(error, "read the size of the database"))?;
    Ok(bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0))
}
