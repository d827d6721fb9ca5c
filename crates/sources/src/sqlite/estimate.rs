//! How many rows a relation has and how long they are, without reading it.

use rusqlite::{Connection, Row, Statement};
use sluice_contracts::Result;
use sluice_contracts::documents::Column;

use super::catalog::{CatalogEntry, Form, file_bytes};
use super::connection::failed;
use super::density::{KeyIndex, LOOK, spans};
use super::dialect::first;
use super::sample::{GUESSED_ROW, Sample};
use crate::datetime::TextFormat;
use crate::description::Span;

/// Rows that are read to estimate how long a row is and how many rows meet the filter.
const SAMPLE: u32 = 64;
/// Columns that are read at once. SQLite's tables and results have at most 2,000 columns, and whether
/// a row meets the filter is one more. Other columns are read from the same rows after these.
const MOST_COLUMNS: usize = 1_999;
/// Even steps in which row numbers are read, and how often the fullest is halved.
const STEPS: u32 = 64;
const REFINEMENTS: u32 = 64;
/// Statistics are used if they are within this factor of the estimate from the index.
const BELIEVED: f64 = 2.0;
/// The fractions of its multiples are spread evenly between 0 and 1, and never repeat.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// What a relation is expected to hold.
#[derive(Debug, Clone)]
pub(super) struct Estimate {
    /// Rows that meet the filter.
    pub(super) rows: u64,
    /// Bytes of those rows' columns.
    pub(super) bytes: u64,
    /// How each column spells its days, where the sample shows it.
    pub(super) spellings: Vec<Option<TextFormat>>,
    /// Warnings for the reader of the plan.
    pub(super) warnings: Vec<String>,
}

/// Reads statistics, the rows' numbers and a few rows.
pub(super) fn estimate(
    connection: &Connection,
    found: &CatalogEntry,
    columns: &[Column],
    filter: Option<&str>,
) -> Result<Estimate> {
    let file = file_bytes(connection)?;
    let numbers = match &found.form {
        Form::Derived => {
            // Reading a little of a view may cost as much as all of it.
            return Ok(Estimate {
                rows: file / (2 * GUESSED_ROW),
                bytes: file,
                spellings: vec![None; columns.len()],
                warnings: vec![format!(
                    "it is not known how many rows {} has: the database's size is its estimate",
                    found.title
                )],
            });
        }
        Form::WithoutRowid => None,
        Form::Rowid(rowid) => Some(row_numbers(connection, found, rowid)?),
    };
    let (first, others) = columns.split_at(columns.len().min(MOST_COLUMNS));
    let mut sample = sampled(connection, found, first, filter, numbers.as_deref())?;
    for others in others.chunks(MOST_COLUMNS) {
        sample.extend(sampled(connection, found, others, filter, numbers.as_deref())?);
    }
    // No row is shorter than two bytes, so a file of this size has no more of them.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let (most, file_rows) = (file as f64 / 2.0, (file / GUESSED_ROW) as f64);
    let seen: Option<f64> = numbers.map(|spans| spans.iter().map(|span| span.rows).sum());
    let recorded = recorded_rows(connection, &found.name)?;
    let all = match (recorded, seen) {
        (Some(recorded), Some(seen))
            if recorded <= seen * BELIEVED && seen <= recorded * BELIEVED =>
        {
            recorded
        }
        (_, Some(seen)) => seen,
        (Some(recorded), None) => recorded,
        (None, None) => file_rows.max(sample.seen()),
    };
    let rows = all.min(most) * sample.share();
    Ok(Estimate {
        rows: whole(rows),
        bytes: whole(rows * sample.row_bytes()),
        warnings: sample.warnings(),
        spellings: sample.spellings,
    })
}

/// A few rows of some columns.
fn sampled<'c>(
    connection: &Connection,
    found: &CatalogEntry,
    columns: &'c [Column],
    filter: Option<&str>,
    numbers: Option<&[Span]>,
) -> Result<Sample<'c>> {
    let mut sample = Sample::new(columns)?;
    let expressions = expressions(found, columns, filter);
    if let Some(numbers) = numbers {
        each_row(connection, found, &expressions, numbers, SAMPLE, &mut |row| sample.add(row))?;
        return Ok(sample);
    }
    let sql = format!("{} LIMIT {SAMPLE}", found.select(&expressions, &[]));
    let doing = || format!("sample {}", found.title);
    let mut statement = connection.prepare(&sql).map_err(|error| failed(error, doing()))?;
    let mut rows = statement.query([]).map_err(|error| failed(error, doing()))?;
    while let Some(row) = rows.next().map_err(|error| failed(error, doing()))? {
        sample.add(row).map_err(|error| failed(error, doing()))?;
    }
    drop(rows);
    Ok(sample)
}

/// Where the rows' numbers lie.
pub(super) fn row_numbers(
    connection: &Connection,
    found: &CatalogEntry,
    rowid: &str,
) -> Result<Vec<Span>> {
    let name = found.sql(rowid);
    let prepare = |condition: &str, order: &str, limit: usize| {
        let sql = found.select(&name, &[condition]);
        connection
            .prepare(&format!("{sql} ORDER BY {name} {order} LIMIT {limit}"))
            .map_err(|error| failed(error, format!("sample {}", found.title)))
    };
    let mut line = RowNumbers {
        from: prepare(&format!("{name} >= ?1"), "ASC", LOOK)?,
        last: prepare(&format!("{name} <= ?1"), "DESC", 1)?,
        title: &found.title,
    };
    spans(&mut line, STEPS, REFINEMENTS)
}

/// Passes to `each` at most `count` rows that are spread evenly over the table, by their numbers.
pub(super) fn each_row(
    connection: &Connection,
    found: &CatalogEntry,
    expressions: &str,
    numbers: &[Span],
    count: u32,
    each: &mut dyn FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> Result<()> {
    let Form::Rowid(rowid) = &found.form else { return Ok(()) };
    let name = found.sql(rowid);
    let sql = found.select(expressions, &[&format!("{name} >= ?1")]);
    let mut sample = || -> rusqlite::Result<()> {
        let mut statement = connection.prepare(&format!("{sql} ORDER BY {name} LIMIT 1"))?;
        for number in evenly(numbers, count) {
            let mut rows = statement.query([number])?;
            if let Some(row) = rows.next()? {
                each(row)?;
            }
        }
        Ok(())
    };
    sample().map_err(|error| failed(error, format!("sample {}", found.title)))
}

/// Keys in strata of one size; every key, if there are no more than `count`.
fn evenly(spans: &[Span], count: u32) -> Vec<i64> {
    let total: f64 = spans.iter().map(|span| span.rows).sum();
    let count = if total < f64::from(count) { whole(total) } else { u64::from(count) };
    let mut keys = Vec::new();
    let (mut place, mut before) = (0, 0.0);
    for step in 0..count {
        // At another place in each stratum: even steps would coincide with data that repeats
        // evenly.
        #[expect(clippy::cast_precision_loss, reason = "at most a few hundred")]
        let rank = (step as f64 + (step as f64 * GOLDEN).fract()) / count as f64 * total;
        while place + 1 < spans.len() && before + spans[place].rows <= rank {
            before += spans[place].rows;
            place += 1;
        }
        let Some(Span { lo, hi, rows }) = spans.get(place).copied() else { break };
        let width = i128::from(hi) - i128::from(lo);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "a place in a span, held inside of it below"
        )]
        let inside = (((rank - before) / rows).clamp(0.0, 1.0) * width as f64) as i128;
        keys.push(i64::try_from(i128::from(lo) + inside.min(width)).unwrap_or(hi));
    }
    keys
}

/// The columns, and last whether the row meets the filter.
fn expressions(found: &CatalogEntry, columns: &[Column], filter: Option<&str>) -> String {
    let mut expressions: String =
        columns.iter().map(|column| found.sql(&column.source_name) + ", ").collect();
    expressions.push_str(&condition(filter));
    expressions
}

/// The filter as an expression that is 1 where it holds.
pub(super) fn condition(filter: Option<&str>) -> String {
    filter.map_or_else(|| "1".to_owned(), |filter| format!("(({filter}\n) IS TRUE)"))
}

/// What `ANALYZE` counted, if it ever ran.
fn recorded_rows(connection: &Connection, table: &str) -> Result<Option<f64>> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'";
    let doing = || "read the statistics";
    let exists = first::<i64>(connection, sql, []).map_err(|error| failed(error, doing()))?;
    if exists != Some(1) {
        return Ok(None);
    }
    // A partial index counts its own rows only, so the largest count is the table's.
    let sql = "SELECT max(CAST(stat AS INTEGER)) FROM sqlite_stat1 WHERE tbl = ?1 COLLATE NOCASE";
    let rows = first::<Option<f64>>(connection, sql, [table]).map_err(|e| failed(e, doing()))?;
    Ok(rows.flatten().filter(|rows| *rows >= 0.0))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
fn whole(rows: f64) -> u64 {
    rows.round() as u64
}

struct RowNumbers<'c> {
    from: Statement<'c>,
    last: Statement<'c>,
    title: &'c str,
}

impl KeyIndex for RowNumbers<'_> {
    fn from(&mut self, key: i64) -> Result<Vec<i64>> {
        let rows = self.from.query_map([key], |row| row.get(0)).and_then(Iterator::collect);
        rows.map_err(|error| failed(error, format!("sample {}", self.title)))
    }

    fn last(&mut self, key: i64) -> Result<Option<i64>> {
        let row = self
            .last
            .query_map([key], |row| row.get(0))
            .and_then(|mut rows| rows.next().transpose());
        row.map_err(|error| failed(error, format!("sample {}", self.title)))
    }

    fn rows_at(&mut self, _key: i64) -> Result<f64> {
        Ok(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_ranks_lie_where_the_rows_are() {
        let spans = [Span { lo: 0, hi: 9, rows: 10.0 }, Span { lo: 1_000, hi: 3_000, rows: 30.0 }];
        let keys = evenly(&spans, 4);
        assert!(keys[0] < 10);
        assert!(keys[1..].iter().all(|key| (1_000..=3_000).contains(key)), "{keys:?}");
        let all = [Span { lo: i64::MIN, hi: i64::MAX, rows: 1e6 }];
        let keys = evenly(&all, 8);
        assert!(keys.is_sorted() && keys[0] < 0 && keys[7] > 0);
        assert!(evenly(&[], 8).is_empty());
    }
}
