//! The end of a generation: no unit is left to read.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Statement that no unit of a generation is left to read: each has a receipt, or was given up.
///
/// Tasks that hold the snapshot for others check for this document instead of counting receipts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Extracted {
    /// Version of this document, [`Extracted::VERSION`].
    pub version: u32,
    /// Generation of the snapshot.
    pub snapshot: u32,
    /// Time of creation, by the clock of the task that created it.
    pub at: DateTime<Utc>,
}

impl Extracted {
    /// The version this build writes.
    pub const VERSION: u32 = 1;
}
