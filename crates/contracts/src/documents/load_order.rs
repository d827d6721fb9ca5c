//! The order to load a run again.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The order to load a run again: some of its tables could not be loaded, and what was in the way is
/// corrected. Created once for each number; the tables that are visible stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadOrder {
    /// Version of this document, [`LoadOrder::VERSION`].
    pub version: u32,
    /// How often the run was loaded before.
    pub load: u32,
    /// When it was ordered, by the loader's clock.
    pub at: DateTime<Utc>,
}

impl LoadOrder {
    /// The version this build writes.
    pub const VERSION: u32 = 1;
}
