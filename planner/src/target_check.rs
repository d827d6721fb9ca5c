//! What the targets say of a run's tables, before a row is read.

use futures::stream::{self, StreamExt as _};
use sluice_contracts::documents::{
    DataflowWorkers, EngineEstimate, ErrorReport, Refused, RunId, Table, Unit,
};
use sluice_contracts::{Error, Kind, Result};
use sluice_targets::{Admitted, DataflowAnswer, NativeAnswer, Targets, Visibility};

/// Targets that are looked at at once.
const AT_ONCE: usize = 16;

/// The targets that a plan is checked against, and what becomes of a refusal.
#[derive(Debug, Clone, Copy)]
pub enum TargetCheck<'a> {
    /// The plan is carried out: a table that its target refuses is not moved.
    ToRun(&'a Targets),
    /// The plan is shown: what would refuse the whole run is a warning.
    ToShow(&'a Result<Targets>),
}

impl TargetCheck<'_> {
    /// Adds the warnings of the targets to the tables, and takes those out that their targets
    /// refuse, with their units, unless one table that cannot be moved ends the whole run.
    ///
    /// # Errors
    /// If a run ends by it: all refusals at once, or what may pass.
    pub(crate) async fn carry_out(
        self,
        run: RunId,
        fails_as_a_whole: bool,
        visibility: Visibility,
        tables: &mut Vec<Table>,
        units: &mut Vec<Unit>,
    ) -> Result<Vec<Refused>> {
        let mut refusals = Vec::new();
        let checks = self.ask(run, tables, visibility).await;
        for (table, checked) in tables.iter_mut().zip(checks) {
            refusals.push(match checked {
                Ok(admitted) => {
                    table.way = admitted.way;
                    table.partitioned_by = admitted.partitioned_by;
                    table.warnings.extend(admitted.warnings);
                    None
                }
                Err(error) => Some(error),
            });
        }
        // What may pass says nothing about a table.
        let passes = |error: &Error| matches!(error.kind(), Kind::Transient | Kind::Conflict);
        let refused = refusals.iter().flatten().count();
        let as_a_whole =
            fails_as_a_whole || refused == tables.len() || refusals.iter().flatten().any(passes);
        if refused > 0 && as_a_whole {
            return self.refuse_all(tables, refusals).map(|()| Vec::new());
        }
        let mut kept = Vec::with_capacity(tables.len());
        let mut taken_out = Vec::new();
        for (table, refusal) in std::mem::take(tables).into_iter().zip(refusals) {
            match refusal {
                None => kept.push(table),
                Some(error) => {
                    taken_out.push(Refused::because(table.name, table.target, &error));
                }
            }
        }
        renumber(&mut kept, units);
        *tables = kept;
        Ok(taken_out)
    }

    /// What the target says of the bucket that the tables are loaded from. A job has one target:
    /// asked about one table, it answers for all.
    ///
    /// # Errors
    /// If a run ends by it, because the tables cannot be loaded from there.
    pub(crate) async fn of_bucket(self, bucket: &str, tables: &[Table]) -> Result<Vec<String>> {
        let (Self::ToRun(targets) | Self::ToShow(Ok(targets))) = self else {
            // It is said of each table that there is no target.
            return Ok(Vec::new());
        };
        let Some(table) = tables.first() else { return Ok(Vec::new()) };
        match (self, targets.check_bucket(&table.target, bucket).await) {
            (Self::ToShow(_), Err(error)) => Ok(vec![refused_now(&error)]),
            (_, checked) => checked,
        }
    }

    /// Whether a target exists.
    ///
    /// # Errors
    /// If it cannot be asked, and the plan is carried out.
    pub(crate) async fn exists(self, target: &str) -> Result<bool> {
        let (Self::ToRun(targets) | Self::ToShow(Ok(targets))) = self else { return Ok(true) };
        let asked = match targets.find(target) {
            Ok(found) => found.exists(target).await,
            Err(error) => Err(error),
        };
        match (self, asked) {
            // It is said of each table.
            (Self::ToShow(_), Err(_)) => Ok(true),
            (_, asked) => asked,
        }
    }

    /// Whether the target of a planned table takes its rows by itself.
    ///
    /// # Errors
    /// If the target cannot be asked, and the plan is carried out.
    pub(crate) async fn native(self, table: &Table) -> Result<NativeAnswer> {
        let (Self::ToRun(targets) | Self::ToShow(Ok(targets))) = self else {
            return Ok(NativeAnswer::Refuses("the target was not asked".to_owned()));
        };
        let asked = match targets.find(&table.target) {
            Ok(target) => target.native(table).await,
            Err(error) => Err(error),
        };
        match (self, asked) {
            // It is said of each table.
            (Self::ToShow(_), Err(_)) => {
                Ok(NativeAnswer::Refuses("the target cannot be asked".to_owned()))
            }
            (_, asked) => asked,
        }
    }

    /// Whether Dataflow brings the rows of a planned table into its target, by these workers.
    ///
    /// # Errors
    /// If the target cannot be asked, and the plan is carried out.
    pub(crate) async fn dataflow(
        self,
        table: &Table,
        workers: &DataflowWorkers,
    ) -> Result<DataflowAnswer> {
        let (Self::ToRun(targets) | Self::ToShow(Ok(targets))) = self else {
            return Ok(unasked("the target was not asked"));
        };
        let asked = match targets.find(&table.target) {
            Ok(target) => target.dataflow(table, workers).await,
            Err(error) => Err(error),
        };
        match (self, asked) {
            // It is said of each table.
            (Self::ToShow(_), Err(_)) => Ok(unasked("the target cannot be asked")),
            (_, asked) => asked,
        }
    }

    /// How the tables become visible, and what readers find meanwhile if all do so or none.
    ///
    /// # Errors
    /// If the target cannot be asked, and the plan is carried out.
    pub(crate) async fn visibility(
        self,
        all_or_nothing: bool,
        tables: &[Table],
    ) -> Result<(Visibility, Option<String>)> {
        if !all_or_nothing || tables.len() < 2 {
            return Ok((Visibility::Each, None));
        }
        let against = match self {
            Self::ToRun(targets) | Self::ToShow(Ok(targets)) => {
                let target = tables.first().map(|table| targets.find(&table.target)).transpose();
                match target {
                    Ok(Some(target)) => target.against_at_once(tables).await,
                    Ok(None) => Ok(None),
                    Err(error) => Err(error),
                }
            }
            Self::ToShow(Err(_)) => Ok(Some("the target was not asked".to_owned())),
        };
        let against = match (self, against) {
            // It is said of each table.
            (Self::ToShow(_), Err(_)) => Some("the target cannot be asked".to_owned()),
            (_, against) => against?,
        };
        let Some(reason) = against else { return Ok((Visibility::AtOnce, None)) };
        let warning = format!(
            "all tables are made ready before the first becomes visible; while they become visible, \
             for some seconds, readers find the new rows of some tables and the old rows of others, \
             because {reason}"
        );
        Ok((Visibility::InTurn, Some(warning)))
    }

    /// What each table's target says, in their order.
    async fn ask(
        self,
        run: RunId,
        tables: &[Table],
        visibility: Visibility,
    ) -> Vec<Result<Admitted>> {
        let targets = match self {
            Self::ToRun(targets) | Self::ToShow(Ok(targets)) => targets,
            Self::ToShow(Err(error)) => {
                let report = ErrorReport::from(error);
                return tables.iter().map(|_| Err(report.clone().into_error())).collect();
            }
        };
        let check = |table: &Table| {
            let (target, table) = (targets.find(&table.target), table.clone());
            async move {
                match target {
                    Ok(target) => target.check(run, &table, visibility).await,
                    Err(error) => Err(error),
                }
            }
        };
        let checks: Vec<_> = tables.iter().map(check).collect();
        stream::iter(checks).buffered(AT_ONCE).collect().await
    }

    fn refuse_all(self, tables: &mut [Table], refusals: Vec<Option<Error>>) -> Result<()> {
        if let Self::ToRun(_) = self {
            let results = refusals.into_iter().map(|refusal| refusal.map_or(Ok(()), Err));
            let what = |count| format!("the targets of {count} tables refuse them");
            return Error::all(results, what).map(drop);
        }
        for (table, refusal) in tables.iter_mut().zip(refusals) {
            let Some(error) = refusal else { continue };
            table.warnings.push(refused_now(&error));
        }
        Ok(())
    }
}

/// The answer of a target that gave none.
fn unasked(why: &str) -> DataflowAnswer {
    DataflowAnswer { by_query: EngineEstimate::default(), dataflow: Err(why.to_owned()) }
}

/// A refusal as a warning.
fn refused_now(error: &Error) -> String {
    let hints = error.remedy().into_iter().flat_map(str::lines);
    let hints: Vec<String> = hints.map(|hint| format!("\n  hint: {hint}")).collect();
    format!("a run would be refused now: {}{}", error.chain(), hints.concat())
}

/// Gives the tables that are left their places, and takes the units of the others out.
fn renumber(tables: &mut [Table], units: &mut Vec<Unit>) {
    let mut places = std::collections::HashMap::new();
    for (place, table) in (0_u32..).zip(tables) {
        places.insert(table.index, place);
        table.index = place;
    }
    units.retain_mut(|unit| match places.get(&unit.table) {
        Some(place) => {
            unit.table = *place;
            true
        }
        None => false,
    });
}

#[cfg(test)]
pub(crate) mod tests;
