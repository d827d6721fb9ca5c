//! Cutting a table: by the strategy that the job names, or by one that fits.

use sluice_contracts::documents::Cut;
use sluice_contracts::job::{Limits, TableJob};
use sluice_contracts::{Error, Result};
use sluice_sources::{Description, Piece, Survey};

use crate::bundle::{Goal, PlannedUnit, bundle};
use crate::cut::Weighed;
use crate::pack::wanted_tasks;
use crate::price;
use crate::strategy::{Choice, Fit, STRATEGIES, Strategy};

/// Below this many rows and [`SMALL_BYTES`], `auto` does not cut.
const SMALL_ROWS: u64 = 1_000_000;
/// Below this many bytes and [`SMALL_ROWS`], `auto` does not cut.
const SMALL_BYTES: u64 = 1 << 30;
/// Seconds that a unit takes a task, where the job does not say how many rows it has: it costs little to
/// read again, and fills a row group of 16 MiB.
const UNIT_WORK: f64 = 2.5;
/// Blocks of a unit at most, where the job does not say how many rows it has: 1 GiB.
const UNIT_BLOCKS: u64 = 1 << 17;
/// Units for each task, so that all tasks end at about the same time.
const UNITS_OF_TASK: u64 = 4;
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
        limits: &Limits,
        description: &Description,
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
        let count = unit_count(description, table.partitioning.target_rows, limits);
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
            Some(name) => cut_by_name(survey, table, description, count, name, warnings).await,
            None => cut_by_choice(survey, table, description, count, warnings).await,
        }
    }
}

/// Cuts by the strategy that the job names, or says why it cannot be done.
async fn cut_by_name(
    survey: &mut dyn Survey,
    table: &TableJob,
    description: &Description,
    count: u64,
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
        Fit::Best(choice) | Fit::Good(choice) => choice,
        Fit::Costly(choice, warning) => {
            warnings.push(warning);
            choice
        }
        Fit::No(why) => return Err(refused(&why)),
    };
    warnings.extend(choice.scatter_warning(description));
    let cutting = cut_pieces(survey, table, description, count, *strategy, choice).await?;
    cutting.ok_or_else(|| refused("the source cannot say where its keys lie without reading them"))
}

/// Cuts by the strategy that fits best. There always is one: `full` fits everything.
async fn cut_by_choice(
    survey: &mut dyn Survey,
    table: &TableJob,
    description: &Description,
    count: u64,
    warnings: &mut Vec<String>,
) -> Result<Cutting> {
    let named = table.partitioning.column.is_some();
    let small = description.rows() < SMALL_ROWS && description.bytes() < SMALL_BYTES;
    if !small {
        for (strategy, choice, cost) in candidates(table, description) {
            // If the job names a column, a strategy that cuts by no column is skipped.
            if named && choice.key.is_none() && choice.columns.is_empty() {
                continue;
            }
            let scattered = choice.scatter_warning(description);
            if let Some(cutting) =
                cut_pieces(survey, table, description, count, strategy, choice).await?
            {
                warnings.extend(cost.into_iter().chain(scattered));
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

/// The strategies that `auto` tries, one after another: those that cost the source least, and then those
/// that fit well. Those that cost it much follow in their turn if the job names a column, with a warning.
fn candidates(
    table: &TableJob,
    description: &Description,
) -> Vec<(&'static dyn Strategy, Choice, Option<String>)> {
    let named = table.partitioning.column.is_some();
    let (mut best, mut good) = (Vec::new(), Vec::new());
    for strategy in STRATEGIES {
        match strategy.fit(table, description) {
            Fit::Best(choice) => best.push((*strategy, choice, None)),
            Fit::Good(choice) => good.push((*strategy, choice, None)),
            Fit::Costly(choice, warning) if named => good.push((*strategy, choice, Some(warning))),
            Fit::Costly(..) | Fit::No(_) => {}
        }
    }
    best.extend(good);
    best
}

/// Cuts every piece, in proportion to its rows. `None` if the source cannot say where to cut.
async fn cut_pieces(
    survey: &mut dyn Survey,
    table: &TableJob,
    description: &Description,
    count: u64,
    strategy: &dyn Strategy,
    choice: Choice,
) -> Result<Option<Cutting>> {
    let count = count.min(u64::from(strategy.most_units()));
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

/// Units for a table: as many as take [`UNIT_WORK`] each, and at least [`UNITS_OF_TASK`] for each
/// task that the table has work for; or as many as the job's `target_rows` makes.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of seconds, which is not negative; the result is clamped"
)]
fn unit_count(description: &Description, target_rows: Option<u64>, limits: &Limits) -> u64 {
    let rows = description.rows();
    if let Some(target) = target_rows {
        return rows.div_ceil(target.max(1)).clamp(1, MOST_UNITS);
    }
    let work = price::seconds_of_rows(rows, description.bytes());
    let by_work = (work / UNIT_WORK).ceil() as u64;
    let by_tasks = UNITS_OF_TASK * u64::from(wanted_tasks(work, limits));
    // Few rows of a large table are kept, or the server expects too few.
    let blocks: u64 =
        description.pieces.iter().filter_map(|piece| piece.blocks).map(u64::from).sum();
    by_work.max(by_tasks).max(blocks / UNIT_BLOCKS).min(MOST_UNITS)
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
    use sluice_contracts::documents::KeyType;
    use sluice_sources::{BlockRange, Key};

    use super::*;

    fn counted(rows: u64, bytes: u64, target: Option<u64>, within: Option<u64>) -> u64 {
        let piece = Piece { rows, bytes, ..Piece::default() };
        let description = Description { pieces: vec![piece], ..Description::default() };
        let finish_within = within.map(std::time::Duration::from_secs);
        unit_count(&description, target, &Limits { finish_within, ..Limits::default() })
    }

    #[test]
    fn units_are_sized_by_work() {
        let short = |rows| counted(rows, rows * 180, None, None);
        assert_eq!(short(0), 4);
        assert_eq!(short(1_000_000), 4);
        assert_eq!(short(5_000_000), 6);
        assert_eq!(short(50_000_000), 60);
        assert_eq!(short(1_000_000_000), 1_200);
        assert_eq!(short(100_000_000_000), 10_000);
        // 2,000,000 documents of 50 kB.
        assert_eq!(counted(2_000_000, 100_000_000_000, None, None), 667);
        // Few rows of 1 TiB.
        let piece =
            Piece { rows: 2_000_000, bytes: 1 << 31, blocks: Some(1 << 27), ..Piece::default() };
        let description = Description { pieces: vec![piece], ..Description::default() };
        assert_eq!(unit_count(&description, None, &Limits::default()), 1024);
        // Several for each of the tasks that a short time takes.
        assert_eq!(counted(5_000_000, 900_000_000, None, Some(3)), 20);
        assert_eq!(counted(5_000_000, 900_000_000, None, Some(1)), 32);
        assert_eq!(counted(u64::MAX, u64::MAX, None, None), 10_000);
        assert_eq!(counted(5_000_000, 0, Some(5_000_000), None), 1);
        assert_eq!(counted(5_000_000, 0, Some(u64::MAX), Some(1)), 1);
        assert_eq!(counted(100, 0, Some(30), None), 4);
    }

    fn key(column: &str, correlation: Option<f64>) -> Key {
        Key {
            column: column.to_owned(),
            key_type: KeyType::Integer,
            indexed: true,
            primary: true,
            nullable: false,
            correlation,
        }
    }

    /// The strategies that `auto` tries for a large table of PostgreSQL, in this order.
    fn tried(block_range: BlockRange, column: Option<&str>) -> Vec<&'static str> {
        let piece = Piece { blocks: Some(100_000), block_range, ..Piece::default() };
        let keys = vec![key("id", Some(0.1))];
        let description = Description { keys, pieces: vec![piece], ..Description::default() };
        let job = serde_json::json!({
            "name": "orders",
            "source": {"url": "postgres://h/d", "table": "orders"},
            "target": {"table": "file:///w/orders"},
            "partitioning": column.map_or(serde_json::json!({}), |column| serde_json::json!({"column": column})),
        });
        let job = sluice_contracts::job::Job::from_value("job", job, &[]).unwrap();
        let sluice_contracts::job::Selection::One(table) = job.selection else {
            panic!("one table")
        };
        let candidates = candidates(&table, &description);
        candidates.into_iter().map(|(strategy, ..)| strategy.name()).collect()
    }

    #[test]
    fn auto_reads_pages_unless_an_index_or_the_job_knows_better() {
        assert_eq!(tried(BlockRange::ReadsLeast, None)[..2], ["ctid", "id_range"]);
        // The order of the seed.
        let seed = ["id_range", "ctid", "hash", "full"];
        assert_eq!(tried(BlockRange::ReadsMoreThanIndex, None), seed);
        assert_eq!(tried(BlockRange::ReadsAll, None), ["id_range", "hash", "full"]);
        assert!(tried(BlockRange::ReadsLeast, Some("id")).contains(&"id_range"));
    }

    #[test]
    fn a_scattered_key_is_warned_of_with_a_remedy_that_helps() {
        let warning = |correlation, blocks, block_range| {
            let piece = Piece { blocks, block_range, ..Piece::default() };
            let description = Description { pieces: vec![piece], ..Description::default() };
            let reason = String::new();
            let choice = Choice { key: Some(key("id", correlation)), columns: Vec::new(), reason };
            choice.scatter_warning(&description)
        };
        let helps = warning(Some(0.02), Some(9), BlockRange::ReadsLeast).unwrap();
        assert!(helps.contains("0.02") && helps.contains("strategy: ctid"), "{helps}");
        let old_server = warning(Some(-0.5), Some(9), BlockRange::ReadsAll).unwrap();
        assert!(!old_server.contains("ctid"), "{old_server}");
        let no_pages = warning(Some(0.5), None, BlockRange::ReadsLeast).unwrap();
        assert!(!no_pages.contains("ctid"), "{no_pages}");
        assert_eq!(warning(Some(0.02), Some(9), BlockRange::ReadsMoreThanIndex), None);
        for in_order in [Some(0.97), Some(-1.0), None] {
            assert_eq!(warning(in_order, Some(9), BlockRange::ReadsLeast), None);
        }
    }

    #[test]
    fn shares_do_not_overflow() {
        assert_eq!(share_of(10_000, u64::MAX, u64::MAX), 10_000);
        assert_eq!(share_of(10, 0, 0), 1);
        assert_eq!(share_of(100, 1, 3), 34);
    }
}
