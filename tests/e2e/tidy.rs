//! Rules about the repository itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sluice_contracts::documents::{
    Claim, Commit, Committed, DataflowLaunch, DataflowOrder, DataflowResult, Extracted, Failure,
    FileLoad, FileLoadEnd, LatestRun, LoadOrder, Manifest, Order, Receipt, Request, Reservation,
    RunEvent, Snapshot, TaskUnits, Verdict,
};
use sluice_contracts::store::{parse_document, parse_manifest};
use sluice_tests::postgres::Database;
use sluice_tests::sluice::Site;

/// Which crate depends on which.
const ARROWS: &[(&str, &[&str])] = &[
    ("sluice-contracts", &[]),
    ("sluice-runtime", &["sluice-contracts"]),
    ("sluice-sources", &["sluice-contracts", "sluice-runtime"]),
    ("sluice-targets", &["sluice-contracts", "sluice-runtime"]),
    ("sluice-planner", &["sluice-contracts", "sluice-sources", "sluice-targets", "sluice-runtime"]),
    ("sluice-extractor", &["sluice-contracts", "sluice-sources", "sluice-runtime"]),
    ("sluice-loader", &["sluice-contracts", "sluice-targets", "sluice-runtime"]),
    (
        "sluice",
        &[
            "sluice-contracts",
            "sluice-sources",
            "sluice-targets",
            "sluice-runtime",
            "sluice-planner",
            "sluice-extractor",
            "sluice-loader",
        ],
    ),
    ("sluice-tests", &["sluice-contracts", "sluice-sources", "sluice-targets", "sluice-runtime"]),
];

#[test]
fn files_are_short() {
    let long: Vec<String> = sources()
        .into_iter()
        .filter_map(|path| {
            let lines = fs::read_to_string(&path).unwrap_or_default().lines().count();
            (lines > 500).then(|| format!("{}: {lines} lines", path.display()))
        })
        .collect();
    assert!(long.is_empty(), "split these by noun:\n{}", long.join("\n"));
}

#[test]
fn modules_have_a_subject() {
    let vague = ["utils", "util", "common", "helpers", "helper", "misc", "types", "shared"];
    let found: Vec<PathBuf> = sources()
        .into_iter()
        .filter(|path| {
            let folder = path.parent().and_then(Path::file_name);
            [path.file_stem(), folder]
                .iter()
                .flatten()
                .any(|name| vague.iter().any(|vague| name == vague))
        })
        .collect();
    assert!(found.is_empty(), "name these after what they hold: {found:?}");
}

#[test]
fn crates_depend_on_each_other_as_drawn() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo answers");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo answers in JSON");
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut seen = 0;
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let allowed = arrows.get(name).unwrap_or_else(|| panic!("`{name}` has no place in ARROWS"));
        seen += 1;
        let used: BTreeSet<&str> = package["dependencies"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|dependency| dependency["name"].as_str())
            .filter(|on| arrows.contains_key(on))
            .collect();
        assert_eq!(used, allowed.iter().copied().collect(), "what `{name}` depends on");
    }
    assert_eq!(seen, ARROWS.len(), "ARROWS names a crate that there is not");
}

#[test]
fn the_architecture_draws_the_same_arrows() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the page is there");
    let (_, section) = page.split_once("\n## Arrows\n").expect("the page has arrows");
    let (_, block) = section.split_once("```\n").expect("the arrows are drawn");
    let (block, _) = block.split_once("```").expect("the drawing ends");
    let mut drawn: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in block.lines().filter(|line| !line.trim().is_empty()) {
        let steps: Vec<Vec<&str>> =
            line.split(" <- ").map(|step| step.split(',').map(str::trim).collect()).collect();
        for pair in steps.windows(2) {
            for (on, by) in pair[0].iter().flat_map(|on| pair[1].iter().map(move |by| (*on, *by))) {
                drawn.entry(by).or_default().push(on);
            }
        }
    }
    let short = |name: &'static str| match name {
        "sluice" => "cli",
        name => name.trim_start_matches("sluice-"),
    };
    for (name, on) in ARROWS {
        let mut expected: Vec<&str> = on.iter().map(|on| short(on)).collect();
        let mut found = drawn.remove(short(name)).unwrap_or_default();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "the arrows of `{name}` in ARCHITECTURE.md");
    }
    assert!(drawn.is_empty(), "ARCHITECTURE.md draws crates that do not exist: {drawn:?}");
}

#[test]
fn a_public_type_has_a_name_of_its_own() {
    let mut places: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in production() {
        let text = fs::read_to_string(&path).unwrap_or_default();
        for line in text.lines() {
            let name = ["pub struct ", "pub enum ", "pub trait ", "pub type "]
                .iter()
                .find_map(|begin| line.strip_prefix(begin))
                .map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next());
            if let Some(Some(name)) = name {
                places.entry(name.to_owned()).or_default().push(path.clone());
            }
        }
    }
    assert!(places.len() > 100, "the types are found: {}", places.len());
    places.retain(|_, paths| paths.len() > 1);
    assert!(places.is_empty(), "one word for one thing: {places:#?}");
}

#[test]
fn production_code_does_not_know_where_it_runs() {
    let forbidden =
        ["if local", "if is_local", "is_test(", "cfg(feature = \"local\")", "cfg!(test)"];
    for path in production() {
        let text = fs::read_to_string(&path).unwrap_or_default();
        for words in forbidden {
            assert!(!text.contains(words), "{}: `{words}`", path.display());
        }
    }
}

#[test]
fn only_the_layout_spells_an_object_path() {
    for path in production() {
        if path.ends_with("crates/contracts/src/layout.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for word in ["manifest.json", "founder.json", "\"runs/", "/receipts/", "/parts/"] {
                assert!(!line.contains(word), "{}: {line}", path.display());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_committed_schema_is_the_one_that_the_program_prints() {
    let site = Site::new();
    let ended = site.sluice(["schema", "job"]).await;
    let printed: Value = serde_json::from_str(&ended.stdout).expect("a schema is JSON");
    let committed = fs::read_to_string(root().join("docs/job.schema.json")).unwrap_or_default();
    assert!(
        serde_json::from_str::<Value>(&committed).is_ok_and(|committed| committed == printed),
        "write it again: cargo run -- schema job > docs/job.schema.json"
    );
    for document in ["manifest", "receipt"] {
        let ended = site.sluice(["schema", document]).await;
        assert_eq!(ended.code, Some(0), "{ended}");
        assert!(serde_json::from_str::<Value>(&ended.stdout).is_ok(), "{ended}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_committed_page_of_types_is_the_one_that_the_program_prints() {
    let ended = Site::new().sluice(["schema", "types"]).await;
    let committed = fs::read_to_string(root().join("docs/types.md")).unwrap_or_default();
    assert!(ended.stdout.len() > 1000, "{ended}");
    assert!(committed == ended.stdout, "write it again: cargo run -- schema types > docs/types.md");
}

#[test]
fn every_version_of_every_document_still_loads() {
    load("manifest", Manifest::VERSION, |path, bytes, _| parse_manifest(path, bytes));
    load("units", TaskUnits::VERSION, parse_document::<TaskUnits>);
    load("receipt", Receipt::VERSION, parse_document::<Receipt>);
    load("failure", Failure::VERSION, parse_document::<Failure>);
    load("snapshot", Snapshot::VERSION, parse_document::<Snapshot>);
    load("commit", Commit::VERSION, parse_document::<Commit>);
    load("extracted", Extracted::VERSION, parse_document::<Extracted>);
    load("reservation", Reservation::VERSION, parse_document::<Reservation>);
    load("latest_run", LatestRun::VERSION, parse_document::<LatestRun>);
    load("request", Request::VERSION, parse_document::<Request>);
    load("order", Order::VERSION, parse_document::<Order>);
    load("claim", Claim::VERSION, parse_document::<Claim>);
    load("load_order", LoadOrder::VERSION, parse_document::<LoadOrder>);
    load("verdict", Verdict::VERSION, parse_document::<Verdict>);
    load("committed", Committed::VERSION, parse_document::<Committed>);
    load("dataflow_order", DataflowOrder::VERSION, parse_document::<DataflowOrder>);
    load("dataflow_launch", DataflowLaunch::VERSION, parse_document::<DataflowLaunch>);
    load("dataflow_result", DataflowResult::VERSION, parse_document::<DataflowResult>);
    load("file_load", FileLoad::VERSION, parse_document::<FileLoad>);
    load("file_load_end", FileLoadEnd::VERSION, parse_document::<FileLoadEnd>);
    load("event", RunEvent::VERSION, parse_document::<RunEvent>);
}

/// Loads each version of a document that was ever written. A version has at least one fixture.
fn load<T: serde::Serialize>(
    kind: &str,
    newest: u32,
    parse: impl Fn(&object_store::path::Path, &[u8], u32) -> sluice_contracts::Result<T>,
) {
    for version in 1..=newest {
        let name = format!("{kind}-v{version}.json");
        let path = root().join("tests/fixtures").join(&name);
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let document = parse(&name.as_str().into(), &bytes, newest)
            .unwrap_or_else(|error| panic!("{}", error.chain()));
        if version == newest {
            let written = serde_json::to_value(&document).expect("a document can be written");
            let read: Value = serde_json::from_slice(&bytes).expect("a fixture is JSON");
            assert_eq!(written, read, "{name} changes when it is read and written");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_documentation_names_exists() {
    let site = Site::new().with("SOURCE_URL", "postgres://etl@db.example/shop");
    let help = site.sluice(["--help"]).await.stdout;
    for page in [
        "README.md",
        "CONTRIBUTING.md",
        "ARCHITECTURE.md",
        "docs/bigquery.md",
        "docs/migrating.md",
        "docs/operating.md",
        "docs/services.md",
        "examples/django/README.md",
        "tests/terraform/README.md",
    ] {
        let text = fs::read_to_string(root().join(page)).unwrap_or_default();
        assert!(!text.is_empty(), "{page} is missing");
        for line in text.lines() {
            let line = line.trim().trim_start_matches("$ ");
            let arguments = line
                .strip_prefix("sluice ")
                .or_else(|| line.strip_prefix("cargo run --release -- "));
            if let Some(command) = arguments.and_then(|rest| rest.split_whitespace().next()) {
                assert!(
                    help.contains(&format!("\n  {command} ")),
                    "{page}: `{line}`: no such command"
                );
            }
        }
        for target in links(&text) {
            let below = root().join(page);
            let beside = below.parent().expect("a page lies in a folder").join(&target);
            assert!(beside.exists(), "{page}: `{target}` does not exist");
        }
    }
    let mut jobs = 0;
    for entry in fs::read_dir(root().join("jobs")).into_iter().flatten().flatten() {
        let ended = site.sluice(["validate".as_ref(), entry.path().as_os_str()]).await;
        assert_eq!(ended.code, Some(0), "{}: {ended}", entry.path().display());
        jobs += 1;
    }
    assert!(jobs > 0, "there is no example of a job");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sqlite_types_in_the_readme_are_those_of_the_plan() {
    let rows = types_in_the_readme(1);
    let site = Site::new();
    let file = site.path().join("kinds.db");
    let database = rusqlite::Connection::open(&file).expect("a database can be made");
    database.execute_batch(&create_kinds(&rows)).expect("the types exist");
    let site = site.with("SOURCE_URL", format!("sqlite://{}", file.display()));
    assert_planned(&site, &rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_postgres_types_in_the_readme_are_those_of_the_plan() {
    let Some(database) = Database::fresh().await else { return };
    let rows = types_in_the_readme(0);
    database.execute(&create_kinds(&rows)).await;
    assert_planned(&Site::reading(database.url()), &rows).await;
}

/// The source types in a column of the README's table, each with the target type that it becomes.
fn types_in_the_readme(place: usize) -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join("README.md")).unwrap_or_default();
    let (_, section) = text.split_once("## What the types become").unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let types: Vec<(String, String)> = rows
        .filter_map(|line| {
            let cells: Vec<&str> = line.split(" | ").collect();
            let target = cells.get(2)?.split(' ').next()?.to_owned();
            Some((cells.get(place)?.to_owned(), target))
        })
        .flat_map(|(types, target)| {
            // Every second piece is a text between backticks.
            let names = types.split('`').skip(1).step_by(2);
            names
                .map(|name| (name.replace("(p, s)", "(12, 2)"), target.clone()))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(types.len() > 15, "the table of types was not found");
    types
}

fn create_kinds(rows: &[(String, String)]) -> String {
    let columns: Vec<String> =
        rows.iter().enumerate().map(|(at, (name, _))| format!("c{at} {name}")).collect();
    format!("CREATE TABLE kinds ({})", columns.join(", "))
}

async fn assert_planned(site: &Site, rows: &[(String, String)]) {
    let job = site.job("kinds", &json!({"table": "kinds"}), &json!({}));
    let plan = site.plan(&job).await;
    for (at, (name, target)) in rows.iter().enumerate() {
        let column = &plan["tables"][0]["columns"][at];
        assert_eq!(column["target_type"], target.as_str(), "{name}: {column:#}");
    }
}

/// The paths in this repository that the Markdown links to.
fn links(text: &str) -> Vec<String> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
        .map(|target| target.split('#').next().unwrap_or_default().to_owned())
        .filter(|target| !target.is_empty() && !target.contains("://"))
        .collect()
}

fn root() -> PathBuf {
    // Without `..`, because rules compare the names of folders in paths.
    fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).expect("the tree is there")
}

/// Every Rust file, including tests.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["planner", "extractor", "loader", "cli", "crates", "tests", "fuzz"] {
        walk(&root().join(folder), &mut found);
    }
    assert!(found.len() > 20, "the tree was not found");
    found
}

fn production() -> Vec<PathBuf> {
    let found: Vec<PathBuf> = sources()
        .into_iter()
        .filter(|path| !path.components().any(|part| part.as_os_str() == "tests"))
        .filter(|path| path.file_stem().is_none_or(|name| name != "tests"))
        .collect();
    assert!(found.len() > 100, "the programs' code was not found");
    found
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}
