//! The loads of new files into a target.

use std::collections::BTreeMap;

use chrono::Utc;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use object_store::path::Path;

use super::{Bucket, Created, READ_AT_ONCE};
use crate::documents::{FileLoad, FileLoadEnd, RunId};
use crate::error::{Error, Result};
use crate::layout::{Layout, file_load_of};

const BEGUN: &str = "begun";
const LOADED: &str = "loaded";
const FAILED: &str = "failed";

/// How far a load of new files is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FileLoadState {
    /// It has begun: its files may be visible, or become visible.
    #[default]
    Begun,
    /// Its files are visible.
    Loaded,
    /// They are not: the load has failed.
    Failed,
}

impl Bucket {
    /// The loads of new files into a target that have begun, by their number.
    pub async fn file_loads(&self, target: &str) -> Result<BTreeMap<u32, FileLoadState>> {
        let mut loads = BTreeMap::<u32, FileLoadState>::new();
        for path in self.list(&Layout::file_loads(&self.prefix, target)).await? {
            let Some((number, document)) = file_load_of(&path) else { continue };
            let state = loads.entry(number).or_default();
            match document.as_str() {
                // Of two loaders that both ended it, the one that saw it visible is right.
                LOADED => *state = FileLoadState::Loaded,
                FAILED if *state == FileLoadState::Begun => *state = FileLoadState::Failed,
                _ => {}
            }
        }
        Ok(loads)
    }

    /// Loads of new files into a target, by their number.
    ///
    /// # Errors
    /// `Data` if one of them was deleted.
    pub async fn read_file_loads(&self, target: &str, numbers: &[u32]) -> Result<Vec<FileLoad>> {
        let reads: Vec<_> = numbers.iter().map(|number| self.file_load(target, *number)).collect();
        stream::iter(reads).buffered(READ_AT_ONCE).try_collect().await
    }

    async fn file_load(&self, target: &str, number: u32) -> Result<FileLoad> {
        let path = Layout::file_load(&self.prefix, target, number, BEGUN);
        self.read(&path, FileLoad::VERSION).await?.ok_or_else(|| {
            Error::data(format!(
                "read `{path}`: it was deleted, and says which files `{target}` has"
            ))
            .hint("delete the table and its folder in `file-loads` to load all its files again")
        })
    }

    /// The URL of the documents of a load, for messages.
    pub fn file_load_url(&self, target: &str, number: u32) -> String {
        let below = Layout::file_load(&Path::default(), target, number, BEGUN);
        let folder = below.as_ref().trim_end_matches("/begun.json");
        format!("{}/{folder}", self.url.trim_end_matches('/'))
    }

    /// Begins a load of new files under a number, if no other has.
    pub async fn begin_file_load(&self, number: u32, load: &FileLoad) -> Result<Created> {
        let path = Layout::file_load(&self.prefix, &load.target, number, BEGUN);
        self.create(&path, load).await
    }

    /// Ends a load of new files. Ended twice, it stays as it is.
    pub async fn end_file_load(
        &self,
        target: &str,
        number: u32,
        run: RunId,
        is_loaded: bool,
    ) -> Result<()> {
        let document = if is_loaded { LOADED } else { FAILED };
        let path = Layout::file_load(&self.prefix, target, number, document);
        let end = FileLoadEnd { version: FileLoadEnd::VERSION, run, at: Utc::now() };
        self.create(&path, &end).await.map(drop)
    }
}
