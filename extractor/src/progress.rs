//! How far a task has come, for readers of its log.

use std::time::Duration;

use tokio::time::Instant;

/// Logs, at most once in a while, how far the task has come.
pub(crate) struct Progress {
    task: u32,
    rows: u64,
    bytes: u64,
    units_done: u64,
    /// Rows and bytes of the units that are done.
    proved: (u64, u64),
    /// Rows that were read, including those of units that failed.
    ever: u64,
    said: Instant,
}

impl Progress {
    const EVERY: Duration = Duration::from_millis(500);

    pub(crate) fn new(task: u32) -> Self {
        Self {
            task,
            rows: 0,
            bytes: 0,
            units_done: 0,
            proved: (0, 0),
            ever: 0,
            said: Instant::now(),
        }
    }

    /// Counts rows and bytes that were read.
    pub(crate) fn read(&mut self, rows: u64, bytes: u64) {
        self.rows += rows;
        self.ever += rows;
        self.bytes += bytes;
        if self.said.elapsed() >= Self::EVERY {
            self.say();
        }
    }

    /// Counts a unit that is done.
    pub(crate) fn unit_done(&mut self) {
        self.units_done += 1;
        self.proved = (self.rows, self.bytes);
        self.say();
    }

    /// Units that are done.
    pub(crate) fn units_done(&self) -> u64 {
        self.units_done
    }

    /// Rows that were read, including those of units that failed.
    pub(crate) fn rows_ever(&self) -> u64 {
        self.ever
    }

    /// Takes back what was counted of a unit that is not done.
    pub(crate) fn take_back(&mut self) {
        (self.rows, self.bytes) = self.proved;
    }

    fn say(&mut self) {
        self.said = Instant::now();
        tracing::info!(
            progress = true,
            task = self.task,
            rows = self.rows,
            bytes = self.bytes,
            units_done = self.units_done,
            "extracting"
        );
    }
}
