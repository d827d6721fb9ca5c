//! What the tasks of the deployment cost.

use sluice_contracts::documents::{Manifest, TaskKind};
use sluice_contracts::ports::TaskTerms;

use crate::kind::hours_of_delay;

/// US dollars for a second of a vCPU, and of a GiB of memory, of a task in a tier 1 region.
/// <https://cloud.google.com/run/pricing>
const DOLLARS_PER_CPU_SECOND: f64 = 0.000_018;
const DOLLARS_PER_GIB_SECOND: f64 = 0.000_002;
/// What a second of a delayed task costs, as a part of that.
const DELAYED: f64 = 0.7;
/// vCPUs and GiB of a task where the platform does not say them.
const USUAL_SIZE: (f64, f64) = (1.0, 2.0);

/// Completes a plan whose deployment says what its tasks are: it costs what they cost.
pub(super) fn of_deployment(manifest: &mut Manifest, terms: TaskTerms) {
    let price = dollars_per_second(&manifest.task_kind, terms.size);
    manifest.estimate = manifest.estimate.at_price(price);
    if manifest.task_kind.delay_execution {
        let hours = hours_of_delay();
        manifest.warnings.push(format!(
            "`delay_execution`: the tasks start within {hours} hours, and read the rows as they are \
             at that time"
        ));
    }
}

/// US dollars for a second of a task of a kind, whose vCPUs and GiB are `size`.
fn dollars_per_second(kind: &TaskKind, size: Option<(f64, f64)>) -> f64 {
    let (cpus, gib) = size.unwrap_or(USUAL_SIZE);
    let dollars = cpus * DOLLARS_PER_CPU_SECOND + gib * DOLLARS_PER_GIB_SECOND;
    if kind.delay_execution { dollars * DELAYED } else { dollars }
}
