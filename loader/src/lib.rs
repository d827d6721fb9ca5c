//! All receipts there? Counts agree? Then every table becomes visible, once.
//!
//! ```text
//! manifest + receipts of one generation -> Load -> Target -> commits/<table>.json
//! a signal -> Service::look -> verdict.json -> the same -> committed.json -> announced.json
//! ```

mod advance;
mod census;
mod commit;
#[cfg(feature = "service")]
mod config;
mod failures;
mod figures;
#[cfg(feature = "service")]
mod http;
mod outcome;
mod parts;
#[cfg(feature = "service")]
mod signals;
#[cfg(test)]
#[cfg(feature = "service")]
mod tests;

pub use advance::{Service, Standing};
pub use census::{Census, census, tasks_to_start};
pub use commit::{commit, delete_parts};
#[cfg(feature = "service")]
pub use config::Config;
#[cfg(feature = "service")]
pub use http::{health, router};
pub use outcome::{Outcome, TableOutcome, error_of, table_endings};
