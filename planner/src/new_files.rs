//! Which files no earlier run has loaded into the table.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sluice_contracts::documents::{Leaf, NewFiles, ObjectVersion};
use sluice_contracts::job::{Incremental, Job, TableJob, WriteDisposition};
use sluice_contracts::store::FileLoadState;
use sluice_contracts::{Error, Kind, Result};
use sluice_runtime::format::thousands;
use sluice_runtime::storage::find_bucket;
use sluice_sources::Description;

use crate::target_check::TargetCheck;

/// Files that a warning names.
const NAMED: usize = 3;

/// Keeps the files that no earlier run has loaded, if the job asks for it, and says how many were left out.
pub(crate) async fn keep_new(
    job: &Job,
    table: &TableJob,
    description: &mut Description,
    targets: TargetCheck<'_>,
) -> Result<Option<(NewFiles, String)>> {
    let Some(Incremental::Files) = table.incremental else { return Ok(None) };
    let Some(root) = description.store.clone() else {
        return Err(Error::invalid(
            "plan new files: a URL with parameters, as a signed one, does not name the same file in the next run",
        )
        .hint("leave `incremental` out, or copy the files to a bucket"));
    };
    let bucket = match find_bucket(&job.bucket) {
        Ok(bucket) => Some(bucket),
        // The first run makes it.
        Err(error) if error.kind() == Kind::NotFound => None,
        Err(error) => return Err(error),
    };
    let loads = match &bucket {
        Some(bucket) => bucket.file_loads(&table.target).await?,
        None => BTreeMap::new(),
    };
    if loads.last_key_value().is_some_and(|(last, _)| *last as usize + 1 != loads.len()) {
        return Err(Error::data(format!(
            "plan new files: some of the documents that say which files `{}` has were deleted",
            table.target
        ))
        .hint("delete the table and its folder in `file-loads` to load all its files again"));
    }
    let begun = loads.iter().find(|(_, state)| **state == FileLoadState::Begun);
    let next = || u32::try_from(loads.len()).unwrap_or(u32::MAX);
    let unknown_from = begun.map_or_else(next, |(number, _)| *number);
    let has_loaded = loads.values().any(|state| *state == FileLoadState::Loaded);
    if has_loaded && !targets.exists(&table.target).await? {
        return Err(Error::data(format!(
            "plan new files: earlier runs have loaded files into `{}`, and the table does not exist any more",
            table.target
        ))
        .hint("to load all files again, delete the folder of the table in `file-loads` of the bucket"));
    }
    // What has begun may become visible.
    let counts = |state: &FileLoadState| *state != FileLoadState::Failed;
    let numbers: Vec<u32> =
        loads.iter().filter(|(_, state)| counts(state)).map(|(number, _)| *number).collect();
    let merges = table.write.disposition == WriteDisposition::Merge;
    let mut known = Known { newest_alone: merges, ..Known::default() };
    if let Some(bucket) = bucket {
        for load in bucket.read_file_loads(&table.target, &numbers).await? {
            if load.root == root {
                load.files.into_iter().for_each(|file| known.add(file));
            }
        }
    }
    let all = description.pieces.len() as u64;
    let changed: Vec<String> = objects(description)
        .filter(|file| known.has_changed(file))
        .map(|it| it.path.clone())
        .collect();
    if let Some(warning) = warning_of(&changed, merges) {
        tracing::warn!(job = job.name, table = table.target, "{warning}");
        description.warnings.push(warning);
    }
    description.retain_objects(|file| !known.has(file) && (merges || !known.has_changed(file)));
    let files: Vec<ObjectVersion> = objects(description).cloned().collect();
    let left_out = all - files.len() as u64;
    let note = format!(
        "{} of {} files are left out, because earlier runs have loaded them",
        thousands(left_out),
        thousands(all)
    );
    let changed_paths = changed.iter().take(NAMED).cloned().collect();
    let changed = changed.len() as u64;
    Ok(Some((NewFiles { root, unknown_from, files, left_out, changed, changed_paths }, note)))
}

fn objects(description: &Description) -> impl Iterator<Item = &ObjectVersion> {
    description.pieces.iter().filter_map(|piece| match &piece.leaf {
        Some(Leaf::Object(object)) => Some(object),
        _ => None,
    })
}

/// The warning of files that were loaded in another version.
fn warning_of(changed: &[String], merges: bool) -> Option<String> {
    let (first, rest) = changed.split_at(changed.len().min(NAMED));
    let names: Vec<String> = first.iter().map(|name| format!("`{name}`")).collect();
    let more = if rest.is_empty() {
        String::new()
    } else {
        format!(" and {} more", thousands(rest.len() as u64))
    };
    let what = if merges {
        "they are loaded again, and their rows replace those with the same key"
    } else {
        "they are left out, because their rows would be in the table twice; write new rows into new files, or \
         set `target.write_disposition` to `merge`"
    };
    (!first.is_empty()).then(|| {
        format!("files have changed since they were loaded: {}{more}: {what}", names.join(", "))
    })
}

/// The files that a target has.
#[derive(Debug, Default)]
struct Known {
    versions: HashMap<String, BTreeSet<(String, u64)>>,
    /// Whether the rows of a later version have replaced those of the ones before.
    newest_alone: bool,
}

impl Known {
    /// Adds a file. Those of earlier loads come first.
    fn add(&mut self, file: ObjectVersion) {
        let versions = self.versions.entry(file.path).or_default();
        if self.newest_alone {
            versions.clear();
        }
        versions.insert((file.generation, file.size));
    }

    fn has(&self, file: &ObjectVersion) -> bool {
        let version = (file.generation.clone(), file.size);
        self.versions.get(&file.path).is_some_and(|versions| versions.contains(&version))
    }

    /// Whether it has another version of the file, and not this one.
    fn has_changed(&self, file: &ObjectVersion) -> bool {
        self.versions.contains_key(&file.path) && !self.has(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_path_and_version() {
        let file = |generation: &str| ObjectVersion {
            path: "a".to_owned(),
            generation: generation.to_owned(),
            size: 1,
        };
        let mut known = Known::default();
        known.add(file("1"));
        known.add(file("2"));
        assert!(known.has(&file("1")) && known.has(&file("2")) && !known.has(&file("3")));
        assert!(known.has_changed(&file("3")) && !known.has_changed(&file("1")));
        assert!(!known.has_changed(&ObjectVersion { path: "b".to_owned(), ..file("3") }));
        // A file that gets an older content back replaces the rows of the newer one.
        let mut merged = Known { newest_alone: true, ..Known::default() };
        merged.add(file("1"));
        merged.add(file("2"));
        assert!(merged.has(&file("2")) && merged.has_changed(&file("1")));
    }

    #[test]
    fn files_that_have_changed_are_named() {
        let names: Vec<String> = (0..5).map(|number| format!("{number}.csv")).collect();
        let warning = warning_of(&names, false).unwrap();
        assert!(warning.contains("`2.csv` and 2 more: they are left out"), "{warning}");
        assert_eq!(warning_of(&[], true), None);
    }
}
