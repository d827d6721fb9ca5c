//! What all SQL sources share: names, cuts as conditions, and the columns that a job chooses.

use sluice_contracts::documents::{Cut, KeyType, Relation};
use sluice_contracts::job::TableJob;
use sluice_contracts::{Error, Result};

/// The parts of SQL that differ between the sources.
pub(crate) trait Dialect {
    /// The name of a column.
    fn column(&self, name: &str) -> String;

    /// A key as a constant of its column's type, so that an index on the column can be used. The
    /// constants have the same order as the keys.
    ///
    /// # Errors
    /// `Invalid` if the source has no keys of this type.
    fn key(&self, column: &str, key: KeyType, value: i64) -> Result<String>;

    /// The condition that the hash of these columns, or of the whole row if there are none, modulo
    /// `modulus` is `remainder`. The hash is never negative, and the same in every process of a
    /// run.
    fn hash(&self, columns: &[String], modulus: u32, remainder: u32) -> String;

    /// The condition that a row lies in the blocks `lo <= block < hi`; open if `hi` is absent.
    ///
    /// # Errors
    /// `Invalid` if the source does not show where a row lies.
    fn blocks(&self, lo: u32, hi: Option<u32>) -> Result<String>;
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
            let bound = |sign: &str, value: Option<i64>| {
                let key = value.map(|value| dialect.key(column, *key, value)).transpose()?;
                Ok::<_, Error>(key.map(|key| format!("{name} {sign} {key}")))
            };
            match (bound(">=", *lo)?, bound("<", *hi)?) {
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
        Cut::Blocks { lo, hi } => dialect.blocks(*lo, *hi)?,
        Cut::Bytes { .. } | Cut::Stream { .. } => {
            return Err(Error::invalid(format!("cut by {}: a database has none", cut.kind()))
                .hint("the manifest was changed; start the run again"));
        }
    })
}

/// A key type that the source's columns do not have.
pub(crate) fn unknown_key(key: KeyType) -> Error {
    Error::invalid(format!("cut by keys of type {key:?}: the source has none"))
        .hint("the manifest was changed; start the run again")
}

/// Refuses a relation that no database has: files, and tables with a name of three parts.
pub(crate) fn refuse_foreign(relation: &Relation) -> Result<()> {
    match relation {
        Relation::Table { catalog: None, .. } | Relation::Query(_) => Ok(()),
        Relation::Table { catalog: Some(_), .. } => {
            Err(Error::invalid(format!("describe table `{relation}`: its name has three parts"))
                .hint("write `schema.table`; the source's URL names the database"))
        }
        Relation::Files { .. } => {
            Err(Error::invalid(format!("describe `{relation}`: a database has no files"))
                .hint("name a table, or the URL of files as the source"))
        }
    }
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
    let selected = || job.select.iter().flatten();
    let described = job.columns.keys().filter(|name| !selected().any(|other| other == *name));
    let found = selected().chain(described).map(|name| find(name));
    let mut found =
        Error::all(found, |count| format!("{count} columns that the job names do not exist"))?;
    Ok(match &job.select {
        Some(names) => {
            found.truncate(names.len());
            found
        }
        None => all.iter().collect(),
    })
}
