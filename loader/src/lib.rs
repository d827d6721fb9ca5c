//! Loader: once all receipts exist and all counts agree, every table becomes visible, once.
//!
//! ```text
//! manifest + receipts of one generation -> Load -> Target -> commits/<table>.json
//! a signal -> Loader::check -> verdict.json -> the same -> committed.json -> announced.json
//! ```

mod commit;
#[cfg(feature = "service")]
mod config;
mod coverage;
mod failures;
#[cfg(feature = "service")]
mod http;
mod metrics;
mod outcome;
mod parts;
mod reconcile;
#[cfg(feature = "service")]
mod signals;
#[cfg(test)]
#[cfg(feature = "service")]
mod tests;
mod view;

pub use commit::{Tries, commit, delete_parts};
#[cfg(feature = "service")]
pub use config::LoaderConfig;
pub use coverage::{Coverage, coverage, tasks_to_start};
#[cfg(feature = "service")]
pub use http::{health, router};
pub use outcome::{Outcome, TableCommit, error_of, is_half_visible, table_outcomes};
pub use reconcile::{Loader, RunState};
pub use view::RunView;
