//! What a run of many units and tasks asks the bucket for.

use super::requests::Counts;
use super::*;

const TASKS: u32 = 100;
const UNITS_OF_A_TASK: u32 = 20;

/// Requests of a verb, for one folder of the run or for all.
fn requests(counts: &Counts, verb: &str, folder: Option<&str>) -> usize {
    let is_meant = |of: &(&str, String)| of.0 == verb && folder.is_none_or(|folder| of.1 == folder);
    counts.iter().filter(|(of, _)| is_meant(of)).map(|(_, count)| count).sum()
}

#[tokio::test(start_paused = true)]
async fn a_run_of_many_tasks_asks_the_bucket_for_little() {
    // Tasks end some seconds apart, as those of a packed plan do.
    let time =
        |unit: u32| Duration::from_millis(4_000 + u64::from(unit.wrapping_mul(40_503) % 2_000));
    let server = Server::new(move |_, unit| Reading::Takes(time(unit)));
    let tasks = [UNITS_OF_A_TASK; TASKS as usize];
    let world = World::new(manifest(&tasks), server).await;
    let ended = world.execution("e", TASKS).await;
    assert!(ended.iter().all(Result::is_ok));
    assert_eq!(world.receipts(0).await, (TASKS * UNITS_OF_A_TASK) as usize);

    let counts = world.counted.counts();
    let tasks = TASKS as usize;
    for ((verb, folder), count) in &counts {
        println!("{verb:>5} {folder:12} {count:>8} {:>6} a task", count.div_ceil(tasks));
    }
    // A task may list two and a half pages of receipts.
    let pages = requests(&counts, "list", Some("receipts"));
    assert!(pages < tasks * 5 / 2, "{pages} pages of receipts");
}
