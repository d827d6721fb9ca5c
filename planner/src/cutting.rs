//! Cutting a table: by the strategy that the job names, or by one that fits.

use sluice_contracts::documents::Cut;
use sluice_contracts::job::TableJob;
use sluice_contracts::{Error, Result};
use sluice_sources::{Description, Piece, Survey};

use crate::bundle::{Goal, PlannedUnit, bundle};
use crate::cut::Weighed;
use crate::strategy::{Choice, Fit, STRATEGIES, Strategy};

/// Below this many rows and [`SMALL_BYTES`], `auto` does not cut.
const SMALL_ROWS: u64 = 1_000_000;
/// Below this many bytes and [`SMALL_ROWS`], `auto` does not cut.
const SMALL_BYTES: u64 = 1 << 30;
/// Rows to aim at for each unit, where the job does not say.
const TARGET_ROWS: u64 = 50_000;
/// Most rows of a unit: a table gets more than the hundred units of [`TARGET_ROWS`] to stay below.
const MOST_ROWS: u64 = 500_000;
/// Most units of a table: every unit is a query, a part file and a receipt.
const MOST_UNITS: u64 = 10_000;

/// How a table was cut.
pub(crate) struct Cutting {
    pub(crate) strategy: &'static str,
    pub(crate) reason: String,
    pub(crate) units: Vec<PlannedUnit>,
}

impl Cutting {
    /// Cuts by the strategy that the job names, or by the first one that fits.
    ///
    /// # Errors
    /// `Invalid` if the strategy that the job names does not fit, with those that do as hint.
    pub(crate) async fn of(
        survey: &mut dyn Survey,
        table: &TableJob,
        description: &Description,
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
        match &table.partitioning.strategy {
            _ if description.pieces.iter().all(Piece::is_undivided) => {
                let reason = if description.pieces.iter().all(|piece| piece.outside) {
                    "it lies outside of the snapshot, and one statement reads one state of it"
                } else {
                    "each of its units would lock all that it consists of"
                };
                Ok(Self {
                    strategy: "full",
                    reason: reason.to_owned(),
                    units: whole_pieces(description),
                })
            }
            Some(name) => cut_by_name(survey, table, description, name, warnings).await,
            None => cut_by_choice(survey, table, description, warnings).await,
        }
    }
}

/// Cuts by the strategy that the job names, or says why it cannot be done.
async fn cut_by_name(
    survey: &mut dyn Survey,
    table: &TableJob,
    description: &Description,
    name: &str,
    warnings: &mut Vec<String>,
) -> Result<Cutting> {
    let refused = |why: &str| {
        let fitting: Vec<String> = STRATEGIES
            .iter()
            .filter(|strategy| strategy.name() != name)
            .filter(|strategy| !matches!(strategy.fit(table, description), Fit::No(_)))
            .map(|strategy| format!("`{}`", strategy.name()))
            .collect();
        Error::invalid(format!("cut table `{}` by `{name}`: {why}", table.relation))
            .hint(format!("use {} or `auto`", fitting.join(", ")))
    };
    let Some(strategy) = STRATEGIES.iter().find(|strategy| strategy.name() == name) else {
        return Err(refused("no strategy has that name"));
    };
    let choice = match strategy.fit(table, description) {
        Fit::Good(choice) => choice,
        Fit::Costly(choice, warning) => {
            warnings.push(warning);
            choice
        }
        Fit::No(why) => return Err(refused(&why)),
    };
    let cutting = cut_pieces(survey, table, description, *strategy, choice).await?;
    cutting.ok_or_else(|| refused("the source cannot say where its keys lie without reading them"))
}

/// Cuts by the first strategy that fits well. There always is one: `full` fits everything.
async fn cut_by_choice(
    survey: &mut dyn Survey,
    table: &TableJob,
    description: &Description,
    warnings: &mut Vec<String>,
) -> Result<Cutting> {
    let named = table.partitioning.column.is_some();
    let small = description.rows() < SMALL_ROWS && description.bytes() < SMALL_BYTES;
    if !small {
        for strategy in STRATEGIES {
            let choice = match strategy.fit(table, description) {
                Fit::Good(choice) => choice,
                Fit::Costly(choice, warning) if named => {
                    warnings.push(warning);
                    choice
                }
                Fit::Costly(..) | Fit::No(_) => continue,
            };
            // If the job names a column, a strategy that cuts by no column is skipped.
            if named && choice.key.is_none() && choice.columns.is_empty() {
                continue;
            }
            if let Some(cutting) = cut_pieces(survey, table, description, *strategy, choice).await?
            {
                return Ok(cutting);
            }
        }
        warnings.push(
            "no valid strategy: the table is read as one unit; \
             name a column to cut by in `partitioning.column`"
                .to_owned(),
        );
    }
    let reason = if small {
        format!(
            "fewer than {} million rows and less than 1 GiB: cutting would cost more than it saves",
            SMALL_ROWS / 1_000_000
        )
    } else {
        "nothing to cut by".to_owned()
    };
    Ok(Cutting { strategy: "full", reason, units: whole_pieces(description) })
}

/// Cuts every piece, in proportion to its rows. `None` if the source cannot say where to cut.
async fn cut_pieces(
    survey: &mut dyn Survey,
    table: &TableJob,
    description: &Description,
    strategy: &dyn Strategy,
    choice: Choice,
) -> Result<Option<Cutting>> {
    let count = unit_count(description.rows(), table.partitioning.target_rows)
        .min(u64::from(strategy.most_units()));
    let mut units = Vec::new();
    for piece in &description.pieces {
        let share = share_of(count, piece.rows, description.rows());
        let cuts = if piece.is_undivided() || share < 2 && description.pieces.len() > 1 {
            // A leaf that is small anyway is not worth a range.
            vec![Weighed { cut: Cut::Full, rows: as_f64(piece.rows) }]
        } else {
            match strategy.cut(survey, table, piece, &choice, share).await? {
                Some(cuts) => cuts,
                None => return Ok(None),
            }
        };
        units.extend(cuts.into_iter().map(|cut| PlannedUnit::of(piece, cut)));
    }
    let goal = Goal::new(description.rows().div_ceil(count));
    let units = bundle(units, goal);
    Ok(Some(Cutting { strategy: strategy.name(), reason: choice.reason, units }))
}

fn whole_pieces(description: &Description) -> Vec<PlannedUnit> {
    let whole = |piece: &Piece| {
        PlannedUnit::of(piece, Weighed { cut: Cut::Full, rows: as_f64(piece.rows) })
    };
    bundle(description.pieces.iter().map(whole).collect(), Goal::new(u64::MAX))
}

/// Units for a table: 50,000 rows each, at least 10 and at most 100, and past that as many as keep
/// a unit below [`MOST_ROWS`].
fn unit_count(rows: u64, target_rows: Option<u64>) -> u64 {
    match target_rows {
        Some(target) => rows.div_ceil(target.max(1)).clamp(1, MOST_UNITS),
        None => (rows / TARGET_ROWS).clamp(10, 100).max(rows / MOST_ROWS).min(MOST_UNITS),
    }
}

/// A piece's share of the table's units, at least one.
fn share_of(count: u64, rows: u64, all_rows: u64) -> u32 {
    let share = (u128::from(count) * u128::from(rows)).div_ceil(u128::from(all_rows.max(1)));
    u32::try_from(share.max(1)).unwrap_or(u32::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_counts_follow_the_seeds_formula_and_grow_past_it() {
        assert_eq!(unit_count(0, None), 10);
        assert_eq!(unit_count(1_000_000, None), 20);
        assert_eq!(unit_count(5_000_000, None), 100);
        assert_eq!(unit_count(50_000_000, None), 100);
        assert_eq!(unit_count(1_000_000_000, None), 2_000);
        assert_eq!(unit_count(u64::MAX, None), 10_000);
        assert_eq!(unit_count(5_000_000, Some(5_000_000)), 1);
        assert_eq!(unit_count(5_000_000, Some(u64::MAX)), 1);
        assert_eq!(unit_count(100, Some(30)), 4);
    }

    #[test]
    fn shares_do_not_overflow() {
        assert_eq!(share_of(10_000, u64::MAX, u64::MAX), 10_000);
        assert_eq!(share_of(10, 0, 0), 1);
        assert_eq!(share_of(100, 1, 3), 34);
    }
}
