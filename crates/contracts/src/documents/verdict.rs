//! The verdict: whether a run is loaded.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error_report::ErrorReport;

/// Whether a run is loaded. Created once, before anything of the run becomes visible: if one loader
/// would load the run and another would give it up, the first decides for both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Version of this document, [`Verdict::VERSION`].
    pub version: u32,
    /// Whether the run is loaded.
    pub decision: Decision,
    /// Generation of the snapshot that is loaded, if the run is. A generation that becomes complete
    /// later changes nothing, so that no table is loaded twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<u32>,
    /// Tables that are not loaded because units of them are missing, by their index, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub given_up: BTreeMap<u32, ErrorReport>,
    /// Why the run is not loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<ErrorReport>,
    /// Time of the decision, by the clock of the program that decided.
    pub at: DateTime<Utc>,
}

impl Verdict {
    /// The version this build writes.
    pub const VERSION: u32 = 1;

    /// The verdict that a run is loaded.
    pub fn commit(snapshot: u32, given_up: BTreeMap<u32, ErrorReport>, at: DateTime<Utc>) -> Self {
        Self {
            version: Self::VERSION,
            decision: Decision::Commit,
            snapshot: Some(snapshot),
            given_up,
            failure: None,
            at,
        }
    }

    /// The verdict that a run is not loaded, and why.
    pub fn fail(failure: ErrorReport, at: DateTime<Utc>) -> Self {
        Self {
            version: Self::VERSION,
            decision: Decision::Fail,
            snapshot: None,
            given_up: BTreeMap::new(),
            failure: Some(failure),
            at,
        }
    }
}

/// Whether a run is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The run is loaded.
    Commit,
    /// The run is not loaded, and no part of it ever will be.
    Fail,
}
