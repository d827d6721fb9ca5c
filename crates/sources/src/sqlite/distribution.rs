//! Where the keys of a table lie.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Statement};
use sluice_contracts::Result;
use sluice_contracts::documents::KeyType;

use super::catalog::{CatalogEntry, Form, SourceColumn};
use super::connection::failed;
use super::density::{KeyIndex, LOOK, spans};
use super::dialect::quote;
use super::estimate::{condition, each_row, row_numbers};
use crate::datetime::{self, TextFormat, date_text, datetime_text};
use crate::description::{Distribution, Key, Piece, Span};

/// Even steps in which an index is read, and how often the fullest is halved.
const STEPS: u32 = 128;
const REFINEMENTS: u32 = 128;
/// The same within the rows of one key.
const STEPS_OF_ONE: u32 = 8;
/// Rows that are read if no index has the key.
const SAMPLE: u32 = 256;

/// Reads a little of the index, or rows far apart. `None` if it would have to read much.
pub(super) fn distribution(
    connection: &Connection,
    found: &CatalogEntry,
    filter: Option<&str>,
    piece: &Piece,
    key: &Key,
    spelling: TextFormat,
) -> Result<Option<Distribution>> {
    let column = found.column(&key.column)?;
    let numbers = match &found.form {
        Form::Derived => return Ok(None),
        Form::Rowid(rowid) => Some(rowid),
        Form::WithoutRowid => None,
    };
    let found_keys = match numbers {
        // The filter cannot be applied to the index, only to the rows.
        Some(rowid) if filter.is_some() || column.index.is_none() => {
            sampled(connection, found, filter, key, rowid)?
        }
        Some(rowid) if column.rowid => {
            Distribution { spans: row_numbers(connection, found, rowid)?, nulls: 0.0 }
        }
        _ => match indexed(connection, found, column, key.key_type, spelling)? {
            Some(found_keys) => found_keys,
            None => return Ok(None),
        },
    };
    Ok(Some(scaled(found_keys, piece)))
}

/// The same with as many rows as the piece is expected to have.
fn scaled(mut keys: Distribution, piece: &Piece) -> Distribution {
    let total: f64 = keys.spans.iter().map(|span| span.rows).sum::<f64>() + keys.nulls;
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let factor = if total > 0.0 { piece.rows as f64 / total } else { 0.0 };
    for span in &mut keys.spans {
        span.rows *= factor;
    }
    keys.nulls *= factor;
    keys
}

/// From rows that are spread evenly over the table.
fn sampled(
    connection: &Connection,
    found: &CatalogEntry,
    filter: Option<&str>,
    key: &Key,
    rowid: &str,
) -> Result<Distribution> {
    let numbers = row_numbers(connection, found, rowid)?;
    let expressions = format!("{}, {}", found.sql(&key.column), condition(filter));
    let (mut keys, mut nulls) = (Vec::new(), 0.0);
    each_row(connection, found, &expressions, &numbers, SAMPLE, &mut |row| {
        if row.get::<_, bool>(1)? {
            match row.get_ref(0)? {
                ValueRef::Null => nulls += 1.0,
                value => keys.extend(key_of(key.key_type, value)),
            }
        }
        Ok(())
    })?;
    keys.sort_unstable();
    Ok(Distribution { spans: between(&keys), nulls })
}

/// Spans from each key of a sorted sample to the next.
fn between(keys: &[i64]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for key in keys {
        match spans.last_mut() {
            Some(last) if last.lo == *key => last.rows += 1.0,
            last => {
                // One row alone says nothing about its neighbours; several with one key do.
                if let Some(last) = last.filter(|last| last.rows < 2.0) {
                    last.hi = key - 1;
                }
                spans.push(Span { lo: *key, hi: *key, rows: 1.0 });
            }
        }
    }
    spans
}

/// From reads of the index alone. `None` if SQLite does not use it for ranges of this key.
fn indexed(
    connection: &Connection,
    found: &CatalogEntry,
    column: &SourceColumn,
    key_type: KeyType,
    spelling: TextFormat,
) -> Result<Option<Distribution>> {
    let name = found.sql(&column.name);
    // Without the hint SQLite may prefer to walk the table in the order of its row numbers.
    let hint = match column.index.as_deref() {
        None | Some("") => String::new(),
        Some(index) => format!(" INDEXED BY {}", quote(index)),
    };
    let prepare = |what: &str, condition: &str, order: &str, limit: usize| {
        connection.prepare(&format!(
            "SELECT {what} FROM {}{hint} WHERE {condition} ORDER BY {order} LIMIT {limit}",
            found.from
        ))
    };
    let by_number = |condition: &str| -> rusqlite::Result<_> {
        let Form::Rowid(rowid) = &found.form else { return Ok(None) };
        let rowid = found.sql(rowid);
        let (from, last) =
            (format!("{condition} AND {rowid} >= ?2"), format!("{condition} AND {rowid} <= ?2"));
        Ok(Some((
            prepare(&rowid, &from, &rowid, LOOK)?,
            prepare(&rowid, &last, &format!("{rowid} DESC"), 1)?,
        )))
    };
    let statements = || -> rusqlite::Result<_> {
        Ok((
            prepare(&name, &format!("{name} >= ?1 AND {name} <= ?2"), &name, LOOK)?,
            prepare(&name, &format!("{name} <= ?1 AND {name} >= ?2"), &format!("{name} DESC"), 1)?,
            by_number(&format!("{name} = ?1"))?,
            by_number(&format!("{name} IS ?1"))?,
        ))
    };
    let (from, last, same, null) = match statements() {
        Ok(statements) => statements,
        // "no query solution": the index cannot be used for this.
        Err(_) if !hint.is_empty() => return Ok(None),
        Err(error) => return Err(failed(error, format!("sample {}", found.title))),
    };
    let title = &found.title;
    let nulls = match null {
        Some((from, last)) => {
            let mut line = SameKey { from, last, key: Value::Null, title };
            spans(&mut line, STEPS_OF_ONE, STEPS_OF_ONE)?.iter().map(|span| span.rows).sum()
        }
        None => 0.0,
    };
    let mut line = Index { from, last, same, key_type, spelling, title };
    Ok(Some(Distribution { spans: spans(&mut line, STEPS, REFINEMENTS)?, nulls }))
}

/// A stored value's place on the line of keys, if it has one.
fn key_of(key_type: KeyType, value: ValueRef<'_>) -> Option<i64> {
    match (key_type, value) {
        (KeyType::Integer, ValueRef::Integer(value)) => Some(value),
        #[expect(clippy::cast_possible_truncation, reason = "saturates; only sizes depend on it")]
        (KeyType::Integer, ValueRef::Real(value)) => Some(value.floor() as i64),
        (KeyType::Date, ValueRef::Text(text)) => {
            datetime::date(text.get(..10).unwrap_or(text)).map(i64::from)
        }
        (KeyType::Timestamp | KeyType::Timestamptz, ValueRef::Text(text)) => {
            datetime::timestamp(text)
        }
        _ => None,
    }
}

/// A column's index.
struct Index<'c> {
    from: Statement<'c>,
    last: Statement<'c>,
    same: Option<(Statement<'c>, Statement<'c>)>,
    key_type: KeyType,
    spelling: TextFormat,
    title: &'c str,
}

impl Index<'_> {
    fn value(&self, key: i64) -> Value {
        match self.key_type {
            KeyType::Date => Value::Text(date_text(key)),
            KeyType::Timestamp | KeyType::Timestamptz => {
                Value::Text(datetime_text(key, self.spelling))
            }
            // No column of a SQLite table has a key of the last two types.
            KeyType::Integer | KeyType::Unsigned | KeyType::Uuid => Value::Integer(key),
        }
    }
}

impl KeyIndex for Index<'_> {
    fn from(&mut self, key: i64) -> Result<Vec<i64>> {
        let bounds = [self.value(key), self.value(i64::MAX)];
        let key_type = self.key_type;
        let mut look = || -> rusqlite::Result<Vec<i64>> {
            let mut keys = Vec::with_capacity(LOOK);
            let mut rows = self.from.query(bounds.clone())?;
            while let Some(row) = rows.next()? {
                keys.extend(key_of(key_type, row.get_ref(0)?));
            }
            Ok(keys)
        };
        look().map_err(|error| failed(error, format!("sample {}", self.title)))
    }

    fn last(&mut self, key: i64) -> Result<Option<i64>> {
        let bounds = [self.value(key), self.value(i64::MIN)];
        let key_type = self.key_type;
        let mut look = || -> rusqlite::Result<Option<i64>> {
            let mut rows = self.last.query(bounds.clone())?;
            let row = rows.next()?;
            row.map_or(Ok(None), |row| Ok(key_of(key_type, row.get_ref(0)?)))
        };
        look().map_err(|error| failed(error, format!("sample {}", self.title)))
    }

    fn rows_at(&mut self, key: i64) -> Result<f64> {
        let value = self.value(key);
        let Some((from, last)) = self.same.take() else { return Ok(0.0) };
        let mut line = SameKey { from, last, key: value, title: self.title };
        let rows = spans(&mut line, STEPS_OF_ONE, STEPS_OF_ONE);
        self.same = Some((line.from, line.last));
        Ok(rows?.iter().map(|span| span.rows).sum())
    }
}

/// The row numbers of one key: an index has them in order.
struct SameKey<'c, 't> {
    from: Statement<'c>,
    last: Statement<'c>,
    key: Value,
    title: &'t str,
}

impl KeyIndex for SameKey<'_, '_> {
    fn from(&mut self, key: i64) -> Result<Vec<i64>> {
        let rows =
            self.from.query_map((&self.key, key), |row| row.get(0)).and_then(Iterator::collect);
        rows.map_err(|error| failed(error, format!("sample {}", self.title)))
    }

    fn last(&mut self, key: i64) -> Result<Option<i64>> {
        let row = self
            .last
            .query_map((&self.key, key), |row| row.get(0))
            .and_then(|mut rows| rows.next().transpose());
        row.map_err(|error| failed(error, format!("sample {}", self.title)))
    }

    fn rows_at(&mut self, _key: i64) -> Result<f64> {
        Ok(1.0)
    }
}
