//! Extractor: a task takes its units, reads them at one snapshot, writes parts, and proves each
//! unit with a receipt.

mod allocator;
mod check_requests;
mod config;
mod encoder;
mod encodings;
mod failure_recorder;
mod launch;
mod measure;
mod no_columns;
mod parts;
mod peers;
mod pending_receipts;
mod progress;
mod retry;
mod snapshot;
mod task;
mod task_state;
mod upload;

pub use config::TaskConfig;
pub use measure::encode;
pub use retry::GIVES_UP_AFTER;
pub use snapshot::BEGINS_AGAIN;
pub use task::run;
