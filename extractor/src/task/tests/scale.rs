//! What a run of many units and tasks asks the bucket for.

use super::requests::Counts;
use super::*;

const UNITS_OF_A_TASK: u32 = 20;

/// Requests of a verb, for one folder of the run or for all.
fn requests(counts: &Counts, verb: &str, folder: Option<&str>) -> usize {
    let is_meant = |of: &(&str, String)| of.0 == verb && folder.is_none_or(|folder| of.1 == folder);
    counts.iter().filter(|(of, _)| is_meant(of)).map(|(_, count)| count).sum()
}

/// Carries out a run of so many tasks at one moment, and prints what they asked for.
async fn carry_out(tasks: u32) -> Counts {
    // Tasks end some seconds apart, as those of a packed plan do.
    let time =
        |unit: u32| Duration::from_millis(4_000 + u64::from(unit.wrapping_mul(40_503) % 2_000));
    let server = Server::new(move |_, unit| Reading::Takes(time(unit)));
    let units = vec![UNITS_OF_A_TASK; tasks as usize];
    let world = World::new(manifest(&units), server).await;
    let ended = world.execution("e", tasks).await;
    assert!(ended.iter().all(Result::is_ok));
    assert_eq!(world.receipts(0).await, (tasks * UNITS_OF_A_TASK) as usize);

    let counts = world.counted.counts();
    for ((verb, folder), count) in &counts {
        println!("{verb:>5} {folder:12} {count:>8} {:>6} a task", count.div_ceil(tasks as usize));
    }
    counts
}

#[tokio::test(start_paused = true)]
async fn a_run_of_many_tasks_asks_the_bucket_for_little() {
    let tasks = 100;
    let counts = carry_out(tasks).await;
    // Two pages and a half are what a task may list of receipts.
    let pages = requests(&counts, "list", Some("receipts"));
    assert!(pages < tasks as usize * 5 / 2, "{pages} pages of receipts");
}

#[tokio::test(start_paused = true)]
#[ignore = "takes minutes: `tests/scale.sh cloud` runs it"]
async fn ten_thousand_units_on_five_hundred_tasks_ask_the_bucket_for_little() {
    let tasks = 500;
    let counts = carry_out(tasks).await;
    // A page holds a thousand names, so that counting all receipts once takes ten.
    let pages = requests(&counts, "list", Some("receipts"));
    assert!(pages < tasks as usize * 25, "{pages} pages of receipts");
}
