//! A bucket of Google Cloud Storage: `gs://bucket/prefix`.
//!
//! Documents are written and read by Google's own client. Three things are asked of the JSON API
//! directly, with the same credentials:
//!
//! - metadata, listings and deletions, which that client has only over gRPC, so not through a
//!   proxy or an emulator that speaks HTTP;
//! - uploads in pieces ([`upload`]): after a connection that was cut, that client goes on with the
//!   next piece where the last one is missing, and leaves a damaged object behind.

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

/// Opens a bucket where `endpoints` say that Cloud Storage answers. Whether it is there shows when
/// it is first used.
pub fn open_at(url: &str, endpoints: &Endpoints) -> Result<Bucket> {
    let address = Address::parse(url)?;
    let store = CloudStorage::new(&endpoints.storage(), &address.bucket)?;
    Ok(Bucket { url: address.url(), store: Arc::new(store), prefix: address.prefix })
}
