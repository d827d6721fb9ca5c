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
    /// The generation of the snapshot that all of this was read at.
    generation: Option<u32>,
    /// Rows and units that were read, including what has to be read again.
    ever: (u64, u64),
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
            generation: None,
            ever: (0, 0),
            said: Instant::now(),
        }
    }

    /// Counts rows and bytes that were read.
    pub(crate) fn read(&mut self, rows: u64, bytes: u64) {
        self.rows += rows;
        self.ever.0 += rows;
        self.bytes += bytes;
        if self.said.elapsed() >= Self::EVERY {
            self.say();
        }
    }

    /// Counts a unit that is done.
    pub(crate) fn unit_done(&mut self) {
        self.units_done += 1;
        self.ever.1 += 1;
        self.proved = (self.rows, self.bytes);
        self.say();
    }

    /// Units that were done, including those that have to be read again.
    pub(crate) fn units_ever(&self) -> u64 {
        self.ever.1
    }

    /// Rows that were read, including those that have to be read again.
    pub(crate) fn rows_ever(&self) -> u64 {
        self.ever.0
    }

    /// Begins with the snapshot of a generation. What was read at another one is read again.
    pub(crate) fn reads_at(&mut self, generation: u32) {
        if self.generation.replace(generation) != Some(generation) {
            (self.rows, self.bytes, self.units_done, self.proved) = (0, 0, 0, (0, 0));
            self.say();
        }
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
            generation = self.generation.unwrap_or_default(),
            rows = self.rows,
            bytes = self.bytes,
            units_done = self.units_done,
            "extracting"
        );
    }
}
