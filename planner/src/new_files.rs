//! Which files no earlier run has loaded into the table.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sluice_contracts::documents::{Leaf, NewFiles, ObjectVersion, Relation};
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
    let Relation::Files { urls, .. } = &table.relation else {
        return Err(Error::bug("plan new files: the source has none"));
    };
    let root = root_of(urls);
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
    let is_ended = |state: &FileLoadState| *state != FileLoadState::Begun;
    let unknown_from = loads
        .iter()
        .find(|(_, state)| !is_ended(state))
        .map(|(number, _)| *number)
        .or_else(|| loads.last_key_value().map(|(number, _)| number + 1))
        .unwrap_or_default();
    let exists = targets.exists(&table.target).await?;
    if !exists && loads.values().any(|state| *state == FileLoadState::Loaded) {
        description.warnings.push(
            "the table does not exist any more: the files that earlier runs have loaded into it are loaded again"
                .to_owned(),
        );
    }
    let counts = |state: FileLoadState| match state {
        // It may become visible.
        FileLoadState::Begun => true,
        FileLoadState::Loaded => exists,
        FileLoadState::Failed => false,
    };
    let numbers: Vec<u32> =
        loads.iter().filter(|(_, state)| counts(**state)).map(|(number, _)| *number).collect();
    let mut known = Known::default();
    if let Some(bucket) = bucket {
        for load in bucket.read_file_loads(&table.target, &numbers).await? {
            if load.root == root {
                load.files.into_iter().for_each(|file| known.add(file));
            }
        }
    }
    let loads_changed = table.write.disposition == WriteDisposition::Merge;
    let all = description.pieces.len() as u64;
    let changed: Vec<String> = objects(description)
        .filter(|file| known.has_changed(file))
        .map(|it| it.path.clone())
        .collect();
    if let Some(warning) = warning_of(&changed, loads_changed) {
        tracing::warn!(job = job.name, table = table.target, "{warning}");
        description.warnings.push(warning);
    }
    description
        .retain_objects(|file| !known.has(file) && (loads_changed || !known.has_changed(file)));
    let files: Vec<ObjectVersion> = objects(description).cloned().collect();
    let known = all - files.len() as u64;
    let (left_out, of) = (thousands(known), thousands(all));
    let note = format!("{left_out} of {of} files were loaded by earlier runs");
    Ok(Some((NewFiles { root, unknown_from, files, known, changed }, note)))
}

fn objects(description: &Description) -> impl Iterator<Item = &ObjectVersion> {
    description.pieces.iter().filter_map(|piece| match &piece.leaf {
        Some(Leaf::Object(object)) => Some(object),
        _ => None,
    })
}

/// The warning of files that were loaded in another version.
fn warning_of(changed: &[String], loads_changed: bool) -> Option<String> {
    let (first, rest) = changed.split_at(changed.len().min(NAMED));
    let names: Vec<String> = first.iter().map(|name| format!("`{name}`")).collect();
    let more = if rest.is_empty() {
        String::new()
    } else {
        format!(" and {} more", thousands(rest.len() as u64))
    };
    let what = if loads_changed {
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
struct Known(HashMap<String, BTreeSet<(String, u64)>>);

impl Known {
    fn add(&mut self, file: ObjectVersion) {
        self.0.entry(file.path).or_default().insert((file.generation, file.size));
    }

    fn has(&self, file: &ObjectVersion) -> bool {
        let version = (file.generation.clone(), file.size);
        self.0.get(&file.path).is_some_and(|versions| versions.contains(&version))
    }

    /// Whether it has another version of the file, and not this one.
    fn has_changed(&self, file: &ObjectVersion) -> bool {
        self.0.contains_key(&file.path) && !self.has(file)
    }
}

/// The store that URLs name: all of one source name the same.
fn root_of(urls: &[String]) -> String {
    let url = urls.first().map(String::as_str).unwrap_or_default();
    let url = url.split('?').next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            format!("{scheme}://{}", rest.split('/').next().unwrap_or_default())
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_store_path_and_version() {
        for (url, root) in [
            ("gs://lake/in/*.csv", "gs://lake"),
            ("file:///data/*.csv", "file://"),
            ("https://host:8080/a.csv?sig=${SIGNATURE}", "https://host:8080"),
            ("${FILES}", "${FILES}"),
        ] {
            assert_eq!(root_of(&[url.to_owned()]), root);
        }
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
    }

    #[test]
    fn files_that_have_changed_are_named() {
        let names: Vec<String> = (0..5).map(|number| format!("{number}.csv")).collect();
        let warning = warning_of(&names, false).unwrap();
        assert!(warning.contains("`2.csv` and 2 more: they are left out"), "{warning}");
        assert_eq!(warning_of(&[], true), None);
    }
}
