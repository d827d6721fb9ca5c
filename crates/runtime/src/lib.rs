//! What every program does the same way: logs, the report of a failure, opening a bucket, calling
//! Google's services, answering requests, and carrying launches out.

pub mod features;
pub mod format;
#[cfg(feature = "google")]
pub mod google;
#[cfg(feature = "service")]
pub mod http;
pub mod launch;
#[cfg(feature = "service")]
pub mod list;
pub mod login;
pub mod report;
#[cfg(feature = "service")]
pub mod service;
pub mod storage;
pub mod telemetry;
