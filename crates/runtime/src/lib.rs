//! What every program does the same way: logs, the last words of a failure, opening a bucket,
//! calling Google's services, answering requests, and carrying launches out.

pub mod figures;
pub mod google;
pub mod http;
pub mod launch;
pub mod report;
pub mod storage;
pub mod telemetry;
