//! What the end-to-end tests stand on: the real programs, real servers, faults, and an oracle that
//! shares no code with them.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has to stop and say why"
)]

pub mod cloud;
pub mod cluster;
pub mod faults;
pub mod fidelity;
pub mod needs;
pub mod oracle;
pub mod postgres;
pub mod proxy;
pub mod sluice;
