//! Stand-ins for Google's services, and what can go wrong on the way to them.

pub mod conformance;
pub mod gateway;
mod sessions;
pub mod storage;
