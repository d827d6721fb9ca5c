//! Extractor: a task takes its units, reads them at one moment, writes parts, and proves each unit
//! with a receipt.

mod bare;
mod config;
mod course;
mod launch;
mod moment;
mod notices;
mod others;
mod parts;
mod progress;
mod proof;
mod retry;
mod task;
mod upload;
mod word;

pub use config::Config;
pub use task::run;
