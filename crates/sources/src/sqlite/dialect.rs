//! SQLite's SQL: names, cuts and the hash function.

use std::fmt::Write as _;

use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _};
use sluice_contracts::documents::{KeyType, Relation};
use sluice_contracts::{Error, Result};

use crate::datetime::{TextFormat, date_text, datetime_text};
use crate::sql::{Dialect, unknown_key};

pub(super) use crate::sql::quoted as quote;

/// The function that hash cuts are made with, registered by [`register_hash`].
const HASH: &str = "sluice_hash";
/// SQLite builds of the last decades take at least this many arguments.
const MAX_ARGUMENTS: usize = 100;

/// The prefix of a column's name. SQLite takes a bare name in double quotes that no column has for
/// text; with its table before it, it is an error.
pub(super) fn qualifier(relation: &Relation) -> String {
    match relation {
        Relation::Table { name, .. } => quote(name),
        Relation::Query(_) | Relation::Files { .. } => "\"query\"".to_owned(),
    }
}

/// The relation after `FROM`.
pub(super) fn from(relation: &Relation) -> String {
    match relation {
        Relation::Table { name, .. } => format!("main.{}", quote(name)),
        Relation::Query(query) => {
            // The line break ends a comment that the query may end with.
            format!("({}\n) AS \"query\"", query.trim().trim_end_matches(';'))
        }
        // Refused when the relation was looked up.
        Relation::Files { .. } => quote(&relation.to_string()),
    }
}

/// `WHERE` with all conditions that are not empty.
pub(super) fn filtered(conditions: &[&str]) -> String {
    let mut clause = String::new();
    for condition in conditions.iter().filter(|condition| !condition.is_empty()) {
        let word = if clause.is_empty() { "WHERE" } else { "AND" };
        let _ = write!(clause, " {word} ({condition}\n)");
    }
    clause
}

/// The dialect, for the columns of one relation.
///
/// SQLite orders NULL, numbers, text, blobs: ranges cover every stored value, because all values
/// compare in that one order and the bounds ascend in it.
pub(super) struct SqliteDialect<'a> {
    /// Writes a column's name.
    pub(super) name: &'a dyn Fn(&str) -> String,
    /// How a column's days and times are written.
    pub(super) format: &'a dyn Fn(&str) -> TextFormat,
    /// The columns of the whole row.
    pub(super) all: &'a [&'a str],
}

impl Dialect for SqliteDialect<'_> {
    fn column(&self, name: &str) -> String {
        (self.name)(name)
    }

    fn key(&self, column: &str, key: KeyType, value: i64) -> Result<String> {
        literal(key, value, (self.format)(column))
    }

    fn hash(&self, columns: &[String], modulus: u32, remainder: u32) -> String {
        let call = if columns.is_empty() {
            let all: Vec<String> = self.all.iter().map(|name| self.column(name)).collect();
            hash_call(&all)
        } else {
            hash_call(columns)
        };
        format!("{call} % {modulus} = {remainder}")
    }

    fn blocks(&self, _: u32, _: Option<u32>) -> Result<String> {
        Err(Error::invalid("cut by pages: SQLite does not show where a row lies")
            .hint("use strategy `id_range`, `date_range`, `hash` or `full`"))
    }
}

/// A key as SQLite's text. The literals have the same order as the keys.
pub(super) fn literal(key: KeyType, value: i64, spelling: TextFormat) -> Result<String> {
    Ok(match key {
        KeyType::Integer => value.to_string(),
        KeyType::Date => format!("'{}'", date_text(value)),
        KeyType::Timestamp | KeyType::Timestamptz => {
            format!("'{}'", datetime_text(value, spelling))
        }
        KeyType::Unsigned | KeyType::Uuid => return Err(unknown_key(key)),
    })
}

fn hash_call(names: &[String]) -> String {
    match names.split_at_checked(MAX_ARGUMENTS) {
        Some((first, rest)) if !rest.is_empty() => {
            let mut nested = vec![hash_call(first)];
            nested.extend_from_slice(rest);
            hash_call(&nested)
        }
        _ => format!("{HASH}({})", names.join(", ")),
    }
}

/// Makes the hash function known to a connection.
pub(super) fn register_hash(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function(HASH, -1, flags, |arguments| {
        let mut hash = Fnv::new();
        for place in 0..arguments.len() {
            hash.value(arguments.get_raw(place));
        }
        Ok(hash.finish())
    })
}

/// FNV-1a over the values' types and bytes. Every process of a run has to agree on it, so it is
/// defined here and not taken from a library that may change it.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn value(&mut self, value: ValueRef<'_>) {
        let mut tagged = |tag: u8, bytes: &[u8]| {
            self.bytes(&[tag]);
            self.bytes(bytes);
        };
        match value {
            ValueRef::Null => tagged(0, &[]),
            ValueRef::Integer(value) => tagged(1, &value.to_le_bytes()),
            ValueRef::Real(value) => tagged(2, &value.to_bits().to_le_bytes()),
            // The length keeps (`ab`, `c`) apart from (`a`, `bc`).
            ValueRef::Text(text) => {
                tagged(3, &text.len().to_le_bytes());
                self.bytes(text);
            }
            ValueRef::Blob(blob) => {
                tagged(4, &blob.len().to_le_bytes());
                self.bytes(blob);
            }
        }
    }

    /// Never negative, so that `%` has one meaning. The last multiplications spread the high bits,
    /// because FNV's low bits alone would make uneven classes.
    fn finish(&self) -> i64 {
        let mut hash = self.0;
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        i64::try_from((hash ^ (hash >> 33)) >> 1).unwrap_or(0)
    }
}

/// The first value of the first row, if there is a row.
pub(super) fn first<T: rusqlite::types::FromSql>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> rusqlite::Result<Option<T>> {
    connection.query_row(sql, parameters, |row| row.get(0)).optional()
}

#[cfg(test)]
mod tests {
    use sluice_contracts::documents::Cut;

    use super::*;
    use crate::sql::predicate;

    fn text(cut: &Cut) -> String {
        let columns = SqliteDialect { name: &quote, format: &|_| TextFormat::T, all: &["a", "b"] };
        predicate(&columns, cut).unwrap()
    }

    #[test]
    fn cuts_are_half_open_conditions() {
        let range = |key, lo, hi| text(&Cut::Range { column: "k\"".into(), key, lo, hi });
        assert_eq!(text(&Cut::Full), "");
        assert_eq!(text(&Cut::Null { column: "k".into() }), "\"k\" is null");
        assert_eq!(range(KeyType::Integer, None, None), "\"k\"\"\" is not null");
        assert_eq!(
            range(KeyType::Integer, Some(i64::MIN), Some(7)),
            "\"k\"\"\" >= -9223372036854775808 and \"k\"\"\" < 7"
        );
        assert_eq!(range(KeyType::Date, Some(0), None), "\"k\"\"\" >= '1970-01-01'");
        assert_eq!(
            range(KeyType::Timestamp, None, Some(1_500_000)),
            "\"k\"\"\" < '1970-01-01T00:00:01.500000'"
        );
        let hash = Cut::Hash { columns: vec![], modulus: 8, remainder: 3 };
        assert_eq!(text(&hash), "sluice_hash(\"a\", \"b\") % 8 = 3");
        let columns = SqliteDialect { name: &quote, format: &|_| TextFormat::T, all: &[] };
        let pages = predicate(&columns, &Cut::Blocks { lo: 0, hi: None });
        assert_eq!(pages.unwrap_err().kind(), sluice_contracts::Kind::Invalid);
    }

    #[test]
    fn the_hash_is_what_it_was_and_tells_types_apart() {
        let connection = Connection::open_in_memory().unwrap();
        register_hash(&connection).unwrap();
        let hash = |arguments: &str| -> i64 {
            let sql = format!("SELECT sluice_hash({arguments})");
            first(&connection, &sql, []).unwrap().unwrap()
        };
        assert_eq!(hash("1"), hash("1"));
        let all = ["NULL", "1", "1.0", "'1'", "x'31'", "'a','bc'", "'ab','c'"].map(hash);
        for (place, one) in all.iter().enumerate() {
            assert!(*one >= 0);
            assert!(!all[..place].contains(one));
        }
        // Runs that began with another build of the program must agree with this one.
        assert_eq!(hash("42, 'x'"), 6_233_150_754_586_646_155);
    }

    #[test]
    fn hash_classes_are_even_and_many_columns_are_nested() {
        let connection = Connection::open_in_memory().unwrap();
        register_hash(&connection).unwrap();
        let names: Vec<String> = (0..250).map(|place| format!("{place} + value")).collect();
        let sql = format!(
            "WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT 8000)
             SELECT min(rows), max(rows) FROM
               (SELECT count(*) AS rows FROM n GROUP BY {} % 8)",
            hash_call(&names)
        );
        let (least, most): (i64, i64) =
            connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert!(least > 880 && most < 1120, "{least}..{most}");
    }
}
