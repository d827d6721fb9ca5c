//! Nothing around a program gives up, or deletes, before the program does.

use std::time::Duration;

use object_store::path::Path;
use serde_json::Value;
use sluice_contracts::documents::RunId;
use sluice_contracts::layout::Layout;
use sluice_tests::terraform::Deployment;

use super::source::{constant, page};
use super::{list, set, text};

/// A duration as Google's services write it, in seconds, or as the programs do.
fn duration(typed: &str) -> Duration {
    let (number, unit) = typed.split_at(typed.len().saturating_sub(1));
    let number: u64 = number.parse().unwrap_or_else(|_| panic!("`{typed}` is not a duration"));
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => panic!("`{typed}` has no unit"),
    };
    Duration::from_secs(number * unit)
}

#[test]
fn services_and_tasks_are_not_cut_off_before_they_end() {
    let Some(deployment) = Deployment::of("everything") else { return };
    let timeout = |service| {
        let made = deployment.one("google_cloud_run_v2_service", service);
        duration(&text(&made["template"][0]["timeout"]))
    };
    let planner = timeout("planner");
    // A run that finds no place waits a minute, and the answer needs some time too.
    let planning = constant("planner/src/time_limit.rs", "LIMIT");
    assert!(planner >= planning + Duration::from_mins(2), "{planner:?} for {planning:?}");
    let said = format!("--timeout={}", planner.as_secs());
    assert!(
        page("docs/services.md").contains(&said),
        "docs/services.md says another than `{said}`"
    );
    let waits = constant("crates/runtime/src/google/checks.rs", "DEADLINE");
    assert_eq!(timeout("loader"), waits, "what the loader may take, and Cloud Tasks waits for");

    let tasks = &deployment.one("google_cloud_run_v2_job", "extractor")["template"][0];
    for service in ["planner", "loader"] {
        let said = set(&deployment, service, "SLUICE_TASK_TIMEOUT");
        assert_eq!(duration(&text(&tasks["template"][0]["timeout"])), duration(&said), "{service}");
    }
    for made in deployment.all("google_cloud_run_v2_job") {
        let execution = &made.values["template"][0];
        let timeout = duration(&text(&execution["template"][0]["timeout"]));
        if execution["delay_execution"] == true {
            // Cloud Run refuses more.
            assert!(timeout <= Duration::from_hours(12), "{}: {timeout:?}", made.key);
        }
    }
    assert!(tasks["template"][0]["max_retries"].as_u64() >= Some(1), "{tasks:#}");
    // Cloud Run refuses an execution of fewer tasks than the job's parallelism, so the limit is the
    // planner's.
    assert_eq!(tasks["parallelism"].as_u64().unwrap_or(0), 0, "{tasks:#}");
    let most: u32 = set(&deployment, "planner", "SLUICE_PARALLELISM").parse().expect("a number");
    assert!(most > 0);
}

#[test]
fn the_queue_gives_no_call_up_before_the_planner_gives_up_a_run() {
    let Some(deployment) = Deployment::of("everything") else { return };
    let queue = &deployment.one("google_cloud_tasks_queue", "runs")["retry_config"][0];
    assert!(queue["max_attempts"].as_u64() >= Some(100), "as docs/services.md asks: {queue:#}");
    let deadline = duration(&set(&deployment, "planner", "SLUICE_PLANNING_DEADLINE"));
    // Both limits have to be passed, so the longer one counts.
    let lasts = duration(&text(&queue["max_retry_duration"]));
    assert!(lasts > deadline, "{lasts:?} for {deadline:?}");
    let pause = duration(&text(&queue["max_backoff"]));
    assert!(pause <= Duration::from_mins(5), "a run waits that long for its plan: {pause:?}");
}

#[test]
fn only_what_no_run_needs_any_more_is_deleted() {
    let Some(deployment) = Deployment::of("everything") else { return };
    let runs = deployment.one("google_storage_bucket", "runs");
    let rules: Vec<&Value> = list(&runs["lifecycle_rule"]).iter().collect();
    let top = Path::default();
    let layout = Layout::new(&top, RunId::generate());
    let part = layout.parts().join("0000-00000-000000-0000-x-0001.parquet");

    let longest = ["SLUICE_RUN_DEADLINE", "SLUICE_LOAD_PATIENCE", "SLUICE_DATAFLOW_DEADLINE"]
        .map(|name| duration(&set(&deployment, "loader", name)));
    let needed = longest.into_iter().sum::<Duration>() * 2;
    let [part, document, reservation] =
        [part, layout.manifest(), Layout::reservation(&top, "key", 0)]
            .map(|path| deleted_after(&rules, &path).expect("it expires"));
    assert!(part >= needed, "part files live {part:?}, and a run may need them {needed:?}");
    assert!(document >= part, "part files without their documents are of no use");
    // A day, because Cloud Storage deletes up to a day late.
    assert!(reservation + Duration::from_hours(24) < document, "a key outlives its run");

    for kept in [Layout::latest_run(&top, "job", "url", RunId::generate()), "jobs/a.yaml".into()] {
        assert_eq!(deleted_after(&rules, &kept), None, "`{kept}` is deleted");
    }
    let jobs = deployment.one("google_storage_bucket", "jobs");
    for rule in list(&jobs["lifecycle_rule"]) {
        assert_eq!(
            rule["condition"][0]["with_state"], "ARCHIVED",
            "a job file is deleted: {rule:#}"
        );
    }
}

/// The age at which the first of the rules deletes an object.
fn deleted_after(rules: &[&Value], path: &Path) -> Option<Duration> {
    let matches = |condition: &Value, key: &str, fits: &dyn Fn(&str) -> bool| {
        let wanted = list(&condition[key]);
        wanted.is_empty() || wanted.iter().any(|one| fits(one.as_str().unwrap_or_default()))
    };
    let ages = rules.iter().map(|rule| &rule["condition"][0]).filter(|condition| {
        matches(condition, "matches_prefix", &|begin| path.as_ref().starts_with(begin))
            && matches(condition, "matches_suffix", &|end| path.as_ref().ends_with(end))
    });
    let days = ages.map(|condition| condition["age"].as_u64().expect("a rule goes by age")).min();
    days.map(|days| Duration::from_hours(24 * days))
}
