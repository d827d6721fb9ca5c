//! The targets that a job names.

use sluice_contracts::Result;
use sluice_contracts::documents::Manifest;
use sluice_contracts::job::{Job, Selection};
use sluice_runtime::storage::check_bucket;
use sluice_targets::{TARGETS, Targets, kind_of};

/// Checks that there are targets of this URL's kind.
pub(crate) fn check_target(target: &str) -> Result<()> {
    kind_of(TARGETS, target).map(drop)
}

/// Checks that the URL names a dataset, which tables can be added to.
pub(crate) fn check_dataset(target: &str) -> Result<()> {
    // Every kind of target can be loaded from this bucket.
    kind_of(TARGETS, target)?.check_url(&format!("{target}/table"), "gs://bucket")
}

/// Checks, without opening them, that the bucket and the target of a job can be opened and go
/// together.
pub(crate) fn check_places(job: &Job) -> Result<()> {
    check_bucket(&job.bucket)?;
    let target = job.selection.target();
    let kind = kind_of(TARGETS, target)?;
    kind.check_disposition(job.selection.disposition())?;
    match &job.selection {
        Selection::One(_) => kind.check_url(target, &job.bucket),
        // The names of a dataset's tables are made later, from allowed characters.
        Selection::Many { .. } => {
            kind.check_url(&format!("{}/table", target.trim_end_matches('/')), &job.bucket)
        }
    }
}

/// Opens the target that a table, or a dataset of tables, has this URL in.
pub(crate) async fn open_targets(target: &str) -> Result<Targets> {
    Targets::open_for(TARGETS, &[target]).await
}

/// Opens the targets that the tables of a run need.
pub(crate) async fn open_targets_of(manifest: &Manifest) -> Result<Targets> {
    let urls: Vec<&str> = manifest.tables.iter().map(|table| table.target.as_str()).collect();
    Targets::open_for(TARGETS, &urls).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(bucket: &str, target: &serde_json::Value) -> String {
        let mut job = json!({
            "name": "shop", "source": {"url": "${SOURCE_URL}"}, "target": target, "bucket": bucket
        });
        if target.get("table").is_some() {
            job["source"]["table"] = "orders".into();
        } else {
            job["tables"] = json!([{"table": "shop.*"}]);
        }
        let job = Job::from_value("job", job, &[]).unwrap();
        match check_places(&job) {
            Ok(()) => "fine".to_owned(),
            Err(error) => format!("{}\n{}", error.chain(), error.remedy().unwrap_or_default()),
        }
    }

    #[test]
    fn each_target_goes_with_the_buckets_that_it_can_be_loaded_from() {
        let (folder, cloud) = ("file:///data/bucket", "gs://lake/sluice");
        let (file, table) = ("file:///data/warehouse/orders", "bigquery://shop/sales/orders");
        assert_eq!(check(folder, &json!({"table": file})), "fine");
        if cfg!(not(feature = "google")) {
            let said = check(folder, &json!({"table": table}));
            assert!(said.contains("--features google"), "{said}");
            return;
        }
        assert_eq!(check(cloud, &json!({"table": file})), "fine");
        assert_eq!(check(cloud, &json!({"table": table})), "fine");
        assert_eq!(check(cloud, &json!({"dataset": "bigquery://shop/sales"})), "fine");
        assert_eq!(check(cloud, &json!({"dataset": "bigquery://shop/sales/"})), "fine");
        let said = check(folder, &json!({"table": table}));
        assert!(said.contains("`bucket: gs://...`"), "{said}");
    }

    #[test]
    fn a_disposition_that_no_target_of_the_kind_takes_is_refused() {
        let folder = "file:///data/bucket";
        for disposition in ["merge", "replace_partitions"] {
            let mut target = json!({"dataset": "file:///w/shop", "write_disposition": disposition});
            if disposition == "merge" {
                target["key"] = json!(["id"]);
            }
            let said = check(folder, &target);
            let expected = format!("does not take `write_disposition: {disposition}`");
            assert!(said.contains(&expected), "{said}");
        }
    }

    #[test]
    fn a_target_that_cannot_be_is_told_from_one_that_is() {
        let folder = "file:///data/bucket";
        let said = check(folder, &json!({"table": "file://relative"}));
        assert!(said.contains("names no folder"), "{said}");
        let said = check(folder, &json!({"table": "snow://a/b"}));
        let known = if cfg!(feature = "google") { "`file://`, `bigquery://`" } else { "`file://`" };
        assert_eq!(said, format!("unknown target `snow://`\nthis build writes {known}"));
        if cfg!(feature = "google") {
            let said = check("gs://lake", &json!({"table": "bigquery://shop/sales"}));
            assert!(said.contains("bigquery://project/dataset/table"), "{said}");
            let said = check("gs://lake", &json!({"dataset": "bigquery://shop/sales/orders"}));
            assert!(said.contains("names no table"), "{said}");
        }
    }
}
