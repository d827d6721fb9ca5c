//! A bucket of Google Cloud Storage: `gs://bucket/prefix`.
//!
//! Documents are written and read by Google's own client. The JSON API is called directly, with the
//! same credentials, for:
//!
//! - metadata, listings and deletions, which that client has only over gRPC, so not through a
//!   proxy or an emulator that speaks HTTP;
//! - uploads in pieces ([`upload`]): after a lost connection that client continues with the next
//!   piece although the last one is missing, and leaves a damaged object behind.

mod address;
mod failure;
mod listing;
mod rest;
mod retry_budget;
mod store;
mod unsent;
mod upload;

use std::sync::Arc;

use sluice_contracts::Result;
use sluice_contracts::store::Bucket;

use self::address::Address;
use self::store::CloudStorage;
use super::Scheme;
use crate::google::Endpoints;

pub(super) const SCHEME: Scheme =
    Scheme { name: "gs", open, find: open, check: |url| Address::parse(url).map(drop) };

fn open(url: &str) -> Result<Bucket> {
    open_at(url, &Endpoints::from_env()?)
}

/// Opens a bucket at the address of Cloud Storage in `endpoints`. A bucket that does not exist is
/// noticed at its first use.
pub fn open_at(url: &str, endpoints: &Endpoints) -> Result<Bucket> {
    let address = Address::parse(url)?;
    let store = CloudStorage::new(&endpoints.storage(), &address.bucket)?;
    Ok(Bucket { url: address.url(), store: Arc::new(store), prefix: address.prefix })
}
