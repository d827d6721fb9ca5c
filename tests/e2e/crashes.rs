//! Processes that die, networks that fail, disks that fill: the right table, or a clear error and
//! nothing visible.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::RngExt as _;
use serde_json::json;
use sluice_tests::faults;
use sluice_tests::needs::lacks_rights;
use sluice_tests::oracle::{Expected, assert_same};
use sluice_tests::postgres::Database;
use sluice_tests::proxy::Proxy;
use sluice_tests::sluice::{Site, Started};

use crate::shop;

const ROWS: u32 = 20_000;
/// At this speed, a connection through the proxy needs some seconds for the table.
const SLOW: usize = 400_000;

/// A job that reads `orders` through a slow network, in twenty units and three tasks.
pub(crate) async fn slow_orders(database: &Database) -> (Proxy, Site, PathBuf) {
    slow_orders_by(database, "").await
}

/// The same, with parameters for the source's URL.
async fn slow_orders_by(database: &Database, parameters: &str) -> (Proxy, Site, PathBuf) {
    shop::orders(database, ROWS).await;
    let proxy = Proxy::slow(database.address(), SLOW).await;
    let site = Site::reading(format!("{}{parameters}", database.url_through(proxy.port())));
    let job = site.job("orders", &json!({"table": "orders"}), &shop::cut("id_range"));
    (proxy, site, job)
}

/// Starts the job.
pub(crate) fn start(site: &Site, job: &Path) -> Started {
    site.start(["run".as_ref(), job.as_os_str()])
}

/// Resumes an unfinished run.
pub(crate) fn resume(site: &Site, job: &Path, run: &str) -> Started {
    site.start(["run".as_ref(), job.as_os_str(), "--resume".as_ref(), run.as_ref()])
}

/// Waits until the run has `count` receipts, kills it and its tasks, and returns the run's name.
pub(crate) async fn kill_half_way(site: &Site, running: Started, count: usize) -> String {
    let run = wait_for_receipts(site, count).await;
    faults::kill(running.id);
    // A task may be starting at this moment, so searching once is not enough.
    for _ in 0..3 {
        for task in faults::tasks_below(site.path()) {
            faults::kill(task);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    running.ended().await;
    run
}

/// Waits until the newest run has `count` receipts, and returns the run's name.
pub(crate) async fn wait_for_receipts(site: &Site, count: usize) -> String {
    for _ in 0..6000 {
        if let Some(run) = site.newest_run()
            && site
                .documents(&run, "manifest.json")
                .iter()
                .any(|path| path.ends_with("manifest.json"))
            && site.documents(&run, "receipts").len() >= count
        {
            return run;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("there were no {count} receipts within a minute");
}

/// The process that took the run's first snapshot.
pub(crate) fn founder(running: &Started, site: &Site, run: &str) -> u32 {
    let founder = site.documents(run, "snapshots/0000/founder.json").remove(0);
    let founder = std::fs::read_to_string(founder).unwrap_or_default();
    let founder: serde_json::Value = serde_json::from_str(&founder).unwrap_or_default();
    let index = founder["task"].as_u64().expect("a snapshot names its task");
    faults::task_of(running.id, index).expect("the task still works")
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_killed_at_random_moments() {
    let Some(database) = Database::fresh().await else { return };
    let (_proxy, site, job) = slow_orders(&database).await;
    let running = start(&site, &job);
    assert!(faults::wait_for_tasks(running.id, Duration::from_secs(30)).await, "no task started");
    for _ in 0..3 {
        let pause = rand::rng().random_range(50..900);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        faults::kill_a_task(running.id);
    }
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_is_finished_by_another() {
    let Some(database) = Database::fresh().await else { return };
    let (_proxy, site, job) = slow_orders(&database).await;
    let run = kill_half_way(&site, start(&site, &job), 3).await;
    assert!(!site.table("orders").exists(), "a killed run is not visible");

    let ended = resume(&site, &job, &run).ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;

    // Resume once more: nothing is left to do.
    let again = resume(&site, &job, &run).ended().await;
    assert_eq!(again.code, Some(0), "{again}");
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_takes_its_tasks_with_it() {
    let Some(database) = Database::fresh().await else { return };
    let (_proxy, site, job) = slow_orders(&database).await;
    let running = start(&site, &job);
    wait_for_receipts(&site, 1).await;
    faults::kill(running.id);
    running.ended().await;
    for _ in 0..150 {
        if faults::tasks_below(site.path()).is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("tasks {:?} outlived their run", faults::tasks_below(site.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_resumed_while_its_first_tasks_are_still_ending() {
    let Some(database) = Database::fresh().await else { return };
    let (_proxy, site, job) = slow_orders(&database).await;
    let running = start(&site, &job);
    let run = wait_for_receipts(&site, 1).await;
    faults::kill(running.id);
    let ended = resume(&site, &job, &run).ended().await;
    running.ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_two_processes_resume_ends_well_in_both() {
    let Some(database) = Database::fresh().await else { return };
    let (_proxy, site, job) = slow_orders(&database).await;
    let run = kill_half_way(&site, start(&site, &job), 1).await;
    let first = resume(&site, &job, &run);
    assert!(faults::wait_for_tasks(first.id, Duration::from_secs(30)).await, "no task started");
    // It learns late that the other process has read and committed at another snapshot.
    assert!(faults::freeze(first.id));
    let ended = resume(&site, &job, &run).ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    assert!(!site.documents(&run, "receipts/0001").is_empty(), "the first snapshot was kept");
    assert!(faults::thaw(first.id));
    let ended = first.ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_outlives_the_task_that_took_it() {
    let Some(database) = Database::fresh().await else { return };
    let (_proxy, site, job) = slow_orders(&database).await;
    let running = start(&site, &job);
    // Once a receipt exists, another task holds the snapshot too.
    let run = wait_for_receipts(&site, 1).await;
    let victim = founder(&running, &site, &run);
    // A new snapshot would not show these rows.
    database.execute("DELETE FROM orders WHERE id % 2 = 0").await;
    assert!(faults::kill(victim));
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    assert!(site.documents(&run, "receipts/0001").is_empty(), "a second snapshot was read");
    assert!(ended.stdout.contains("20,000 rows"), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_asked_to_end_does_so_and_can_be_resumed() {
    let Some(database) = Database::fresh().await else { return };
    let (_proxy, site, job) = slow_orders(&database).await;
    let running = start(&site, &job);
    let run = wait_for_receipts(&site, 1).await;
    let tasks = faults::tasks_of(running.id);
    faults::terminate(running.id);
    let ended = tokio::time::timeout(Duration::from_secs(15), running.ended()).await;
    let ended = ended.expect("the run ends within its grace");
    assert_ne!(ended.code, Some(0), "{ended}");
    let left: Vec<u32> = tasks.into_iter().filter(|task| faults::is_alive(*task)).collect();
    assert!(left.is_empty(), "tasks {left:?} outlived their run");
    assert!(!site.table("orders").exists());

    let ended = resume(&site, &job, &run).ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_goes_away_for_some_seconds() {
    let Some(database) = Database::fresh().await else { return };
    let (proxy, site, job) = slow_orders(&database).await;
    let running = start(&site, &job);
    wait_for_receipts(&site, 1).await;
    proxy.gone_for(Duration::from_secs(4)).await;
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_again_and_again() {
    let Some(database) = Database::fresh().await else { return };
    let (proxy, site, job) = slow_orders(&database).await;
    let running = start(&site, &job);
    for receipts in [1, 3, 5] {
        wait_for_receipts(&site, receipts).await;
        proxy.cut();
    }
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;
}

/// Nothing comes any more, and nothing says that.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_a_firewall_forgets_are_not_waited_for() {
    let Some(database) = Database::fresh().await else { return };
    let (proxy, site, job) = slow_orders_by(&database, "?keepalives_idle=2").await;
    let running = start(&site, &job);
    wait_for_receipts(&site, 1).await;
    proxy.forget();
    let ended = tokio::time::timeout(Duration::from_mins(3), running.ended()).await;
    let ended = ended.expect("the run ends");
    assert_eq!(ended.code, Some(0), "{ended}");
    assert!(ended.stderr.contains("no answer for 2 s"), "{ended}");
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;
}

/// A server that computes for long is not taken for one that is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_computes_in_silence_is_waited_for() {
    let Some(database) = Database::fresh().await else { return };
    database
        .execute(
            "CREATE TABLE one AS SELECT 1 AS id;
             CREATE VIEW slow AS SELECT id, pg_sleep(5) IS NULL AS slept FROM one",
        )
        .await;
    let site = Site::reading(format!("{}?keepalives_idle=1", database.url()));
    let job = site.job("slow", &json!({"table": "public.slow"}), &json!({}));
    let ended = start(&site, &job).ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    assert!(!ended.stderr.contains("no answer"), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_are_moved_to_another_machine_read_on() {
    let Some(database) = Database::fresh().await else { return };
    let (proxy, site, job) = slow_orders(&database).await;
    let running = start(&site, &job);
    let run = wait_for_receipts(&site, 1).await;
    let tasks = faults::tasks_of(running.id);
    let [first, second, ..] = tasks.as_slice() else { panic!("the run is over already") };
    // The first task wakes to a dead connection, the second to a working one.
    assert!(faults::freeze(*first));
    tokio::time::sleep(Duration::from_millis(500)).await;
    proxy.cut();
    assert!(faults::thaw(*first));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(faults::freeze(*second));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(faults::thaw(*second));
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    // Both tasks continued; neither was started again.
    assert!(site.documents(&run, "failures").is_empty(), "{ended}");
    assert!(!ended.stderr.contains("is repeated"), "{ended}");
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fails_clearly_and_the_run_resumes_with_room() {
    let Some(database) = Database::fresh().await else { return };
    shop::orders(&database, 50_000).await;
    let site = Site::reading(database.url());
    let Some(disk) = SmallDisk::mount(&site.path().join("small")) else { return };
    let more = json!({
        "bucket": format!("file://{}", disk.path.display()),
        "partitioning": {"strategy": "id_range", "target_rows": 5000},
        "limits": {"max_tasks": 2},
    });
    let job = site.job("orders", &json!({"table": "orders"}), &more);
    let ended = start(&site, &job).ended().await;
    ended.refused(1, &["disk is full"]);
    assert!(!site.table("orders").exists());

    disk.enlarge();
    let run = std::fs::read_dir(disk.path.join("runs"))
        .ok()
        .and_then(|mut runs| runs.next()?.ok()?.file_name().into_string().ok())
        .expect("the run is in the bucket");
    let ended = resume(&site, &job, &run).ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;
}

/// A file system of two mebibytes.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts the file system; `None` if the user is not allowed to.
    fn mount(path: &Path) -> Option<Self> {
        std::fs::create_dir(path).ok()?;
        if !mount(&["-t", "tmpfs", "-o", "size=2m", "tmpfs"], path) {
            lacks_rights("mounting a small file system");
            return None;
        }
        Some(Self { path: path.to_owned() })
    }

    fn enlarge(&self) {
        assert!(mount(&["-o", "remount,size=200m"], &self.path), "remount");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.path).status();
    }
}

fn mount(arguments: &[&str], path: &Path) -> bool {
    let mount = std::process::Command::new("mount").args(arguments).arg(path).output();
    mount.is_ok_and(|output| output.status.success())
}
