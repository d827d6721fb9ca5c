//! The end of a generation: no unit is left to be read.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Word that no unit of a generation is left to be read: each has a receipt, or was given up.
///
/// Tasks that hold the snapshot for others look for it; it saves them from counting receipts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Extracted {
    /// Version of this document, [`Extracted::VERSION`].
    pub version: u32,
    /// Generation of the snapshot.
    pub snapshot: u32,
    /// When, by the clock of the task that saw it first.
    pub at: DateTime<Utc>,
}

impl Extracted {
    /// The version this build writes.
    pub const VERSION: u32 = 1;
}
