//! What every program does the same way: logs, the last words of a failure, and opening a bucket.

pub mod report;
pub mod storage;
pub mod telemetry;
