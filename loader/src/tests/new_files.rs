//! Files that become visible once.

use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt as _};
use sluice_contracts::documents::{FileLoad, NewFiles, ObjectVersion, RunId};
use sluice_contracts::job::WriteDisposition::{self, Append, Merge};
use sluice_contracts::store::FileLoadState::{self, Begun, Failed, Loaded};

use super::*;
use crate::Outcome;
use world::Recorder;

/// Runs that were planned for files of one bucket, before any of them was loaded.
struct Runs {
    store: Arc<dyn ObjectStore>,
    target: Recorder,
}

impl Runs {
    fn new(target: Recorder) -> Self {
        Self { store: Arc::new(InMemory::new()), target }
    }

    /// A run of these files, each with its version, whose units are read.
    async fn read(&self, disposition: WriteDisposition, files: &[(&str, &str)]) -> World {
        let mut manifest = manifest(&[1]);
        manifest.run = RunId::generate();
        let file = |(path, version): &(&str, &str)| ObjectVersion {
            path: (*path).to_owned(),
            generation: (*version).to_owned(),
            size: 1,
        };
        manifest.tables[0].write.disposition = disposition;
        manifest.tables[0].write.new_files = Some(NewFiles {
            root: "gs://drop".to_owned(),
            unknown_from: 0,
            files: files.iter().map(file).collect(),
            left_out: 0,
            changed: 0,
            changed_paths: Vec::new(),
        });
        let world = World::of(Arc::clone(&self.store), manifest).await;
        world.found(0).await;
        world.prove_all(0).await;
        World { target: self.target.clone(), ..world }
    }
}

async fn states(world: &World) -> Vec<FileLoadState> {
    let target = &world.manifest.tables[0].target;
    world.store.bucket().file_loads(target).await.unwrap().into_values().collect()
}

/// The run that has overtaken a table; `None` if its rows are visible.
fn overtaken(outcome: &Outcome) -> Option<RunId> {
    outcome.tables[0].result.as_ref().unwrap().overtaken_by
}

#[tokio::test]
async fn a_file_of_two_plans_is_loaded_by_the_first() {
    for (disposition, version, loads) in
        [(Append, "1", 1), (Append, "2", 1), (Merge, "1", 1), (Merge, "2", 2)]
    {
        let runs = Runs::new(Recorder::default());
        let first = runs.read(disposition, &[("a", "1")]).await;
        let second = runs.read(disposition, &[("a", version), ("b", "1")]).await;
        assert_eq!(overtaken(&first.commit().await.unwrap()), None);
        let by = overtaken(&second.commit().await.unwrap());
        assert_eq!(by, (loads == 1).then_some(first.manifest.run), "{disposition:?} {version}");
        assert_eq!(second.loads().len(), loads);
        assert_eq!(states(&second).await, vec![Loaded; loads]);
    }
}

#[tokio::test]
async fn a_load_whose_rows_are_visible_has_not_failed() {
    let runs = Runs::new(Recorder { fails_visible: true, ..Recorder::default() });
    let first = runs.read(Append, &[("a", "1")]).await;
    assert!(first.commit().await.unwrap().tables[0].result.is_err());
    assert_eq!((first.loads().len(), states(&first).await), (1, vec![Loaded]));
    let second = runs.read(Append, &[("a", "1")]).await;
    assert_eq!(overtaken(&second.commit().await.unwrap()), Some(first.manifest.run));
    assert_eq!(second.loads().len(), 1);
}

#[tokio::test]
async fn the_files_of_a_load_that_failed_are_loaded_by_the_next() {
    let refused = Recorder { refuse: Some("t0"), ..Recorder::default() };
    let mut runs = Runs::new(refused);
    let first = runs.read(Append, &[("a", "1")]).await;
    assert!(first.commit().await.unwrap().tables[0].result.is_err());
    assert_eq!(states(&first).await, [Failed]);
    runs.target = Recorder::default();
    let second = runs.read(Append, &[("a", "1")]).await;
    assert_eq!(overtaken(&second.commit().await.unwrap()), None);
    // The first is loaded again by hand.
    let first = World { target: runs.target.clone(), ..first };
    assert_eq!(overtaken(&first.commit().await.unwrap()), Some(second.manifest.run));
    assert_eq!((first.loads().len(), states(&first).await), (1, vec![Failed, Loaded]));
}

/// Leaves the documents of a loader that died after it began.
async fn begin(world: &World) {
    let table = &world.manifest.tables[0];
    let new = table.write.new_files.clone().unwrap();
    let load = FileLoad {
        version: FileLoad::VERSION,
        target: table.target.clone(),
        run: world.manifest.run,
        begun: Utc::now(),
        root: new.root,
        files: new.files,
    };
    world.store.bucket().begin_file_load(0, &load).await.unwrap();
}

#[tokio::test]
async fn a_load_that_its_loader_left_is_carried_to_its_end_by_the_next() {
    let runs = Runs::new(Recorder::default());
    let left = runs.read(Append, &[("a", "1")]).await;
    begin(&left).await;
    assert_eq!(states(&left).await, [Begun]);
    // Whether the next has a file of its own or none.
    for files in [&[("b", "1")][..], &[]] {
        let next = runs.read(Append, files).await;
        assert_eq!(overtaken(&next.commit().await.unwrap()), None);
    }
    assert_eq!(states(&left).await, [Loaded, Loaded]);
    let loaded: Vec<RunId> = left.loads().iter().map(|load| load.run).collect();
    assert_eq!(loaded[0], left.manifest.run);
    assert_eq!(overtaken(&left.commit().await.unwrap()), None);
    assert_eq!(left.loads().len(), loaded.len());
}

#[tokio::test]
async fn a_load_whose_run_is_gone_is_for_a_person_to_end() {
    let runs = Runs::new(Recorder::default());
    let left = runs.read(Append, &[("a", "1")]).await;
    begin(&left).await;
    let manifest = left.store.layout().manifest();
    left.store.bucket().store.delete(&manifest).await.unwrap();
    let next = runs.read(Append, &[("b", "1")]).await;
    let outcome = next.commit().await.unwrap();
    let error = outcome.tables[0].result.as_ref().unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    let hint = error.remedy().unwrap();
    let folder = hint.split('`').find(|part| part.contains("/file-loads/")).unwrap();
    // The hint names the place where a file ends it.
    let path = format!("{}/failed.json", folder.strip_prefix("file:///bucket/").unwrap());
    left.store.bucket().store.put(&path.into(), "".into()).await.unwrap();
    assert_eq!(overtaken(&next.commit().await.unwrap()), None);
    assert_eq!(states(&next).await, [Failed, Loaded]);
}

#[tokio::test]
async fn a_commit_without_the_end_of_its_load_ends_it() {
    let runs = Runs::new(Recorder::default());
    let first = runs.read(Append, &[("a", "1")]).await;
    first.commit().await.unwrap();
    let target = &first.manifest.tables[0].target;
    let loaded = format!("{}/loaded.json", first.store.bucket().file_load_url(target, 0));
    let path = loaded.strip_prefix("file:///bucket/").unwrap();
    first.store.bucket().store.delete(&path.into()).await.unwrap();
    assert_eq!(states(&first).await, [Begun]);
    let next = runs.read(Append, &[("b", "1")]).await;
    assert_eq!(overtaken(&next.commit().await.unwrap()), None);
    assert_eq!(states(&first).await, [Loaded, Loaded]);
}
