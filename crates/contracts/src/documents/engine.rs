//! What moves a table: the engine, and what was known of the others when it was chosen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What moves the rows of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// The target itself, by a copy, a query or a load of the files: nothing is extracted.
    Native,
    /// Tasks, on Cloud Run or on one machine, which write part files.
    #[default]
    CloudRun,
    /// Tasks, which write part files, and a job of Dataflow, which brings their rows into the target.
    Dataflow,
}

impl Engine {
    /// Its name in job files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::CloudRun => "cloud_run",
            Self::Dataflow => "dataflow",
        }
    }
}

/// The engine of a table, and why it is that one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineChoice {
    /// The engine.
    pub engine: Engine,
    /// Why, in one sentence.
    pub reason: String,
    /// What each engine would take, or why it cannot move the table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<EngineOption>,
}

/// One engine for a table, as it was known when the run was planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineOption {
    /// The engine.
    pub engine: Engine,
    /// What it would take; absent where it cannot move the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<EngineEstimate>,
    /// What is lost by it, or why it cannot move the table.
    pub remark: String,
}

/// What an engine takes to move a table. Printed, never enforced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineEstimate {
    /// Seconds, from the plan until the rows are visible.
    pub seconds: f64,
    /// US dollars, before any free tier.
    pub dollars: f64,
}

impl std::ops::Add for EngineEstimate {
    type Output = Self;

    /// One after the other.
    fn add(self, other: Self) -> Self {
        Self { seconds: self.seconds + other.seconds, dollars: self.dollars + other.dollars }
    }
}
