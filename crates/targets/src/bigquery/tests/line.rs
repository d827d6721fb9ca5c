//! A loader's connection to the warehouse, and how its calls go wrong.

use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::super::BigQueryTarget;

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It fails, and nothing is done.
    FailBefore,
    /// It is done, and its answer is lost.
    FailAfter,
    /// The caller dies before it.
    DieBefore,
    /// The caller dies right after it.
    DieAfter,
}

pub(super) const FAULTS: [Fault; 4] =
    [Fault::FailBefore, Fault::FailAfter, Fault::DieBefore, Fault::DieAfter];

/// A loader's connection, of which one call may go wrong.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) target: BigQueryTarget,
    pub(super) state: Arc<Mutex<LineState>>,
    pub(super) died: Arc<Notify>,
}

#[derive(Debug, Default)]
pub(super) struct LineState {
    calls: usize,
    wrong: Option<(usize, Fault)>,
    /// The caller dies at the first call that ends while this table exists.
    fatal: Option<&'static str>,
    /// The dice that say how long a call takes, if calls take a time.
    dice: Option<u64>,
}

impl Line {
    /// Lets the call of this number go wrong, from 0, of those that come now.
    pub(super) fn goes_wrong(&self, wrong: Option<(usize, Fault)>) {
        let mut state = self.state.lock().unwrap();
        (state.calls, state.wrong) = (0, wrong);
    }

    /// Lets the caller die before it learns that this table was made, whichever of its calls that are
    /// under way at the same time makes it.
    pub(super) fn dies_once_made(&self, table: Option<&'static str>) {
        self.state.lock().unwrap().fatal = table;
    }

    /// Lets calls take a time that the seed chooses.
    pub(super) fn mixes(&self, seed: u64) {
        let dice = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        self.state.lock().unwrap().dice = Some(dice);
    }

    /// Calls since it was said what goes wrong.
    pub(super) fn calls(&self) -> usize {
        self.state.lock().unwrap().calls
    }

    /// Resolves when the loader has died.
    pub(super) async fn died(&self) {
        self.died.notified().await;
    }
}

impl LineState {
    /// The table that the caller dies of.
    pub(super) fn fatal(&self) -> Option<&'static str> {
        self.fatal
    }

    /// What becomes of the next call, and how many hundredths of a millisecond it takes.
    pub(super) fn next(&mut self) -> (Option<Fault>, u64) {
        let number = self.calls;
        self.calls += 1;
        let fault = self.wrong.filter(|(call, _)| *call == number).map(|(_, fault)| fault);
        let Some(dice) = &mut self.dice else { return (fault, 0) };
        *dice ^= *dice << 13;
        *dice ^= *dice >> 7;
        *dice ^= *dice << 17;
        (fault, *dice >> 58)
    }
}
