//! Where a run's documents and parts lie. No other file spells an object path.
//!
//! ```text
//! requests/<hash>.json
//! requests/<hash>-<retry>.json
//! latest/<hash>/<run>.json
//! file-loads/<hash>/<n>/begun.json
//! file-loads/<hash>/<n>/loaded.json
//! file-loads/<hash>/<n>/failed.json
//! runs/<run>/request.json
//! runs/<run>/manifest.json
//! runs/<run>/units/<plan>/<task>.json
//! runs/<run>/launches/<launch>/order.json
//! runs/<run>/launches/<launch>/claim.json
//! runs/<run>/snapshots/<generation>/founder.json
//! runs/<run>/snapshots/<generation>/holders/<execution>-<task>-<attempt>-<n>.json
//! runs/<run>/receipts/<generation>/<hash>-<table>-<unit>.json
//! runs/<run>/extracted/<generation>.json
//! runs/<run>/failures/<execution>-<task>-<attempt>.json
//! runs/<run>/parts/<hash>-<table>-<unit>-<generation>-<writer>-<n>.parquet
//! runs/<run>/dataflow/<table>/<generation>-<n>/order.json
//! runs/<run>/dataflow/<table>/<generation>-<n>/launch.json
//! runs/<run>/dataflow/<table>/<generation>-<n>/result.json
//! runs/<run>/verdict.json
//! runs/<run>/commits/<table>.json
//! runs/<run>/committed.json
//! runs/<run>/announced.json
//! runs/<run>/loads/<load>/order.json
//! runs/<run>/loads/<load>/committed.json
//! runs/<run>/loads/<load>/announced.json
//! ```
//!
//! Names that many tasks write at once begin with a hash: Cloud Storage serves neighbouring names
//! from one place, and is slower for it
//! (<https://cloud.google.com/storage/docs/request-rate#naming-convention>).

use std::fmt::Write as _;

use object_store::path::Path;
use sha2::{Digest as _, Sha256};

use crate::documents::{DataflowAttempt, RunId, UnitRef};

/// Name of the document at the head of a run.
const MANIFEST: &str = "manifest.json";

/// The paths of one run.
#[derive(Debug, Clone)]
pub struct Layout {
    root: Path,
}

impl Layout {
    /// The paths of `run` below a bucket's `prefix`.
    pub fn new(prefix: &Path, run: RunId) -> Self {
        Self { root: Self::runs(prefix).join(run.to_string()) }
    }

    /// All runs below a bucket's `prefix`.
    pub fn runs(prefix: &Path) -> Path {
        prefix.clone().join("runs")
    }

    /// The form of a manifest's URL, for messages.
    pub const MANIFEST_URL: &str = "BUCKET/runs/RUN/manifest.json";

    /// Splits a manifest's URL into the URL of its bucket, prefix included, and the run.
    pub fn of_manifest_url(url: &str) -> Option<(&str, RunId)> {
        let (bucket, below) = url.rsplit_once("/runs/")?;
        let (run, manifest) = below.split_once('/')?;
        (manifest == MANIFEST).then_some((bucket, run.parse().ok()?))
    }

    /// The job file of that name in a folder of job files.
    pub fn job_file(folder: &Path, name: &str) -> Path {
        folder.clone().join(format!("{name}.yaml"))
    }

    /// The run that the request of this key led to (0), or a retry of it.
    pub fn reservation(prefix: &Path, key: &str, retry: u32) -> Path {
        let name = hash_of(key.as_bytes());
        let name = if retry == 0 { name } else { format!("{name}-{retry}") };
        prefix.clone().join("requests").join(format!("{name}.json"))
    }

    /// The latest runs of a job that reads this source.
    pub fn latest(prefix: &Path, job: &str, source: &str) -> Path {
        // No name of a job has this byte.
        prefix.clone().join("latest").join(hash_of(format!("{job}\0{source}").as_bytes()))
    }

    /// One of the latest runs of a job.
    pub fn latest_run(prefix: &Path, job: &str, source: &str, run: RunId) -> Path {
        Self::latest(prefix, job, source).join(format!("{run}.json"))
    }

    /// All loads of new files into a target.
    pub fn file_loads(prefix: &Path, target: &str) -> Path {
        let target = target.trim_end_matches('/');
        prefix.clone().join("file-loads").join(hash_of(target.as_bytes()))
    }

    /// A document of such a load.
    pub fn file_load(prefix: &Path, target: &str, number: u32, document: &str) -> Path {
        Self::file_loads(prefix, target)
            .join(format!("{number:06}"))
            .join(format!("{document}.json"))
    }

    /// The folder of the run.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The plan.
    pub fn manifest(&self) -> Path {
        self.root.clone().join(MANIFEST)
    }

    /// The units of one task of a large plan. `plan` is unique to the planner that writes them.
    pub fn units(&self, plan: &str, task: u32) -> Path {
        self.root.clone().join("units").join(plan).join(format!("{task:05}.json"))
    }

    /// The request for the run.
    pub fn request(&self) -> Path {
        self.root.clone().join("request.json")
    }

    /// The order of a launch.
    pub fn order(&self, launch: u32) -> Path {
        self.launch(launch).join("order.json")
    }

    /// The claim of a launch.
    pub fn claim(&self, launch: u32) -> Path {
        self.launch(launch).join("claim.json")
    }

    fn launch(&self, launch: u32) -> Path {
        self.root.clone().join("launches").join(format!("{launch:04}"))
    }

    /// All snapshots.
    pub fn snapshots(&self) -> Path {
        self.root.clone().join("snapshots")
    }

    /// The document whose creation begins a generation.
    pub fn founder(&self, generation: u32) -> Path {
        self.snapshots().join(generation_name(generation)).join("founder.json")
    }

    /// All tasks that hold or held a generation's snapshot.
    pub fn holders(&self, generation: u32) -> Path {
        self.snapshots().join(generation_name(generation)).join("holders")
    }

    /// One holder.
    pub fn holder(&self, generation: u32, writer: &str) -> Path {
        self.holders(generation).join(format!("{writer}.json"))
    }

    /// All receipts of a generation.
    pub fn receipts(&self, generation: u32) -> Path {
        self.root.clone().join("receipts").join(generation_name(generation))
    }

    /// One unit's receipt.
    pub fn receipt(&self, generation: u32, unit: UnitRef) -> Path {
        self.receipts(generation).join(format!("{}.json", unit_name(unit)))
    }

    /// The statement that no unit of a generation is left to read.
    pub fn extracted(&self, generation: u32) -> Path {
        let name = format!("{}.json", generation_name(generation));
        self.root.clone().join("extracted").join(name)
    }

    /// All failures.
    pub fn failures(&self) -> Path {
        self.root.clone().join("failures")
    }

    /// One failure.
    pub fn failure(&self, writer: &str) -> Path {
        self.failures().join(format!("{writer}.json"))
    }

    /// All parts.
    pub fn parts(&self) -> Path {
        self.root.clone().join("parts")
    }

    /// One part. `writer` is unique to the process that writes it, so two attempts at a unit
    /// never write the same object.
    pub fn part(&self, generation: u32, unit: UnitRef, writer: &str, number: u32) -> Path {
        self.parts().join(format!(
            "{}-{}-{writer}-{number:04}.parquet",
            unit_name(unit),
            generation_name(generation)
        ))
    }

    /// The documents of rows that were set aside.
    pub fn all_bad_rows(&self) -> Path {
        self.root.clone().join("bad-rows")
    }

    /// The rows of a unit that were set aside. `writer` as for [`Self::part`].
    pub fn bad_rows(&self, generation: u32, unit: UnitRef, writer: &str) -> Path {
        let name = format!("{}-{}-{writer}.jsonl", unit_name(unit), generation_name(generation));
        self.all_bad_rows().join(name)
    }

    /// All that jobs of Dataflow make of a table.
    pub fn dataflow(&self, table: u32) -> Path {
        self.root.clone().join("dataflow").join(format!("{table:05}"))
    }

    /// The folder of a job of Dataflow, which writes its own files there.
    pub fn dataflow_job(&self, attempt: DataflowAttempt) -> Path {
        let generation = generation_name(attempt.generation);
        self.dataflow(attempt.table).join(format!("{generation}-{:04}", attempt.number))
    }

    /// What a job of Dataflow is to do.
    pub fn dataflow_order(&self, attempt: DataflowAttempt) -> Path {
        self.dataflow_job(attempt).join("order.json")
    }

    /// The claim of its launch.
    pub fn dataflow_launch(&self, attempt: DataflowAttempt) -> Path {
        self.dataflow_job(attempt).join("launch.json")
    }

    /// What it has done. The pipeline knows this name.
    pub fn dataflow_result(&self, attempt: DataflowAttempt) -> Path {
        self.dataflow_job(attempt).join("result.json")
    }

    /// The verdict.
    pub fn verdict(&self) -> Path {
        self.root.clone().join("verdict.json")
    }

    /// The order to load the run again.
    pub fn load_order(&self, load: u32) -> Path {
        self.load(load).join("order.json")
    }

    /// The outcome of each table, after a load of the run.
    pub fn committed(&self, load: u32) -> Path {
        self.load(load).join("committed.json")
    }

    /// The announcement of the run's end, after a load of it.
    pub fn announced(&self, load: u32) -> Path {
        self.load(load).join("announced.json")
    }

    /// The first load is 0 and needs no folder: no other is usual.
    fn load(&self, load: u32) -> Path {
        if load == 0 {
            return self.root.clone();
        }
        self.root.clone().join("loads").join(format!("{load:04}"))
    }

    /// All commits.
    pub fn commits(&self) -> Path {
        self.root.clone().join("commits")
    }

    /// One table's commit.
    pub fn commit(&self, table: u32) -> Path {
        self.commits().join(format!("{table:05}.json"))
    }
}

fn hash_of(text: &[u8]) -> String {
    let hash = Sha256::digest(text);
    hash.iter().take(16).fold(String::new(), |mut name, byte| {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
        name
    })
}

/// The table that a part's path names.
pub fn table_of_part(path: &Path) -> Option<u32> {
    path.filename()?.split('-').nth(1)?.parse().ok()
}

/// Whether a path in the folder of a job of Dataflow is that of a document.
pub fn is_dataflow_document(path: &Path) -> bool {
    let parts: Vec<_> = path.parts().collect();
    let place = parts.iter().rposition(|part| part.as_ref() == "dataflow");
    place.is_some_and(|place| parts.len() == place + 4) && path.extension() == Some("json")
}

/// The number and the document that the path of a load of files names.
pub fn file_load_of(path: &Path) -> Option<(u32, String)> {
    let document = path.filename()?.strip_suffix(".json")?;
    let parts: Vec<_> = path.parts().collect();
    let number = parts.get(parts.len().checked_sub(2)?)?.as_ref().parse().ok()?;
    Some((number, document.to_owned()))
}

/// The table that a commit's path names.
pub fn committed_table(path: &Path) -> Option<u32> {
    path.filename()?.strip_suffix(".json")?.parse().ok()
}

/// The task that a holder's path names.
pub fn holding_task(path: &Path) -> Option<u32> {
    path.filename()?.split('-').nth(1)?.parse().ok()
}

fn generation_name(generation: u32) -> String {
    format!("{generation:04}")
}

/// A unit's name, after a hash of its place.
fn unit_name(unit: UnitRef) -> String {
    // Spreads the hashes of neighbours far apart: 2^16 divided by the golden ratio.
    let mixed = unit.unit.wrapping_add(unit.table.wrapping_mul(31)).wrapping_mul(40_503) & 0xffff;
    format!("{mixed:04x}-{:05}-{:06}", unit.table, unit.unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_url_names_its_bucket_and_run() {
        let run = RunId::generate();
        let of =
            |url: &str| Layout::of_manifest_url(url).map(|(bucket, run)| (bucket.to_owned(), run));
        let url = format!("gs://lake/runs/old/runs/{run}/manifest.json");
        assert_eq!(of(&url), Some(("gs://lake/runs/old".to_owned(), run)));
        for wrong in ["gs://lake/runs/x/manifest.json", "gs://lake/manifest.json", "gs://lake"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
        assert_eq!(of(&format!("gs://lake/runs/{run}/other.json")), None);
    }

    #[test]
    fn a_parts_path_names_its_table() {
        let layout = Layout::new(&Path::default(), RunId::generate());
        let part = layout.part(0, UnitRef { table: 12, unit: 3 }, "abc12-17-0", 1);
        assert_eq!(table_of_part(&part), Some(12));
        assert_eq!(table_of_part(&layout.parts().join("x")), None);
        assert_eq!(committed_table(&layout.commit(7)), Some(7));
    }

    #[test]
    fn documents_of_dataflow_are_told_from_files() {
        let layout = Layout::new(&Path::from("dataflow/x"), RunId::generate());
        let attempt = DataflowAttempt { table: 3, generation: 1, number: 0 };
        let job = layout.dataflow_job(attempt);
        assert!(is_dataflow_document(&layout.dataflow_order(attempt)));
        assert!(is_dataflow_document(&layout.dataflow_result(attempt)));
        for file in [job.clone().join("0.parquet"), job.join("temp").join("x.json")] {
            assert!(!is_dataflow_document(&file), "{file}");
        }
    }

    #[test]
    fn a_holders_path_names_its_task() {
        let layout = Layout::new(&Path::default(), RunId::generate());
        assert_eq!(holding_task(&layout.holder(0, "abc12-17-0-9f3e-77")), Some(17));
        assert_eq!(holding_task(&layout.holder(0, "abc12")), None);
    }

    #[test]
    fn neighbouring_units_have_names_far_apart() {
        let layout = Layout::new(&Path::default(), RunId::generate());
        let first = |unit| {
            let path = layout.receipt(0, UnitRef { table: 0, unit });
            path.filename().and_then(|name| name.chars().next())
        };
        let seen: std::collections::HashSet<_> = (0..64).map(first).collect();
        assert_eq!(seen.len(), 16);
    }
}
