//! `sluice validate`: what can be known of a job without looking at its source.

use serde_json::json;
use sluice_contracts::Result;
use sluice_contracts::job::{Selection, TableJob};

use super::job::read_job;
use super::target::check_places;
use crate::answer::Answer;
use crate::arguments::Validate;

pub(crate) fn validate(options: &Validate) -> Result<Answer> {
    let job = read_job(&options.job, options.bucket.as_deref())?;
    sluice_sources::check(&job.source)?;
    check_places(&job)?;
    let mut lines = vec![format!("job `{}` is well-formed", job.name)];
    let mut tables = Vec::new();
    let mut describe = |name: String, target: &str, table: &TableJob| {
        let disposition = table.write.disposition.name();
        lines.push(format!("  {name} -> {target} ({disposition})"));
        tables.push(json!({
            "table": name,
            "target": target,
            "write_disposition": table.write.disposition,
            "strategy": table.partitioning.strategy.as_deref().unwrap_or("auto"),
        }));
    };
    match &job.selection {
        Selection::One(table) => describe(table.relation.to_string(), &table.target, table),
        Selection::Many { entries, dataset, .. } => {
            for entry in entries {
                describe(entry.pattern().to_string(), dataset, entry.settings());
            }
        }
    }
    let document =
        json!({ "valid": true, "job": job.name, "bucket": job.bucket, "tables": tables });
    Answer::new(&document, lines.join("\n") + "\n")
}
