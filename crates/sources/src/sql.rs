//! What all SQL sources share: names, cuts as conditions, and the columns that a job chooses.

use sluice_contracts::Result;
use sluice_contracts::documents::{Cut, KeyType};
use sluice_contracts::job::TableJob;

/// The parts of SQL that differ between the sources.
pub(crate) trait Dialect {
    /// The name of a column.
    fn column(&self, name: &str) -> String;

    /// A key as a constant of its column's type, so that an index on the column can be used. The
    /// constants have the same order as the keys.
    fn key(&self, column: &str, key: KeyType, value: i64) -> String;

    /// The condition that the hash of these columns, or of the whole row if there are none, modulo
    /// `modulus` is `remainder`. The hash is never negative, and the same in every process of a
    /// run.
    fn hash(&self, columns: &[String], modulus: u32, remainder: u32) -> String;

    /// The condition that a row lies on the pages `lo <= page < hi`; open if `hi` is absent.
    ///
    /// # Errors
    /// `Invalid` if the source does not show where a row lies.
    fn pages(&self, lo: u32, hi: Option<u32>) -> Result<String>;
}

/// A cut as a condition; empty for all rows.
///
/// # Errors
/// `Invalid` for a cut that the source does not know.
pub(crate) fn predicate(dialect: &dyn Dialect, cut: &Cut) -> Result<String> {
    Ok(match cut {
        Cut::Full => String::new(),
        Cut::Null { column } => format!("{} is null", dialect.column(column)),
        Cut::Range { column, key, lo, hi } => {
            let name = dialect.column(column);
            let lo = lo.map(|lo| format!("{name} >= {}", dialect.key(column, *key, lo)));
            let hi = hi.map(|hi| format!("{name} < {}", dialect.key(column, *key, hi)));
            match (lo, hi) {
                (Some(lo), Some(hi)) => format!("{lo} and {hi}"),
                (Some(one), None) | (None, Some(one)) => one,
                // Every key, but not NULL, which belongs to another unit.
                (None, None) => format!("{name} is not null"),
            }
        }
        Cut::Hash { columns, modulus, remainder } => {
            let names: Vec<String> = columns.iter().map(|name| dialect.column(name)).collect();
            dialect.hash(&names, *modulus, *remainder)
        }
        Cut::Ctid { lo, hi } => dialect.pages(*lo, *hi)?,
    })
}

/// A name in double quotes, as the standard has it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The columns that a job reads, in its order; all columns if it names none.
///
/// `find` looks a column up by the name in the job.
///
/// # Errors
/// The error of `find` for a column that the job reads or describes and that does not exist.
pub(crate) fn chosen<'c, C>(
    job: &TableJob,
    all: &'c [C],
    find: impl Fn(&str) -> Result<&'c C>,
) -> Result<Vec<&'c C>> {
    for name in job.columns.keys() {
        find(name)?;
    }
    match &job.select {
        Some(names) => names.iter().map(|name| find(name)).collect(),
        None => Ok(all.iter().collect()),
    }
}
