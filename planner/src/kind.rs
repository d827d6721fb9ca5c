//! What the kind of its tasks means for a plan.

use sluice_contracts::documents::{Manifest, TaskKind};

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

/// Hours that Cloud Run may wait before it starts delayed tasks.
pub(crate) fn hours_of_delay() -> u64 {
    TaskKind::LONGEST_DELAY.as_secs() / 3600
}
