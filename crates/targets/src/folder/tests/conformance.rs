//! What every target has to do, on folders.

use std::path::Path;

use async_trait::async_trait;
use sluice_contracts::store::Bucket;

use super::super::FolderTarget;
use super::{World, read_ids};
use crate::conformance::{self, TargetFixture};
use crate::target::Target;

#[async_trait]
impl TargetFixture for World {
    fn target(&self) -> &dyn Target {
        &FolderTarget
    }

    fn bucket(&self) -> Bucket {
        self.bucket.clone()
    }

    fn table(&self, name: &str) -> String {
        format!("file://{}/warehouse/shop/{name}", self.dir.path().display())
    }

    async fn ids(&self, table: &str) -> Option<Vec<i64>> {
        let folder = Path::new(table.strip_prefix("file://")?);
        folder.exists().then(|| read_ids(folder))
    }
}

#[tokio::test]
async fn a_folder_does_what_every_target_has_to() {
    conformance::all(&World::new()).await.unwrap();
}
