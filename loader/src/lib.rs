//! All receipts there? Counts agree? Then every table becomes visible, once.
//!
//! ```text
//! manifest + receipts of one generation -> Load -> Sink -> commits/<table>.json
//! ```

mod census;
mod commit;
mod parts;
pub mod sink;
#[cfg(test)]
mod tests;

pub use census::{Census, census};
pub use commit::{Outcome, Sinks, TableOutcome, commit};
pub use sink::{Load, Loaded, Prepared, Progress, Sink};
