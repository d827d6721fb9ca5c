//! Kills and freezes processes.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rand::seq::IndexedRandom as _;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// The task processes that `run` (a process id) has started and that are still alive.
///
/// A task is recognised by `CLOUD_RUN_TASK_INDEX`, which Cloud Run would set too.
pub fn tasks_of(run: u32) -> Vec<u32> {
    let mut family = vec![run];
    let processes: Vec<(u32, u32)> = processes();
    // Parents may be listed after their children, so search until no new process is found.
    loop {
        let before = family.len();
        for (id, parent) in &processes {
            if family.contains(parent) && !family.contains(id) {
                family.push(*id);
            }
        }
        if family.len() == before {
            break;
        }
    }
    family.retain(|id| {
        *id != run && environment(*id).any(|line| line.starts_with("CLOUD_RUN_TASK_INDEX="))
    });
    family
}

/// The process of task `index` of `run`.
pub fn task_of(run: u32, index: u64) -> Option<u32> {
    let variable = format!("CLOUD_RUN_TASK_INDEX={index}");
    tasks_of(run).into_iter().find(|task| environment(*task).any(|line| line == variable))
}

/// Every task whose run lies in a bucket below `folder`, including tasks without a parent.
pub fn tasks_below(folder: &Path) -> Vec<u32> {
    let beginning = format!("SLUICE_MANIFEST=file://{}/", folder.display());
    let is_below = |line: String| line.starts_with(&beginning);
    let everybody = processes().into_iter().map(|(id, _)| id);
    everybody.filter(|id| environment(*id).any(is_below)).collect()
}

/// Waits until `run` has at least one task. `false` if it ended before, or no task started in time.
pub async fn wait_for_tasks(run: u32, patience: Duration) -> bool {
    let start = Instant::now();
    while start.elapsed() < patience && is_alive(run) {
        if !tasks_of(run).is_empty() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    false
}

/// Reports how many faults a test has tried. `./test` adds up the reports of all tests.
#[expect(clippy::print_stdout, reason = "a test reports by printing")]
pub fn counted(faults: usize, what: &str) {
    println!("faults: {faults} {what}");
}

/// Kills a random task of `run`, and returns its process; `None` if no task runs.
pub fn kill_a_task(run: u32) -> Option<u32> {
    let victim = *tasks_of(run).choose(&mut rand::rng())?;
    kill(victim).then_some(victim)
}

/// Sends SIGKILL. `false` if the process no longer exists.
pub fn kill(process: u32) -> bool {
    signal(process, Signal::KILL)
}

/// Sends SIGKILL to all processes of the group that `leader` leads. Returns `false` if the group has no process.
pub fn kill_family(leader: u32) -> bool {
    i32::try_from(leader)
        .ok()
        .and_then(Pid::from_raw)
        .is_some_and(|pid| kill_process_group(pid, Signal::KILL).is_ok())
}

/// Sends SIGTERM. `false` if the process no longer exists.
pub fn terminate(process: u32) -> bool {
    signal(process, Signal::TERM)
}

/// Stops a process, as Cloud Run does before it moves a container to another machine. `false` if
/// the process no longer exists.
pub fn freeze(process: u32) -> bool {
    signal(process, Signal::TSTP) && signal(process, Signal::STOP)
}

/// Lets a frozen process continue. `false` if the process no longer exists.
pub fn thaw(process: u32) -> bool {
    signal(process, Signal::CONT)
}

fn signal(process: u32, signal: Signal) -> bool {
    i32::try_from(process)
        .ok()
        .and_then(Pid::from_raw)
        .is_some_and(|pid| kill_process(pid, signal).is_ok())
}

/// Every process of the machine with its parent, except zombies, which do nothing any more.
fn processes() -> Vec<(u32, u32)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|id| {
            let (state, parent) = state_of(id)?;
            (state != 'Z').then_some((id, parent))
        })
        .collect()
}

/// Whether a process exists and is not a zombie.
pub fn is_alive(process: u32) -> bool {
    state_of(process).is_some_and(|(state, _)| state != 'Z')
}

fn state_of(process: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The command's name is in parentheses and may contain any character.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn environment(process: u32) -> impl Iterator<Item = String> {
    let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
    let lines: Vec<String> = environment
        .split(|byte| *byte == 0)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    lines.into_iter()
}
