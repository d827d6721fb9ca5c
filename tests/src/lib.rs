//! The base of the end-to-end tests: the real programs, real servers, faults, and an oracle that
//! shares no code with Sluice.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot continue has to stop and say why"
)]

pub mod cloud;
pub mod cluster;
pub mod faults;
pub mod fidelity;
pub mod needs;
pub mod oracle;
pub mod pooler;
mod ports;
pub mod postgres;
pub mod proxy;
pub mod sluice;
pub mod stores;
pub mod terraform;
