//! `sluice validate`: what can be known of a job without looking at its source.

use serde_json::json;
use sluice_contracts::Result;
use sluice_runtime::storage::{check_bucket, folder};

use super::job::{open_sink, read_job};
use crate::answer::Answer;
use crate::arguments::Validate;

pub(crate) fn validate(options: &Validate) -> Result<Answer> {
    let job = read_job(&options.job)?;
    check_bucket(&job.bucket)?;
    let mut text = format!("job `{}` is well-formed\n", job.name);
    let mut tables = Vec::with_capacity(job.tables.len());
    for table in &job.tables {
        open_sink(&table.target)?;
        folder(&table.target)?;
        let relation = table.relation.to_string();
        text.push_str(&format!(
            "  {relation} -> {} ({})\n",
            table.target,
            table.write_disposition.name()
        ));
        tables.push(json!({
            "table": relation,
            "target": table.target,
            "write_disposition": table.write_disposition,
            "strategy": table.partitioning.strategy.as_deref().unwrap_or("auto"),
        }));
    }
    let document = json!({ "valid": true, "job": job.name, "bucket": job.bucket, "tables": tables });
    Answer::new(&document, text)
}
