//! What every service does the same way: listening, shutting down, identifying callers, and
//! answering with errors.

mod identity;
mod problem;
mod trace;

use std::net::{Ipv6Addr, SocketAddr};

use axum::Router;
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Kind, Result};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

pub use identity::{Caller, Callers};
pub use problem::Problem;
pub use trace::Traces;

/// Serves `router` on `port` until SIGTERM, and then lets running requests end: Cloud Run gives
/// them ten seconds.
/// <https://cloud.google.com/run/docs/container-contract#instance-shutdown>
pub async fn serve(router: Router, port: u16) -> Result<()> {
    let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let listener = TcpListener::bind(address)
        .await
        .doing(Kind::Denied, || format!("listen on port {port}"))?;
    let mut terminate =
        signal(SignalKind::terminate()).doing(Kind::Bug, || "listen for SIGTERM")?;
    tracing::info!(port, "listening");
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            terminate.recv().await;
        })
        .await
        .doing(Kind::Transient, || "serve requests")
}
