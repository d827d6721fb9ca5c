//! The plan of a run: the manifest, and the units of a large one, a document for each task.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use serde::Serialize;
use uuid::Uuid;

use super::document::document_version;
use super::{Created, READ_AT_ONCE, RunStore, parse_document};
use crate::documents::{Manifest, ManifestVersion2, Task, TaskUnits, Unit};
use crate::error::{Doing as _, Error, Kind, Result};

/// Most units that a manifest holds itself, and most partitions in them. Up to here one document
/// costs less time and money than two; a unit takes about 200 bytes.
const MOST_HELD: usize = 1_000;

/// Reads a manifest of any version.
///
/// # Errors
/// As [`parse_document`].
pub fn parse_manifest(path: &Path, bytes: &[u8]) -> Result<Manifest> {
    match document_version(path, bytes, Manifest::VERSION)? {
        0..=2 => parse_document::<ManifestVersion2>(path, bytes, 2)?.upgrade(),
        _ => parse_document(path, bytes, Manifest::VERSION),
    }
}

impl RunStore {
    /// Writes the plan, whose tasks hold their units. The units of a large plan are written before
    /// the manifest that names them.
    pub async fn create_manifest(&self, manifest: &Manifest) -> Result<Created> {
        let leaves = |unit: &Unit| unit.leaf.as_ref().map_or(1, |leaf| leaf.count().max(1));
        if manifest.held_units().map(leaves).sum::<usize>() <= MOST_HELD {
            return self.create_compact(&self.layout.manifest(), manifest).await;
        }
        let folder = Uuid::new_v4().simple().to_string();
        let units: Vec<_> =
            manifest.tasks.iter().map(|task| self.create_units(&folder, task)).collect();
        stream::iter(units).buffer_unordered(READ_AT_ONCE).try_collect::<()>().await?;
        self.create_compact(&self.layout.manifest(), &manifest.without_units(folder)).await
    }

    async fn create_units(&self, folder: &str, task: &Task) -> Result<()> {
        let units = TaskUnits {
            version: TaskUnits::VERSION,
            task: task.index,
            units: task.units.clone().unwrap_or_default(),
        };
        self.create_compact(&self.layout.units(folder, task.index), &units).await.map(drop)
    }

    /// Without spaces and line ends: of a large plan they are a third.
    async fn create_compact<T: Serialize>(&self, path: &Path, document: &T) -> Result<Created> {
        let text = serde_json::to_vec(document);
        let text = text.doing(Kind::Bug, || format!("write `{path}` as JSON"))?;
        self.bucket.create_text(path, text).await
    }

    /// Reads the plan. The units of a large one are left out: see [`units`](Self::units).
    pub async fn manifest(&self) -> Result<Manifest> {
        let path = self.layout.manifest();
        let bytes = self.bucket.bytes(&path).await?.ok_or_else(|| {
            Error::not_found(format!("find run `{}` in `{}`", self.run, self.bucket.url)).hint(
                "look at the run id and the bucket; a run that was never planned has no manifest",
            )
        })?;
        let manifest = parse_manifest(&path, &bytes)?;
        if manifest.run != self.run {
            return Err(Error::data(format!(
                "read `{path}`: it is the manifest of another run, `{}`",
                manifest.run
            ))
            .hint("someone copied a document by hand; start the run again"));
        }
        Ok(manifest)
    }

    /// The units of one task of the plan, in the order they are read.
    ///
    /// # Errors
    /// `Data` if they are not those that the manifest counts.
    pub async fn units(&self, manifest: &Manifest, task: &Task) -> Result<Vec<Unit>> {
        let wrong = |what: &str| {
            Error::data(format!("read the units of task {}: {what}", task.index))
                .hint("the run's documents were changed or deleted by hand; start the run again")
        };
        if let Some(units) = &task.units {
            if !is_planned(task, units) {
                return Err(wrong("the manifest has other units than it counts"));
            }
            return Ok(units.clone());
        }
        let folder = manifest.units_folder.as_deref();
        let folder = folder.ok_or_else(|| wrong("the manifest does not name their folder"))?;
        let path = self.layout.units(folder, task.index);
        let bytes = self.bucket.bytes(&path).await?;
        let bytes = bytes.ok_or_else(|| wrong(&format!("`{path}` does not exist")))?;
        let found: TaskUnits = parse_document(&path, &bytes, TaskUnits::VERSION)?;
        if found.task != task.index || !is_planned(task, &found.units) {
            return Err(wrong(&format!("`{path}` has other units than the manifest counts")));
        }
        Ok(found.units)
    }
}

/// Whether the units of a task are as many as its plan counts, with the same last one.
fn is_planned(task: &Task, units: &[Unit]) -> bool {
    (units.len(), units.last().map(Unit::place)) == (task.count as usize, task.last)
}
