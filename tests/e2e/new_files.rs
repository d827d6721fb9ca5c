//! Jobs that load each file once, whenever it comes and however often they run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use sluice_tests::oracle::duckdb;
use sluice_tests::sluice::Site;

/// A table of numbers, with the file that each comes from.
fn numbers(site: &Site, name: &str, ids: std::ops::Range<u64>) -> PathBuf {
    let rows: Vec<String> = ids.map(|id| format!("{id},{name}\n")).collect();
    site.file(name, &format!("id,file\n{}", rows.concat()))
}

fn job(site: &Site, more: &Value) -> PathBuf {
    let mut all = json!({"incremental": "files", "target": {"write_disposition": "append"}});
    sluice_tests::sluice::merge(&mut all, more);
    let url = format!("file://{}/*.csv", site.path().display());
    site.job("numbers", &json!({"url": url}), &all)
}

/// The ids of the table in their order, each with the file of its row.
async fn rows(site: &Site) -> Option<Vec<(u64, String)>> {
    let files = site.table("numbers").join("*.parquet");
    let query = format!("SELECT id, file FROM '{}' ORDER BY id, file", files.display());
    let row = |row: Value| {
        let file = row["file"].as_str().expect("a file").to_owned();
        (row["id"].as_u64().expect("an id"), file)
    };
    Some(duckdb(&query).await?.into_iter().map(row).collect())
}

fn of(ids: std::ops::Range<u64>, name: &str) -> Vec<(u64, String)> {
    ids.map(|id| (id, name.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_file_is_loaded_once_whenever_it_comes() {
    let site = Site::new();
    numbers(&site, "2026-11-02.csv", 10..20);
    numbers(&site, "2026-11-03.csv", 20..30);
    let job = job(&site, &json!({}));
    let first = site.run(&job).await;
    assert_eq!(
        first["tables"][0]["files"],
        json!({"new": 2, "left_out": 0, "changed": 0}),
        "{first:#}"
    );
    let again = site.run(&job).await;
    assert_eq!(again["rows"], 0, "{again:#}");
    assert_eq!(
        again["tables"][0]["files"],
        json!({"new": 0, "left_out": 2, "changed": 0}),
        "{again:#}"
    );
    // It is late, and its name is older than those that are loaded.
    numbers(&site, "2026-11-01.csv", 0..10);
    let plan = site.plan(&job).await;
    let reason = plan["tables"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("2 of 3 files are left out"), "{plan:#}");
    let late = site.run(&job).await;
    assert_eq!(late["rows"], 10, "{late:#}");
    let Some(found) = rows(&site).await else { return };
    let expected = [of(0..10, "2026-11-01.csv"), of(10..20, "2026-11-02.csv")].concat();
    assert_eq!(found, [expected, of(20..30, "2026-11-03.csv")].concat());

    // A file that changes is reported, and its rows are not added to those that it had.
    numbers(&site, "2026-11-02.csv", 10..21);
    let changed = site.run(&job).await;
    assert_eq!(changed["rows"], 0, "{changed:#}");
    let names = changed["tables"][0]["files"]["changed_paths"].to_string();
    assert!(names.contains("2026-11-02.csv"), "{changed:#}");
    let plan = site.plan(&job).await;
    assert!(plan["warnings"].to_string().contains("have changed since"), "{plan:#}");
    assert_eq!(rows(&site).await.expect("rows as before").len(), 30);

    // What a table held is not in the next one of its name.
    fs::remove_dir_all(site.table("numbers")).expect("the table is deleted");
    let ended = site.sluice(["run".as_ref(), job.as_os_str()]).await;
    ended.refused(1, &["the table does not exist any more", "delete the folder of the table"]);
    fs::remove_dir_all(site.path().join("bucket/file-loads")).expect("what it held is forgotten");
    let anew = site.run(&job).await;
    assert_eq!(anew["rows"], 31, "{anew:#}");
    let once = site.run(&job).await;
    assert_eq!(once["rows"], 0, "{once:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_load_files_once_is_refused() {
    let site = Site::new();
    numbers(&site, "a.csv", 0..3);
    for (more, code, words) in [
        (json!({"target": {"write_disposition": "truncate"}}), 64, "`append`, or to `merge`"),
        (json!({"source": {"url": "postgres://h/d", "table": "t"}}), 64, "needs a source of files"),
        (json!({"incremental": "rows"}), 64, "incremental"),
    ] {
        let job = job(&site, &more);
        let ended = site.sluice(["plan".as_ref(), job.as_os_str()]).await;
        ended.refused(code, &[words]);
    }
    // A document that says which files are loaded is gone.
    let job = job(&site, &json!({}));
    site.run(&job).await;
    let begun = find(&site.path().join("bucket/file-loads"), "begun.json");
    assert_eq!(begun.len(), 1);
    fs::remove_file(&begun[0]).expect("the document is deleted");
    let ended = site.sluice(["run".as_ref(), job.as_os_str()]).await;
    ended.refused(1, &["it was deleted", "load all its files again"]);
    // So is all that is known of the first load.
    let other = Site::new();
    let again = self::job(&other, &json!({}));
    for name in ["a.csv", "b.csv"] {
        numbers(&other, name, 0..3);
        other.run(&again).await;
    }
    let loaded = find(&other.path().join("bucket/file-loads"), "loaded.json");
    assert_eq!(loaded.len(), 2);
    // What is missing of the second is written again, because its rows are known to be visible.
    let folder = |number: &str| {
        let parents = loaded.iter().filter_map(|path| path.parent());
        parents.into_iter().find(|folder| folder.ends_with(number)).expect("a load of that number")
    };
    fs::remove_file(folder("000001").join("loaded.json")).expect("the document is deleted");
    numbers(&other, "c.csv", 0..3);
    assert_eq!(other.run(&again).await["rows"], 3);
    assert_eq!(find(&other.path().join("bucket/file-loads"), "loaded.json").len(), 3);
    fs::remove_dir_all(folder("000000")).expect("the load is deleted");
    let ended = other.sluice(["run".as_ref(), again.as_os_str()]).await;
    ended.refused(1, &["were deleted", "load all its files again"]);
}

fn find(folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(find(&path, name));
        } else if path.ends_with(name) {
            found.push(path);
        }
    }
    found
}

/// A load that fails leaves its files to the next run.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_load_that_fails_are_loaded_later() {
    let site = Site::new();
    numbers(&site, "a.csv", 0..200_000);
    let job = job(&site, &json!({}));
    // The table cannot be loaded into: a file that is not Sluice's comes into its folder while the run reads.
    fs::create_dir_all(site.table("numbers")).expect("a folder");
    let mine = site.table("numbers").join("mine.txt");
    let run = site.start(["run".as_ref(), job.as_os_str()]);
    let planned = async {
        while site.newest_run().is_none_or(|run| site.documents(&run, "manifest.json").is_empty()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        fs::write(&mine, "mine").expect("a file");
    };
    let (ended, ()) = tokio::join!(run.ended(), planned);
    ended.refused(1, &["was not written by Sluice"]);
    fs::remove_file(&mine).expect("the file is deleted");
    numbers(&site, "b.csv", 200_000..200_010);
    site.run(&job).await;
    let Some(found) = rows(&site).await else { return };
    let ids = found.into_iter().map(|(id, _)| id);
    assert!(ids.eq(0..200_010), "each row is there once");
    assert_eq!(site.run(&job).await["rows"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_at_the_same_time_load_no_file_twice() {
    let mut overtaken = 0;
    for round in 0..12_u64 {
        let site = Site::new();
        numbers(&site, "a.csv", 0..10);
        let job = job(&site, &json!({}));
        let runs = (0..4_u64).map(|at| {
            let (site, job) = (&site, &job);
            async move {
                tokio::time::sleep(Duration::from_millis(at * (round % 4) * 10)).await;
                site.sluice(["run".as_ref(), "--json".as_ref(), job.as_os_str()]).await
            }
        });
        let mut loaded = 0;
        for ended in futures::future::join_all(runs).await {
            // A table that another run changes at this moment is a conflict, and nothing is lost by it.
            if ended.code == Some(0) {
                let answer = ended.json();
                let table = &answer["tables"][0];
                overtaken += u64::from(table["state"] == "overtaken");
                loaded += u64::from(table["state"] == "committed" && answer["rows"] == 10);
            } else {
                assert!(
                    ended.stderr.contains("at the same time") || ended.code == Some(1),
                    "{ended}"
                );
            }
        }
        let Some(found) = rows(&site).await else { return };
        assert_eq!(
            found,
            of(0..10, "a.csv"),
            "round {round}: {loaded} runs say that they loaded it"
        );
    }
    assert!(overtaken > 0, "no two runs were planned for the same file");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_are_killed_lose_no_file_and_load_none_twice() {
    let mut killed = 0;
    for round in 0..30_u64 {
        let site = Site::new();
        numbers(&site, "a.csv", 0..10);
        let job = job(&site, &json!({}));
        // The last of them is not killed.
        for at in 0..3 {
            let run = site.start(["run".as_ref(), job.as_os_str()]);
            let pause = Duration::from_millis(round * 4 % 90 + at * 3);
            let ended = tokio::time::timeout(pause, run.ended()).await;
            killed += u64::from(ended.is_err());
            if at == 1 {
                numbers(&site, "b.csv", 10..20);
            }
        }
        site.run(&job).await;
        let Some(found) = rows(&site).await else { return };
        let expected = [of(0..10, "a.csv"), of(10..20, "b.csv")].concat();
        assert_eq!(found, expected, "round {round}");
        assert_eq!(site.run(&job).await["rows"], 0, "round {round}");
    }
    assert!(killed > 20, "{killed} of 90 runs were killed");
    println!("faults: {killed} runs of new files killed at some moment");
}
