//! The real command, run as a user runs it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::needs::{skip, variable};

/// A folder for one test, with a bucket, a folder of target tables and job files, in which the
/// command runs.
#[derive(Debug)]
pub struct Site {
    folder: TempDir,
    variables: Vec<(String, String)>,
    program: Option<PathBuf>,
}

/// How a command ended, and what it printed.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; `None` for a process that a signal ended.
    pub code: Option<i32>,
    /// Everything on standard output.
    pub stdout: String,
    /// Everything on standard error.
    pub stderr: String,
}

impl Site {
    /// An empty site.
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("sluice-").expect("a temporary folder");
        Self { folder, variables: Vec::new(), program: None }
    }

    /// A site that sets `SOURCE_URL`, the source of its jobs, to `source`.
    pub fn reading(source: impl Into<String>) -> Self {
        Self::new().with("SOURCE_URL", source)
    }

    /// An empty site with another build of the command.
    pub fn of(program: PathBuf) -> Self {
        Self { program: Some(program), ..Self::new() }
    }

    /// Adds an environment variable for every command.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Every variable that was added.
    pub fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    /// The site's folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The URL of the site's bucket.
    pub fn bucket(&self) -> String {
        format!("file://{}/bucket", self.path().display())
    }

    /// The folder of a target table of [`Site::job`].
    pub fn table(&self, name: &str) -> PathBuf {
        self.path().join("warehouse/shop").join(name)
    }

    /// Writes a job file that moves `source` (the section, without its URL) to the target table
    /// `name`. `more` is merged over the rest of the file.
    pub fn job(&self, name: &str, source: &Value, more: &Value) -> PathBuf {
        let mut file = json!({
            "name": name,
            "source": {"url": "${SOURCE_URL}"},
            "target": {"table": format!("file://{}", self.table(name).display())},
            "bucket": self.bucket(),
        });
        merge(&mut file["source"], source);
        merge(&mut file, more);
        self.file(&format!("{name}.yaml"), &file.to_string())
    }

    /// Writes a file.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).expect("the folder can be written");
        path
    }

    /// Runs the program and waits for its end.
    pub async fn sluice<I: IntoIterator<Item: AsRef<OsStr>>>(&self, arguments: I) -> Ended {
        self.start(arguments).ended().await
    }

    /// Starts the program.
    pub fn start<I: IntoIterator<Item: AsRef<OsStr>>>(&self, arguments: I) -> Started {
        let child = Command::new(self.program.as_deref().unwrap_or_else(|| program()))
            .args(arguments)
            // The environment of this machine must not change the result of a test.
            .env_remove("RUST_LOG")
            .env_remove("SLUICE_BUCKET")
            .env_remove("SLUICE_PLANNER")
            .env_remove("SLUICE_TOKEN")
            .env("NO_COLOR", "1")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let id = child.id().expect("a process that was just started has an id");
        Started { id, child }
    }

    /// The answer of `sluice run --json JOB`, which has to succeed.
    pub async fn run(&self, job: &Path) -> Value {
        self.sluice([OsStr::new("run"), OsStr::new("--json"), job.as_os_str()]).await.answer()
    }

    /// The answer of `sluice plan --json JOB`, which has to succeed.
    pub async fn plan(&self, job: &Path) -> Value {
        self.sluice([OsStr::new("plan"), OsStr::new("--json"), job.as_os_str()]).await.answer()
    }

    /// The newest run in the bucket.
    pub fn newest_run(&self) -> Option<String> {
        let mut runs: Vec<String> = fs::read_dir(self.path().join("bucket/runs"))
            .ok()?
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        runs.sort();
        runs.pop()
    }

    /// The files of a run's folder whose path contains `part`.
    pub fn documents(&self, run: &str, part: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(&self.path().join("bucket/runs").join(run), &mut found);
        found.retain(|path| path.to_string_lossy().contains(part));
        found.sort();
        found
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

/// A command that runs.
#[derive(Debug)]
pub struct Started {
    /// The id of its process.
    pub id: u32,
    child: Child,
}

impl Started {
    /// Waits for the command's end.
    pub async fn ended(self) -> Ended {
        let output = self.child.wait_with_output().await.expect("the program can be waited for");
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("what is said is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("what is said is UTF-8"),
        }
    }
}

impl Ended {
    /// Fails unless the command succeeded.
    pub fn succeeded(&self) {
        assert_eq!(self.code, Some(0), "{self}");
    }

    /// The object that `--json` printed; fails unless the command succeeded.
    pub fn answer(&self) -> Value {
        self.succeeded();
        self.json()
    }

    /// The single JSON object on standard output.
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value @ Value::Object(_)) => value,
            other => panic!("standard output is not one JSON object ({other:?}):\n{self}"),
        }
    }

    /// Fails unless the command ended with `code` and an error that contains all of `words`.
    pub fn refused(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self}");
        assert!(self.stderr.contains("error: "), "no error was printed:\n{self}");
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` was not printed:\n{self}");
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {:?}\n{}\n{}", self.code, self.stdout, self.stderr)
    }
}

/// The path of the command: `TEST_SLUICE` if it is set. Otherwise the command is built first,
/// because building the tests does not build it.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(given) = variable("TEST_SLUICE") {
            return PathBuf::from(given);
        }
        let built = std::process::Command::new(env!("CARGO"))
            .args(["build", "--locked", "--quiet", "--workspace", "--all-features", "--bins"])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .status();
        assert!(built.is_ok_and(|status| status.success()), "`sluice` does not build");
        let test = std::env::current_exe().expect("a test knows where it is");
        let profile = test.parent().and_then(Path::parent).expect("tests lie in `deps`");
        profile.join("sluice")
    })
}

/// The path of another program: one that runs in the cloud, such as `extractor`, or another build
/// of the command. A variable such as `TEST_EXTRACTOR` names the path. Reports a skip and returns
/// `None` if it is not set.
pub fn other_program(name: &str) -> Option<PathBuf> {
    let variable_name = format!("TEST_{}", name.to_uppercase());
    let found = variable(&variable_name).map(PathBuf::from);
    if found.is_none() {
        skip(&format!("the program `{name}` ({variable_name})"));
    }
    found
}

/// Merges `over` into `under`, mapping by mapping.
pub fn merge(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                merge(under.entry(key).or_insert_with(|| Value::Object(Map::new())), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { walk(&path, found) } else { found.push(path) }
    }
}
