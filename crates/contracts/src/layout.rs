//! Where a run's documents and parts lie. No other file spells an object path.
//!
//! ```text
//! runs/<run>/manifest.json
//! runs/<run>/snapshots/<generation>/founder.json
//! runs/<run>/snapshots/<generation>/holders/<execution>-<task>-<attempt>-<n>.json
//! runs/<run>/receipts/<generation>/<table>-<unit>.json
//! runs/<run>/failures/<execution>-<task>-<attempt>.json
//! runs/<run>/parts/<table>/<unit>-<generation>-<writer>-<n>.parquet
//! runs/<run>/commits/<table>.json
//! ```

use object_store::path::Path;

use crate::manifest::{RunId, UnitRef};

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

    /// Splits a manifest's path into the bucket's prefix and the run.
    pub fn of_manifest(path: &Path) -> Option<(Path, RunId)> {
        let parts: Vec<_> = path.parts().collect();
        let [prefix @ .., runs, run, manifest] = parts.as_slice() else { return None };
        if runs.as_ref() != "runs" || manifest.as_ref() != MANIFEST {
            return None;
        }
        Some((prefix.iter().cloned().collect(), run.as_ref().parse().ok()?))
    }

    /// Everything of the run.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The plan.
    pub fn manifest(&self) -> Path {
        self.root.clone().join(MANIFEST)
    }

    /// All snapshots.
    pub fn snapshots(&self) -> Path {
        self.root.clone().join("snapshots")
    }

    /// The document whose creation begins a generation.
    pub fn founder(&self, generation: u32) -> Path {
        self.snapshots().join(generation_name(generation)).join("founder.json")
    }

    /// Everybody who holds or held a generation's snapshot.
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
        self.receipts(generation).join(format!("{:05}-{:06}.json", unit.table, unit.unit))
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
        self.parts().join(format!("{:05}", unit.table)).join(format!(
            "{:06}-{}-{writer}-{number:04}.parquet",
            unit.unit,
            generation_name(generation)
        ))
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

/// The generation that a founder document's path begins.
pub fn founded_generation(path: &Path) -> Option<u32> {
    let parts: Vec<_> = path.parts().collect();
    let [.., generation, name] = parts.as_slice() else { return None };
    (name.as_ref() == "founder.json").then(|| generation.as_ref().parse().ok())?
}

fn generation_name(generation: u32) -> String {
    format!("{generation:04}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_path_names_its_bucket_prefix_and_run() {
        let run = RunId::generate();
        let prefix = Path::from("some/prefix");
        let path = Layout::new(&prefix, run).manifest();
        assert_eq!(Layout::of_manifest(&path), Some((prefix, run)));
        assert_eq!(Layout::of_manifest(&Path::from("runs/x/manifest.json")), None);
    }

    #[test]
    fn a_founder_path_names_its_generation() {
        let layout = Layout::new(&Path::default(), RunId::generate());
        assert_eq!(founded_generation(&layout.founder(12)), Some(12));
        assert_eq!(founded_generation(&layout.holder(12, "a")), None);
    }
}
