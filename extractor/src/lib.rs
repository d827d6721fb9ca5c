//! Extractor: a task takes its units, reads them at one moment, writes parts, and proves each unit
//! with a receipt.

mod config;
mod moment;
mod others;
mod parts;
mod progress;
mod task;

pub use config::Config;
pub use task::run;
