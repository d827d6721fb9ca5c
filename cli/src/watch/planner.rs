//! A run as its planner describes it.

use async_trait::async_trait;
use serde_json::Value;
use sluice_contracts::documents::RunId;
use sluice_contracts::{Error, Result};

use super::{End, Observation, Window, of_run};
use crate::answer::Answer;
use crate::planner::{Document, Planner};
use crate::render::planner_status::{PlannerStatus, render, timeline};

/// Asks the planner.
#[derive(Debug)]
pub(crate) struct PlannerWindow {
    planner: Planner,
    run: RunId,
}

impl PlannerWindow {
    /// Shows a run that a planner was asked for.
    pub(crate) fn new(planner: Planner, run: RunId) -> Self {
        Self { planner, run }
    }
}

#[async_trait]
impl Window for PlannerWindow {
    async fn observe(&mut self) -> Result<Observation> {
        let observation = self.planner.run(self.run).await.and_then(|document| seen(&document));
        let what = || format!("ask `{}` for run `{}`", self.planner.url(), self.run);
        observation.map_err(|error| error.during(what()))
    }
}

fn seen(document: &Document) -> Result<Observation> {
    let status: PlannerStatus =
        serde_json::from_value(Value::Object(document.clone())).map_err(|source| {
            Error::data("read the answer")
                .because(source)
                .hint("look at the planner's URL and its version")
        })?;
    let end = match status.state.as_str() {
        "finished" => Some(End::Finished),
        "failed" => Some(End::Failed(of_run(&status.run, status.error()))),
        _ => None,
    };
    Ok(Observation {
        timeline: timeline(&status),
        end,
        answer: Answer::new(document, render(&status))?,
    })
}
