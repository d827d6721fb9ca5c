//! Checks with independent readers that a folder of Parquet files holds what a database holds.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use crate::needs::{skip, variable};
use crate::postgres::Database;

/// What the folder is compared with.
#[derive(Debug, Clone, Copy)]
pub enum Expected<'a> {
    /// A relation of a PostgreSQL database, as SQL spells it.
    Table(&'a Database, &'a str),
    /// The rows of a query to a PostgreSQL database.
    Query(&'a Database, &'a str),
    /// A table of an SQLite file, as SQL spells it.
    Sqlite(&'a Path, &'a str),
}

/// Fails with every difference between `expected` and the Parquet files of `folder`. Returns the
/// compared facts, by column; `None` if Python is missing.
pub async fn assert_same(expected: Expected<'_>, folder: &Path) -> Option<Value> {
    match compare(expected, folder).await? {
        Ok(facts) => Some(facts),
        Err(differences) => panic!("{} differs:\n{differences}", folder.display()),
    }
}

/// The same comparison, which returns the differences instead of failing.
pub async fn compare(expected: Expected<'_>, folder: &Path) -> Option<Result<Value, String>> {
    let python = python()?;
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/oracle.py"));
    match expected {
        Expected::Table(database, table) => {
            command.args(["postgres", &database.url(), "--table", table]);
        }
        Expected::Query(database, query) => {
            command.args(["postgres", &database.url(), "--query", query]);
        }
        Expected::Sqlite(file, table) => {
            command.arg("sqlite").arg(file).args(["--table", table]);
        }
    }
    let output = command.arg("--parquet").arg(folder).output().await.expect("Python starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.code() {
        Some(0) => Some(Ok(serde_json::from_str(&said).expect("the oracle answers in JSON"))),
        Some(1) if !said.is_empty() => Some(Err(said)),
        _ => panic!("the oracle failed:\n{said}{}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// The rows of a DuckDB query, each as JSON; `None` if Python is missing.
pub async fn duckdb(query: &str) -> Option<Vec<Value>> {
    let script = "import duckdb, json, sys\n\
        result = duckdb.sql(sys.argv[1])\n\
        names = result.columns\n\
        print(json.dumps([dict(zip(names, row)) for row in result.fetchall()], default=str))";
    let output =
        Command::new(python()?).args(["-c", script, query]).output().await.expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).expect("the answer is JSON"))
}

/// The interpreter of the project's own virtual environment.
pub(crate) fn python() -> Option<PathBuf> {
    let given = variable("TEST_PYTHON").map(PathBuf::from);
    let found = given.unwrap_or_else(|| {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.venv/bin/python"))
    });
    if found.exists() {
        return Some(found);
    }
    skip("Python with pyarrow (TEST_PYTHON)");
    None
}
