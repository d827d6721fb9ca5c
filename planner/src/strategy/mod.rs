//! How a table is cut: one file a strategy, and one line in [`STRATEGIES`].

mod bigquery_native;
mod ctid;
mod date_range;
mod file;
mod file_range;
mod full;
mod hash;
mod id_range;

use async_trait::async_trait;
use sluice_contracts::Result;
use sluice_contracts::documents::Leaf;
use sluice_contracts::job::TableJob;
use sluice_sources::{BlockRange, Description, Key, Piece, Survey};

use crate::cut::Weighed;

/// Every strategy, in the order in which `auto` prefers those that fit equally well.
pub const STRATEGIES: &[&dyn Strategy] = &[
    &bigquery_native::BigqueryNative,
    &file_range::FileRange,
    &file::File,
    &date_range::DateRange,
    &id_range::IdRange,
    &ctid::Ctid,
    &hash::Hash,
    &full::Full,
];

/// The names a job may write.
pub fn strategy_names() -> Vec<&'static str> {
    STRATEGIES.iter().map(|strategy| strategy.name()).collect()
}

/// A way to cut a table.
#[async_trait]
pub trait Strategy: Sync {
    /// Its name in job files.
    fn name(&self) -> &'static str;

    /// What it does, in one sentence for people.
    fn doc(&self) -> &'static str;

    /// Whether the table can be cut this way, and by what.
    fn fit(&self, table: &TableJob, description: &Description) -> Fit;

    /// Most units that make sense, whatever the size of the table.
    fn most_units(&self) -> u32 {
        u32::MAX
    }

    /// Cuts one piece into about `count` units that are disjoint and cover it. `None` if the source
    /// cannot say where to cut.
    async fn cut(
        &self,
        survey: &mut dyn Survey,
        table: &TableJob,
        piece: &Piece,
        choice: &Choice,
        count: u32,
    ) -> Result<Option<Vec<Weighed>>>;
}

/// Whether a strategy fits a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Fit {
    /// It costs the source least: `auto` prefers it to those that fit well.
    Best(Choice),
    /// It fits well: `auto` may choose it.
    Good(Choice),
    /// Only when the job names it, or a column for it, at a cost that the warning states.
    Costly(Choice, String),
    /// Not at all, for this reason.
    No(String),
}

/// What a strategy would cut by, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The key, for strategies that cut by ranges of one.
    pub key: Option<Key>,
    /// The columns, for strategies that hash; empty for the whole row.
    pub columns: Vec<String>,
    /// One sentence for people.
    pub reason: String,
}

impl Choice {
    fn new(key: Option<Key>, reason: impl Into<String>) -> Self {
        Self { key, columns: Vec::new(), reason: reason.into() }
    }

    /// Warns of a key that the rows are scattered over the table by. Not where an index finds the rows that
    /// the filter keeps: nobody knows then which pages are read.
    pub(crate) fn scatter_warning(&self, description: &Description) -> Option<String> {
        let key = self.key.as_ref().filter(|key| key.is_scattered())?;
        let pieces = &description.pieces;
        if pieces.iter().any(|piece| piece.block_range == BlockRange::ReadsMoreThanIndex) {
            return None;
        }
        let by_page =
            |piece: &Piece| piece.blocks.is_some() && piece.block_range == BlockRange::ReadsLeast;
        let remedy = if pieces.iter().all(by_page) {
            "; `partitioning: {strategy: ctid}` reads each page once"
        } else {
            ""
        };
        Some(format!(
            "the rows do not lie in the order of `{}` (its correlation is {:.2}): the source reads pages of \
             the whole table for every unit{remedy}",
            key.column,
            key.correlation.unwrap_or_default()
        ))
    }
}

/// Chooses among a table's keys for a range strategy: the column that the job names, else the best
/// indexed one. `what` names the kind of key, for messages.
fn fit_range(
    table: &TableJob,
    description: &Description,
    what: &str,
    fits: impl Fn(&Key) -> bool,
) -> Fit {
    let named = table.partitioning.column.as_deref();
    if let Some(name) = named {
        return match description.keys.iter().find(|key| key.column == name) {
            Some(key) if !fits(key) => Fit::No(format!("column `{name}` is no {what}")),
            Some(key) if key.indexed => {
                let reason = format!("the job names the indexed {what} `{name}`");
                Fit::Good(Choice::new(Some(key.clone()), reason))
            }
            Some(key) => {
                let reason = format!("the job names the {what} `{name}`");
                let warning = format!(
                    "no index begins with `{name}`: the source reads the whole table for every unit"
                );
                Fit::Costly(Choice::new(Some(key.clone()), reason), warning)
            }
            None => Fit::No(format!("column `{name}` is no {what}")),
        };
    }
    let candidates = || description.keys.iter().filter(|key| fits(key));
    if let Some(key) = candidates().find(|key| key.primary) {
        let reason = format!("`{}` is the primary key", key.column);
        return Fit::Good(Choice::new(Some(key.clone()), reason));
    }
    if let Some(key) = candidates().find(|key| key.indexed) {
        let reason = format!("an index begins with the {what} `{}`", key.column);
        return Fit::Good(Choice::new(Some(key.clone()), reason));
    }
    match candidates().next() {
        Some(key) => {
            let reason = format!("`{}` is the first {what}", key.column);
            let warning = format!(
                "no index begins with `{}`: the source reads the whole table for every unit",
                key.column
            );
            Fit::Costly(Choice::new(Some(key.clone()), reason), warning)
        }
        None => Fit::No(format!("the table has no {what}")),
    }
}

/// Whether the table is files.
fn is_files(description: &Description) -> bool {
    description.pieces.iter().any(|piece| matches!(piece.leaf, Some(Leaf::Object(_))))
}

/// Cuts a piece by ranges of `key`.
async fn cut_ranges(
    survey: &mut dyn Survey,
    table: &TableJob,
    piece: &Piece,
    choice: &Choice,
    count: u32,
) -> Result<Option<Vec<Weighed>>> {
    let Some(key) = &choice.key else { return Ok(None) };
    let distribution = survey.distribution(table, piece, key).await?;
    Ok(distribution.map(|distribution| crate::cut::ranges(key, &distribution, count)))
}
