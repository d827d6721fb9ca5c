//! The parts of a run that its bucket has.

use std::collections::HashMap;
use std::sync::Arc;

use futures::TryStreamExt as _;
use object_store::path::Path;
use sluice_contracts::Result;
use sluice_contracts::layout::Layout;
use sluice_contracts::store::storage_error;
use tokio::sync::OnceCell;

use crate::target::Load;

/// The sizes of all parts of a run, listed once for all its tables, when the first of them asks: a
/// table's parts have no common beginning of their names.
#[derive(Debug, Clone, Default)]
pub struct PartListing(Arc<OnceCell<HashMap<Path, u64>>>);

impl PartListing {
    /// The sizes, by the path of the part.
    ///
    /// # Errors
    /// What the bucket says, if it cannot be listed. The next call lists it again.
    pub async fn sizes(&self, load: &Load) -> Result<&HashMap<Path, u64>> {
        let list = async || {
            let below = Layout::new(&load.bucket.prefix, load.run).parts();
            let objects = load.bucket.store.list(Some(&below));
            let sizes = objects.map_ok(|object| (object.location, object.size)).try_collect();
            sizes.await.map_err(|source| storage_error(format!("list `{below}`"), source))
        };
        self.0.get_or_try_init(list).await
    }
}
