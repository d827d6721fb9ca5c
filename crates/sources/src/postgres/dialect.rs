//! Cuts and names as PostgreSQL spells them.

use chrono::{DateTime, NaiveDate};
use sluice_contracts::documents::{Cut, KeyType, Leaf, Relation, Table, Unit};
use sluice_contracts::{Error, Result};

use super::type_table;
use crate::sql::{self, Dialect};

pub(super) use crate::sql::quoted as identifier;

/// Most partitions that one query reads, or that one question of planning is about.
pub(super) const READ_TOGETHER: usize = 16;
/// The alias of the relation that is read.
pub(super) const ALIAS: &str = "_sluice";

/// Text in single quotes. With `standard_conforming_strings`, the default since 9.1, a backslash
/// is a backslash; the `E` form says so whatever the setting.
pub(super) fn literal(text: &str) -> String {
    if text.contains('\\') {
        format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// A relation as it stands after FROM.
pub(super) fn relation(relation: &Relation) -> String {
    match relation {
        Relation::Table { catalog, schema, name } => {
            let parts = [catalog.as_deref(), schema.as_deref(), Some(name.as_str())];
            parts.into_iter().flatten().map(identifier).collect::<Vec<_>>().join(".")
        }
        // On lines of its own, so that a comment at its end does not swallow the rest.
        Relation::Query(sql) => format!("(\n{sql}\n)"),
        // Refused when the relation was looked up.
        Relation::Files { .. } => identifier(&relation.to_string()),
    }
}

/// A cut as a condition; empty for all rows.
pub(super) fn predicate(cut: &Cut) -> Result<String> {
    sql::predicate(&PostgresDialect, cut)
}

/// The dialect.
struct PostgresDialect;

impl Dialect for PostgresDialect {
    fn column(&self, name: &str) -> String {
        identifier(name)
    }

    fn key(&self, _: &str, key: KeyType, value: i64) -> Result<String> {
        key_literal(key, value)
    }

    fn hash(&self, columns: &[String], modulus: u32, remainder: u32) -> String {
        let row = match columns {
            [] => format!("({ALIAS}.*)"),
            columns => format!("row({})", columns.join(", ")),
        };
        format!(
            "(hashtextextended({row}::text, 0) % {modulus} + {modulus}) % {modulus} = {remainder}"
        )
    }

    fn blocks(&self, lo: u32, hi: Option<u32>) -> Result<String> {
        let lo = format!("ctid >= '({lo},0)'::tid");
        Ok(match hi {
            Some(hi) => format!("{lo} and ctid < '({hi},0)'::tid"),
            None => lo,
        })
    }
}

/// A key as a constant of its column's type, so that an index on the column can be used.
fn key_literal(key: KeyType, value: i64) -> Result<String> {
    Ok(match key {
        // Unquoted, the lowest integer would be a numeric.
        KeyType::Integer => format!("'{value}'::int8"),
        KeyType::Date => format!("'{}'::date", date_text(value)),
        KeyType::Timestamp => format!("'{}'::timestamp", timestamp_text(value)),
        KeyType::Timestamptz => format!("'{}+00'::timestamptz", timestamp_text(value)),
        KeyType::Unsigned | KeyType::Uuid => return Err(sql::unknown_key(key)),
    })
}

/// `2024-01-31`, or `infinity` past what can be written, which sorts after every date.
fn date_text(days: i64) -> String {
    let date = i32::try_from(days).ok().and_then(NaiveDate::from_epoch_days);
    match date {
        Some(date) if in_common_era(&date.format("%Y").to_string()) => {
            date.format("%F").to_string()
        }
        _ if days < 0 => "-infinity".to_owned(),
        _ => "infinity".to_owned(),
    }
}

fn timestamp_text(micros: i64) -> String {
    let time = DateTime::from_timestamp_micros(micros);
    match time {
        Some(time) if in_common_era(&time.format("%Y").to_string()) => {
            let format = if micros % 1_000_000 == 0 { "%F %T" } else { "%F %T%.6f" };
            time.format(format).to_string()
        }
        _ if micros < 0 => "-infinity".to_owned(),
        _ => "infinity".to_owned(),
    }
}

/// Years that both this crate and the server write with four digits.
fn in_common_era(year: &str) -> bool {
    year.len() == 4 && year != "0000"
}

/// The queries whose rows, one after another, are a unit's. Of many partitions each reads a few: a
/// query locks what it reads, and all indexes of that.
/// `alone` says that the table has no children: it is read without those that it may get.
pub(super) fn queries(table: &Table, unit: &Unit, alone: bool) -> Result<Vec<String>> {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| type_table::expression(column, &identifier(&column.source_name)))
        .collect();
    let predicate = predicate(&unit.cut)?;
    if predicate != unit.predicate {
        return Err(Error::data(format!(
            "read unit {} of `{}`: its predicate is not the one of its cut",
            unit.index, table.name
        ))
        .hint("the manifest was changed, or written by another version; start the run again"));
    }
    let columns = columns.join(", ");
    let select = |from: &str| {
        Ok::<_, Error>(format!("select {columns} {}", rows_of(table, unit, from, None)?))
    };
    match &unit.leaf {
        Some(Leaf::Partitions(names)) => names
            .chunks(READ_TOGETHER)
            .map(|names| {
                let each = names.iter().map(|name| select(&format!("only {name}")));
                Ok(each.collect::<Result<Vec<_>>>()?.join("\nunion all\n"))
            })
            .collect(),
        None if alone => Ok(vec![select(&format!("only {}", from(table, unit)?))?]),
        _ => Ok(vec![select(&from(table, unit)?)?]),
    }
}

/// The COPY statement that reads a query.
pub(super) fn copy(query: &str) -> String {
    format!("copy (\n{query}\n) to stdout (format binary)")
}

/// A query for the rows of a unit that meet a condition.
pub(super) fn search(table: &Table, unit: &Unit, condition: &str) -> Result<String> {
    Ok(format!("select * {}", rows_of(table, unit, &from(table, unit)?, Some(condition))?))
}

/// What holds the rows of a unit. Several partitions are not named here.
fn from(table: &Table, unit: &Unit) -> Result<String> {
    Ok(match &unit.leaf {
        Some(Leaf::Partition(name)) => format!("only {name}"),
        Some(Leaf::Object(_) | Leaf::Objects(_)) => {
            return Err(Error::data(format!(
                "read unit {} of `{}`: a database has no objects",
                unit.index, table.name
            ))
            .hint("the manifest was changed; start the run again"));
        }
        Some(Leaf::Partitions(_)) | None => relation(&table.relation),
    })
}

/// The query from FROM on: the rows of a unit, or those that meet one more condition.
fn rows_of(table: &Table, unit: &Unit, from: &str, condition: Option<&str>) -> Result<String> {
    let predicate = predicate(&unit.cut)?;
    let mut conditions = Vec::new();
    conditions.extend(table.filter.as_ref().map(|filter| format!("(\n{filter}\n)")));
    conditions.extend((!predicate.is_empty()).then(|| format!("({predicate})")));
    conditions.extend(condition.map(|condition| format!("({condition})")));
    let mut sql = format!("from {from} as {ALIAS}");
    if !conditions.is_empty() {
        sql.push_str(" where ");
        sql.push_str(&conditions.join(" and "));
    }
    Ok(sql)
}

/// `select` of columns of what a table job reads, with its filter.
pub(super) fn select(columns: &str, from: &str, filter: Option<&str>) -> String {
    let filter = filter.map_or_else(String::new, |filter| format!(" where (\n{filter}\n)"));
    format!("select {columns} from {from} as {ALIAS}{filter}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predicates_are_half_open_and_quoted() {
        let range =
            |key, lo, hi| predicate(&Cut::Range { column: "Id\"".into(), key, lo, hi }).unwrap();
        assert_eq!(
            range(KeyType::Integer, Some(i64::MIN), Some(7)),
            r#""Id""" >= '-9223372036854775808'::int8 and "Id""" < '7'::int8"#
        );
        assert_eq!(range(KeyType::Integer, None, None), r#""Id""" is not null"#);
        assert_eq!(range(KeyType::Date, Some(19_723), None), r#""Id""" >= '2024-01-01'::date"#);
        assert_eq!(
            range(KeyType::Timestamptz, None, Some(1_704_067_200_000_001)),
            r#""Id""" < '2024-01-01 00:00:00.000001+00'::timestamptz"#
        );
        assert_eq!(
            range(KeyType::Timestamp, Some(i64::MIN), None),
            r#""Id""" >= '-infinity'::timestamp"#
        );
        assert_eq!(
            predicate(&Cut::Blocks { lo: 0, hi: Some(4) }).unwrap(),
            "ctid >= '(0,0)'::tid and ctid < '(4,0)'::tid"
        );
    }

    #[test]
    fn text_is_quoted_whatever_it_holds() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal(r"a\'b"), r"E'a\\''b'");
    }
}
