//! What the jobs of a load are named after.

use sluice_contracts::documents::RunId;

use crate::target::{Load, Visibility};

/// The run, table and generation that a step belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner<'a> {
    pub(super) run: RunId,
    pub(super) table: u32,
    pub(super) generation: u32,
    /// How the tables of the run become visible.
    pub(super) visibility: Visibility,
    /// What a job is started with: one load, or all that it makes visible; none for a caller that
    /// only checks.
    pub(super) loads: &'a [Load],
}

impl<'a> Owner<'a> {
    /// The name of the job that readers see the effect of, without its number.
    pub(super) fn stem(&self) -> String {
        match self.visibility {
            Visibility::AtOnce => format!("sluice_{}_all", self.run),
            Visibility::Each | Visibility::InTurn => {
                format!("sluice_{}_{}", self.run, self.table)
            }
        }
    }

    pub(super) fn of(load: &'a Load) -> Self {
        Self {
            run: load.run,
            table: load.table,
            generation: load.snapshot,
            visibility: load.visibility,
            loads: std::slice::from_ref(load),
        }
    }
}
