//! The tables of a database, and those that SQLite's modules make.

use rusqlite::{Connection, OptionalExtension as _};
use sluice_contracts::job::TableName;
use sluice_contracts::{Error, Result};

use super::connection::failed;
use super::dialect::{first, quote};
use crate::description::Listing;

/// Lists the database's own tables. Virtual tables, and the shadow tables in which they keep their
/// data, are excluded: a job that wants one names it.
pub(super) fn list(connection: &Connection) -> Result<Listing> {
    let listed = || -> rusqlite::Result<Listing> {
        let mut statement = connection.prepare(
            "SELECT list.name, list.type, own.sql FROM pragma_table_list AS list
             LEFT JOIN sqlite_schema AS own ON own.type = 'table' AND own.name = list.name
             WHERE list.schema = 'main' AND list.type IN ('table', 'virtual', 'shadow')
               AND list.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
             ORDER BY list.name",
        )?;
        let mut rows = statement.query([])?;
        let mut listing = Listing::default();
        while let Some(row) = rows.next()? {
            let (name, kind): (String, String) = (row.get(0)?, row.get(1)?);
            let reason = match kind.as_str() {
                "virtual" => {
                    let made = row.get::<_, Option<String>>(2)?;
                    Some(match made.as_deref().and_then(module) {
                        Some(module) => format!("it is a virtual table of module `{module}`"),
                        None => "it is a virtual table".to_owned(),
                    })
                }
                // SQLite knows them by this very part of their names.
                "shadow" => name.rsplit_once('_').map(|(owner, _)| {
                    format!("it is a shadow table: it keeps the data of virtual table `{owner}`")
                }),
                _ => None,
            };
            let table = TableName { schema: None, name };
            match reason {
                Some(reason) => listing.excluded.push((table, reason)),
                None => listing.tables.push(table),
            }
        }
        Ok(listing)
    };
    listed().map_err(|error| failed(error, "list the tables of the database"))
}

/// Refuses a virtual table whose module this program does not have.
pub(super) fn refuse_unknown_module(connection: &Connection, table: &str) -> Result<()> {
    let find = || -> rusqlite::Result<Option<String>> {
        let sql = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1";
        let made = first::<Option<String>>(connection, sql, [table])?.flatten();
        let Some(module) = made.as_deref().and_then(module) else { return Ok(None) };
        let known = connection
            .query_row(
                "SELECT 1 FROM pragma_module_list WHERE name = ?1 COLLATE NOCASE",
                [&module],
                |_| Ok(()),
            )
            .optional()?;
        Ok(known.is_none().then_some(module))
    };
    match find().map_err(|error| failed(error, format!("describe table `{table}`")))? {
        None => Ok(()),
        Some(module) => Err(Error::invalid(format!(
            "describe table `{table}`: it is a virtual table of module `{module}`, which this \
             program does not have"
        ))
        .hint(format!(
            "leave the table out, or copy its rows in a program that has the module: `CREATE TABLE \
             ... AS SELECT * FROM {}`",
            quote(table)
        ))),
    }
}

/// The module that a `CREATE VIRTUAL TABLE` statement names. SQLite keeps the statement from the
/// table's name on as it was typed.
fn module(sql: &str) -> Option<String> {
    let rest = sql.get(..CREATE.len()).filter(|start| start.eq_ignore_ascii_case(CREATE));
    let (_, rest) = name(rest.and(sql.get(CREATE.len()..))?)?;
    let (using, rest) = name(rest)?;
    using.eq_ignore_ascii_case("USING").then_some(name(rest)?.0)
}

const CREATE: &str = "CREATE VIRTUAL TABLE ";

/// The name or word that a text begins with, without its quotes, and the rest.
fn name(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start();
    let close = match text.chars().next()? {
        quote @ ('"' | '\'' | '`') => quote,
        '[' => ']',
        _ => {
            let ends = |c: char| c.is_ascii_whitespace() || "(;,\"'`[".contains(c);
            let (word, rest) = text.split_at(text.find(ends).unwrap_or(text.len()));
            return (!word.is_empty()).then(|| (word.to_owned(), rest));
        }
    };
    let (mut found, mut rest) = (String::new(), &text[1..]);
    loop {
        let (part, after) = rest.split_once(close)?;
        found.push_str(part);
        // A quote within a name is doubled.
        match after.strip_prefix(close).filter(|_| close != ']') {
            Some(more) => {
                found.push(close);
                rest = more;
            }
            None => return Some((found, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::module;

    #[test]
    fn the_module_follows_the_name_of_the_table_however_it_is_quoted() {
        for sql in [
            "CREATE VIRTUAL TABLE docs USING fts5(title, body)",
            "CREATE VIRTUAL TABLE docs\n\tusing fts5",
            "CREATE VIRTUAL TABLE \"my \"\"docs\"\" using x\" USING \"fts5\"(title)",
            "CREATE VIRTUAL TABLE [a using] USING [fts5] (title)",
            "CREATE VIRTUAL TABLE 'it''s'USING fts5;",
            "create virtual table größe USING `fts5`(\"using\")",
        ] {
            assert_eq!(module(sql).as_deref(), Some("fts5"), "{sql}");
        }
        for sql in
            ["", "CREATE TABLE t (a INT)", "CREATE VIRTUAL TABLE", "CREATE VIRTUAL TABLE \"t"]
        {
            assert_eq!(module(sql), None, "{sql}");
        }
    }
}
