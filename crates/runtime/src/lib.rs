//! What every program does the same way: logs, the last words of a failure, opening a bucket,
//! calling Google's services, and answering requests.

pub mod figures;
pub mod google;
pub mod http;
pub mod report;
pub mod storage;
pub mod telemetry;
