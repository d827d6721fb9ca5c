//! From a job to a manifest.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::Utc;
use sluice_contracts::documents::{
    Cut, Manifest, Refused, RunId, SnapshotPlan, Table, TableWrite, Unit,
};
use sluice_contracts::job::{Consistency, Excluded, Job, Limits, Resolved, Selection, TableJob};
use sluice_contracts::{Error, Result};
use sluice_sources::{Description, Piece, Protection, Source, Survey};

use crate::bundle::{Goal, Slice, bundle};
use crate::cut::Weighed;
use crate::pack::pack;
use crate::strategy::{Choice, Fit, STRATEGIES, Strategy};
use crate::time_limit::{Progress, limited};

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

/// Plans a run of `job`: looks at the source, cuts every table into units and packs them onto
/// tasks. Nothing is written and nothing is started.
///
/// # Errors
/// `Invalid`, before the first row is read, if the job asks for what cannot be done.
pub async fn plan(job: &Job, source: Arc<dyn Source>) -> Result<Manifest> {
    plan_run(RunId::generate(), job, source).await
}

/// Plans a run that already has its id, like [`plan`].
pub async fn plan_run(run: RunId, job: &Job, source: Arc<dyn Source>) -> Result<Manifest> {
    let progress = Progress::default();
    limited(run, job, &progress, Box::pin(survey_and_cut(run, job, source, &progress))).await
}

async fn survey_and_cut(
    run: RunId,
    job: &Job,
    source: Arc<dyn Source>,
    progress: &Progress,
) -> Result<Manifest> {
    let doing = |error: Error| error.during(format!("plan job `{}`", job.name));
    let mut survey = source.survey(&format!("sluice {run} plan")).await?;
    let protection = survey.protection().await.map_err(doing)?;
    progress.comes_to("list the tables".to_owned());
    let selected = select(job, survey.as_mut()).await.map_err(doing)?;
    let mut tables = Vec::with_capacity(selected.tables.len());
    let mut units = Vec::new();
    let mut refused = Vec::new();
    for table in &selected.tables {
        let (at, index) = (tables.len() + refused.len(), tables.len());
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let of = selected.tables.len();
        progress.comes_to(format!("table `{}` ({} of {of})", table.relation, at + 1));
        match plan_table(survey.as_mut(), index, table, job.consistency).await {
            Ok((planned, own)) => {
                log_table(run, &planned);
                tables.push(planned);
                units.extend(own);
            }
            Err(error) if job.fails_as_a_whole() => return Err(doing(error)),
            // A locked table does not stop the others. A lost connection does; it is found below.
            Err(error) => refused.push(refuse(table, &error)),
        }
    }
    progress.comes_to("count the connections that are left".to_owned());
    let free = survey.connections().await.map_err(doing)?.unwrap_or(u32::MAX);
    if tables.is_empty() {
        let first = refused.first();
        let error = Error::invalid(format!("plan job `{}`: no table can be moved", job.name));
        return Err(match first {
            Some(Refused { message, hint, .. }) => error
                .because(message.clone())
                .hint(hint.clone().unwrap_or_else(|| "see `sluice plan`".to_owned())),
            None => error.hint("every table is excluded"),
        });
    }
    let limits = Limits { max_connections: job.limits.max_connections.min(free), ..job.limits };
    let several =
        |unit: &&Unit| unit.index > 0 || unit.leaf.as_ref().is_some_and(|leaf| leaf.count() > 1);
    let divided: BTreeSet<u32> = units.iter().filter(several).map(|unit| unit.table).collect();
    let packing = pack(&tables, units, &limits);
    let short = free < job.limits.max_connections && packing.tasks.len() as u64 == u64::from(free);
    let short = short.then(|| {
        format!("the server takes {free} more connections of this user, so there are no more tasks")
    });
    let snapshot = match job.consistency {
        Consistency::Snapshot => survey.snapshot().await.map_err(doing)?,
        Consistency::None => SnapshotPlan::Independent,
    };
    if snapshot == SnapshotPlan::Independent {
        for table in tables.iter_mut().filter(|table| divided.contains(&table.index)) {
            table.warnings.push(
                "`consistency: none`: a row that moves between two units or partitions while they \
                 are read is loaded twice or not at all"
                    .to_owned(),
            );
        }
    }
    Ok(Manifest {
        version: Manifest::VERSION,
        run,
        job: job.name.clone(),
        planned: Utc::now(),
        source: job.source.clone(),
        connection: protection
            .filter(|&protection| protection != Protection::Local)
            .map(|protection| protection.to_string()),
        bucket: job.bucket.clone(),
        snapshot,
        all_or_nothing: job.all_or_nothing,
        max_executions: job.limits.max_executions,
        tables,
        refused,
        excluded: selected.excluded,
        warnings: selected
            .warnings
            .into_iter()
            .chain(packing.warning)
            .chain(short)
            .chain(unprotected(protection))
            .collect(),
        units_folder: None,
        tasks: packing.tasks,
        estimate: packing.estimate,
    })
}

/// What a connection without encryption, or to a server that is not verified, means.
fn unprotected(protection: Option<Protection>) -> Option<String> {
    Some(match protection? {
        Protection::None => "the connection to the source is not encrypted: who can read the \
                             network can read the rows; add `sslmode=verify-full` and \
                             `sslrootcert=...` to its URL"
            .to_owned(),
        Protection::Encrypted => "the connection to the source is encrypted, and nothing verifies \
                                  that the right server answers; add `sslmode=verify-full` and \
                                  `sslrootcert=...` to its URL"
            .to_owned(),
        Protection::VerifiedCertificate | Protection::VerifiedName | Protection::Local => {
            return None;
        }
    })
}

fn log_table(run: RunId, table: &Table) {
    let units = u64::from(table.units);
    tracing::info!(
        run = %run,
        table = table.name,
        strategy = table.strategy,
        units,
        rows = table.rows,
        rows_per_unit = table.rows / units.max(1),
        "cut a table"
    );
}

/// The tables that the job selects, and those that it leaves out.
async fn select(job: &Job, survey: &mut dyn Survey) -> Result<Resolved> {
    if let Selection::One(_) = job.selection {
        return job.selection.resolve(&[]);
    }
    let listing = survey.tables().await?;
    let mut resolved = job.selection.resolve(&listing.tables)?;
    for (name, reason) in listing.excluded {
        let named = resolved.tables.iter().any(|table| table.relation == name.relation());
        if job.selection.means(&name) && !named {
            resolved.excluded.push(Excluded { table: name.to_string(), reason });
        }
    }
    Ok(resolved)
}

fn refuse(table: &TableJob, error: &Error) -> Refused {
    Refused {
        table: table.relation.to_string(),
        target: table.target.clone(),
        kind: error.kind(),
        message: error.chain(),
        hint: error.remedy().map(str::to_owned),
    }
}

async fn plan_table(
    survey: &mut dyn Survey,
    index: u32,
    table: &TableJob,
    consistency: Consistency,
) -> Result<(Table, Vec<Unit>)> {
    let mut description = survey.describe(table).await?;
    if consistency == Consistency::None {
        description.pieces.iter_mut().for_each(|piece| piece.outside = false);
    }
    let mut warnings = description.warnings.clone();
    let cutting = match &table.partitioning.strategy {
        _ if description.pieces.iter().all(Piece::is_undivided) => {
            let reason = if description.pieces.iter().all(|piece| piece.outside) {
                "it lies outside of the snapshot, and one statement reads one moment"
            } else {
                "each of its units would lock all that it consists of"
            };
            Cutting {
                strategy: "full",
                reason: reason.to_owned(),
                units: whole_pieces(&description),
            }
        }
        Some(name) => cut_by_name(survey, table, &description, name, &mut warnings).await?,
        None => cut_by_choice(survey, table, &description, &mut warnings).await?,
    };
    let units: Vec<Unit> = (0_u32..)
        .zip(cutting.units)
        .map(|(at, slice)| {
            Ok(Unit {
                table: index,
                index: at,
                leaf: slice.leaf,
                predicate: survey.predicate(&slice.cut)?,
                rows: whole(slice.rows),
                bytes: whole(slice.bytes),
                cut: slice.cut,
            })
        })
        .collect::<Result<_>>()?;
    let planned = Table {
        index,
        name: table.relation.to_string(),
        relation: table.relation.clone(),
        filter: table.filter.clone(),
        row_security: table.row_security,
        target: table.target.clone(),
        write: TableWrite::of(table.write_disposition),
        strategy: cutting.strategy.to_owned(),
        reason: cutting.reason,
        statement: None,
        rows: description.rows(),
        bytes: description.bytes(),
        columns: description.columns,
        shape: description.shape,
        warnings,
        units: u32::try_from(units.len()).unwrap_or(u32::MAX),
    };
    Ok((planned, units))
}

/// How a table was cut.
struct Cutting {
    strategy: &'static str,
    reason: String,
    units: Vec<Slice>,
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
        units.extend(cuts.into_iter().map(|cut| Slice::of(piece, cut)));
    }
    let goal = Goal::new(description.rows().div_ceil(count));
    let units = bundle(units, goal);
    Ok(Some(Cutting { strategy: strategy.name(), reason: choice.reason, units }))
}

fn whole_pieces(description: &Description) -> Vec<Slice> {
    let whole =
        |piece: &Piece| Slice::of(piece, Weighed { cut: Cut::Full, rows: as_f64(piece.rows) });
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

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate")]
fn whole(count: f64) -> u64 {
    count.round().max(0.0) as u64
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
