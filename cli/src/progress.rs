//! How a run goes on, on standard error: bars on a terminal, lines elsewhere.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sluice_contracts::Result;
use sluice_contracts::documents::Manifest;
use sluice_contracts::store::RunStore;
use sluice_loader::Coverage;

use crate::format::{count, duration, size, thousands};
use crate::launch::{Event, Progress, RETRIES};

/// Time between two lines of progress where there is no terminal.
pub(crate) const TICK: Duration = Duration::from_secs(2);
/// Tasks that get a bar of their own.
const MOST_BARS: usize = 16;

/// Shows what the tasks of one execution do.
#[derive(Debug)]
pub(crate) struct Display {
    started: Instant,
    /// Rows that the whole run is expected to have.
    expected: u64,
    units: u64,
    /// The newest generation that a task reads at.
    generation: u32,
    tasks: BTreeMap<u32, Task>,
    bars: Option<Bars>,
    said: Option<String>,
}

#[derive(Debug, Default)]
struct Task {
    units: u64,
    /// What had a receipt before this attempt.
    before: Progress,
    /// What this attempt had done when it last ended a unit.
    proved: Progress,
    /// What this attempt has done.
    progress: Progress,
    ended: bool,
    bar: Option<ProgressBar>,
}

#[derive(Debug)]
struct Bars {
    all: MultiProgress,
    total: ProgressBar,
}

impl Display {
    /// Shows the tasks of a run that already has the receipts of `coverage`.
    pub(crate) async fn new(
        store: &RunStore,
        manifest: &Manifest,
        coverage: &Coverage,
        tasks: &[u32],
    ) -> Result<Self> {
        let bars = std::io::stderr().is_terminal().then(|| {
            let all = MultiProgress::new();
            let total = all.add(ProgressBar::new(manifest.estimate.rows));
            total.set_style(style("total   {bar:28} {percent:>3} %  {msg}  {elapsed}"));
            Bars { all, total }
        });
        let mut display = Self {
            started: Instant::now(),
            expected: manifest.estimate.rows,
            units: manifest.unit_count(),
            generation: coverage.generation,
            tasks: BTreeMap::new(),
            bars,
            said: None,
        };
        for task in manifest.tasks.iter().filter(|task| tasks.contains(&task.index)) {
            let units = u64::from(task.count);
            let mut before = Progress::default();
            let planned = if coverage.receipts.is_empty() {
                Vec::new()
            } else {
                store.units(manifest, task).await?
            };
            let receipts = planned.iter().map(|unit| coverage.receipts.get(&unit.place()));
            for receipt in receipts.flatten() {
                before.add(&Progress {
                    task: task.index,
                    rows: receipt.rows,
                    bytes: receipt.bytes,
                    units_done: 1,
                    generation: coverage.generation,
                });
            }
            let bar = display.bars.as_ref().filter(|_| tasks.len() <= MOST_BARS).map(|bars| {
                let bar = bars.all.insert_before(&bars.total, ProgressBar::new(units));
                bar.set_style(style("task {prefix:<2} {bar:28} {pos:>3}/{len:<3} units  {msg}"));
                bar.set_prefix(task.index.to_string());
                bar
            });
            display.tasks.insert(task.index, Task { units, before, bar, ..Task::default() });
        }
        Ok(display)
    }

    /// Shows one event.
    pub(crate) fn show(&mut self, event: &Event) {
        match event {
            Event::Progress(progress) => self.advance(*progress),
            Event::Warned { task, message } => self.say(&format!("task {task}: {message}")),
            Event::Retried { task, attempt, why } => {
                let repeated = attempt + 1;
                self.say(&format!(
                    "task {task}: attempt {attempt} failed and is repeated ({repeated} of at most \
                     {RETRIES}): {why}"
                ));
                if let Some(task) = self.tasks.get_mut(task) {
                    // Only what it has proved is not read again.
                    task.before.add(&task.proved);
                    (task.proved, task.progress) = (Progress::default(), Progress::default());
                }
            }
            Event::Done { task } => self.end(*task, "done"),
            Event::Stopped { task } => self.end(*task, "stopped"),
            Event::Failed { task, .. } => self.end(*task, "failed"),
        }
    }

    /// Shows how far the run has come, if no event does.
    pub(crate) fn tick(&mut self) {
        match &self.bars {
            Some(bars) => bars.total.tick(),
            None => self.line(),
        }
    }

    /// Clears the bars away.
    pub(crate) fn finish(&mut self) {
        if let Some(bars) = self.bars.take() {
            // What is left of them would stand between the run and its summary.
            let _ = bars.all.clear();
        } else {
            self.line();
        }
    }

    fn advance(&mut self, progress: Progress) {
        if progress.generation > self.generation {
            self.generation = progress.generation;
            // What was read at an older snapshot is read again.
            for task in self.tasks.values_mut() {
                (task.before, task.proved, task.progress) = Default::default();
            }
        }
        let Some(task) = self.tasks.get_mut(&progress.task) else { return };
        if progress.generation < self.generation {
            return;
        }
        if progress.units_done > task.progress.units_done {
            task.proved = progress;
        }
        task.progress = progress;
        let so_far = task.so_far();
        if let Some(bar) = &task.bar {
            bar.set_position(so_far.units_done);
            bar.set_message(format!("{}, {}", count(so_far.rows, "row"), size(so_far.bytes)));
        }
        let all = self.so_far();
        if let Some(bars) = &self.bars {
            // An estimate that was too low must not stop the bar at its end.
            bars.total.set_length(self.expected.max(all.rows).max(1));
            bars.total.set_position(all.rows);
            bars.total.set_message(format!("{}, {}", count(all.rows, "row"), size(all.bytes)));
        }
    }

    fn end(&mut self, index: u32, word: &str) {
        let Some(task) = self.tasks.get_mut(&index) else { return };
        task.ended = true;
        let so_far = task.so_far();
        if let Some(bar) = &task.bar {
            let rows = count(so_far.rows, "row");
            bar.abandon_with_message(format!("{rows}, {}, {word}", size(so_far.bytes)));
        }
    }

    fn line(&mut self) {
        let all = self.so_far();
        let ended = self.tasks.values().filter(|task| task.ended).count();
        let line = format!(
            "{} of {}, {} of about {}, {}, {ended} of {} ended",
            thousands(all.units_done),
            count(self.units, "unit"),
            thousands(all.rows),
            // An estimate may be too low.
            count(self.expected.max(all.rows), "row"),
            size(all.bytes),
            count(self.tasks.len() as u64, "task")
        );
        if self.said.as_ref() != Some(&line) {
            say(&format!("{line}, {}", duration(self.started.elapsed().as_secs_f64())));
            self.said = Some(line);
        }
    }

    fn say(&self, text: &str) {
        match &self.bars {
            Some(bars) => {
                // There is no place left to report that the terminal is gone.
                let _ = bars.all.println(text);
            }
            None => say(text),
        }
    }

    fn so_far(&self) -> Progress {
        let mut all = Progress::default();
        for task in self.tasks.values() {
            all.add(&task.so_far());
        }
        all
    }
}

impl Task {
    fn so_far(&self) -> Progress {
        let mut so_far = self.before;
        so_far.add(&self.progress);
        // A unit may be read by two attempts of the task.
        so_far.units_done = so_far.units_done.min(self.units);
        so_far
    }
}

/// Does some work, and shows on standard error what it does if it takes longer than a moment.
pub(crate) async fn shown<T>(doing: impl Fn() -> String, work: impl Future<Output = T>) -> T {
    let bar = std::io::stderr().is_terminal().then(ProgressBar::new_spinner);
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + TICK, TICK);
    let mut said = String::new();
    let mut work = std::pin::pin!(work);
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            _ = ticks.tick() => {
                let doing = doing();
                match &bar {
                    Some(bar) => bar.set_message(doing),
                    None if doing != said => {
                        say(&doing);
                        said = doing;
                    }
                    None => {}
                }
            }
        }
    };
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    done
}

/// Says something on standard error.
pub(crate) fn say(text: &str) {
    // There is nowhere left to say that standard error is gone.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("█▉▊▋▌▍▎▏ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn display(tasks: &[(u32, u64)]) -> Display {
        let task =
            |(index, units): &(u32, u64)| (*index, Task { units: *units, ..Task::default() });
        Display {
            started: Instant::now(),
            expected: 100,
            units: tasks.iter().map(|(_, units)| units).sum(),
            generation: 0,
            tasks: tasks.iter().map(task).collect(),
            bars: None,
            said: None,
        }
    }

    fn read(task: u32, generation: u32, units_done: u64) -> Event {
        let rows = 10 * units_done;
        Event::Progress(Progress { task, rows, bytes: 0, units_done, generation })
    }

    /// A run of which all tasks lost the snapshot, several times, reads its units again.
    #[test]
    fn what_is_read_again_is_not_counted_twice() {
        let mut display = display(&[(0, 2), (1, 1)]);
        let retried = || Event::Retried { task: 0, attempt: 0, why: "signal 9".to_owned() };
        let done = |display: &Display| (display.so_far().units_done, display.so_far().rows);
        for event in [read(0, 0, 2), read(1, 0, 1)] {
            display.show(&event);
        }
        assert_eq!(done(&display), (3, 30));
        display.show(&read(0, 1, 1));
        assert_eq!(done(&display), (1, 10), "the units of both tasks are read again");
        display.show(&read(1, 0, 1));
        assert_eq!(done(&display), (1, 10), "the other task has not begun again yet");
        display.show(&read(1, 1, 1));
        assert_eq!(done(&display), (2, 20));
        display.show(&retried());
        assert_eq!(done(&display), (2, 20), "what was proved is not read again");
        display.show(&read(0, 1, 1));
        display.show(&retried());
        display.show(&read(0, 1, 1));
        assert_eq!(done(&display).0, 3, "more units than there are");
        display.show(&read(0, 2, 0));
        assert_eq!(done(&display), (0, 0));
    }
}
