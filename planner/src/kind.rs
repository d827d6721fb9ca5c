//! What the kind of its tasks means for a plan.

use sluice_contracts::documents::{Manifest, TaskKind};
use sluice_contracts::ports::TaskTerms;

use crate::price;

/// Completes a plan whose deployment says what its tasks are: it costs what they cost.
pub(crate) fn of_deployment(manifest: &mut Manifest, terms: TaskTerms) {
    let price = price::dollars_per_second(&manifest.task_kind, terms.size);
    manifest.estimate = manifest.estimate.at_price(price);
    if manifest.task_kind.delay_execution {
        let hours = hours_of_delay();
        manifest.warnings.push(format!(
            "`delay_execution`: the tasks start within {hours} hours, and read the rows as they are \
             at that time"
        ));
    }
}

/// Completes a plan that is made without a deployment: on Cloud Run the job has other tasks than
/// those here, at another price.
pub(crate) fn without_deployment(manifest: &mut Manifest) {
    let kind = &manifest.task_kind;
    if kind.is_default() {
        return;
    }
    let size = kind.task_size.as_ref().map(|size| format!(" of size `{size}`")).unwrap_or_default();
    let delay = if kind.delay_execution {
        format!(", which start within {} hours for 30 % less", hours_of_delay())
    } else {
        String::new()
    };
    manifest.warnings.push(format!(
        "`cloud_run`: on Cloud Run the job has tasks{size}{delay}; the cost here is that of tasks of 1 \
         vCPU and 2 GiB"
    ));
}

fn hours_of_delay() -> u64 {
    TaskKind::LONGEST_DELAY.as_secs() / 3600
}
