//! From a target's URL to its sink.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use sluice_contracts::job::{Job, Selection};
use sluice_contracts::manifest::Manifest;
use sluice_contracts::{Error, Result};
use sluice_loader::Sink;
use sluice_runtime::features::unknown_scheme;
use sluice_runtime::storage::{check_bucket, folder};

use crate::warehouse::Warehouse;

/// A kind of warehouse.
struct SinkKind {
    /// How the URLs of its tables begin, before `://`.
    scheme: &'static str,
    /// Opens it. Nothing is asked of it yet.
    open: fn() -> BoxFuture<'static, Result<Arc<dyn Sink>>>,
    /// Reads the URL of a table, whose parts would lie in a bucket.
    check: fn(&str, &str) -> Result<()>,
}

/// Every kind of warehouse.
const SINKS: &[SinkKind] = &[
    SinkKind {
        scheme: "file",
        open: || async { Ok(Arc::new(Warehouse) as Arc<dyn Sink>) }.boxed(),
        check: |table, _| folder(table).map(drop),
    },
    #[cfg(feature = "google")]
    bigquery::SINK,
];

#[cfg(feature = "google")]
mod bigquery {
    use std::sync::Arc;

    use futures::FutureExt as _;
    use sluice_contracts::Error;
    use sluice_loader::Sink;
    use sluice_loader::sink::bigquery::BigQuerySink;
    use sluice_runtime::google::Endpoints;
    use sluice_runtime::google::bigquery::{BigQuery, TableId};

    use super::SinkKind;

    pub(super) const SINK: SinkKind = SinkKind {
        scheme: TableId::SCHEME,
        open: || {
            async {
                let bigquery = BigQuery::new(&Endpoints::from_env()?.bigquery()).await?;
                Ok(Arc::new(BigQuerySink::new(bigquery)) as Arc<dyn Sink>)
            }
            .boxed()
        },
        check: |table, bucket| {
            TableId::parse(table)?;
            if bucket.starts_with("gs://") {
                return Ok(());
            }
            Err(Error::invalid(format!("load `{table}` from bucket `{bucket}`"))
                .hint("BigQuery loads from Cloud Storage alone: write `bucket: gs://...`"))
        },
    };
}

/// Checks that there are targets of this URL's kind.
pub(crate) fn check_target(target: &str) -> Result<()> {
    kind(target).map(drop)
}

/// Checks that the URL names a dataset, which tables can be added to.
pub(crate) fn check_dataset(target: &str) -> Result<()> {
    // Every kind of target can be loaded from this bucket.
    (kind(target)?.check)(&format!("{target}/table"), "gs://bucket")
}

/// Checks, without opening them, that the bucket and the target of a job can be opened and go
/// together.
pub(crate) fn check_places(job: &Job) -> Result<()> {
    check_bucket(&job.bucket)?;
    let target = job.selection.target();
    let kind = kind(target)?;
    match &job.selection {
        Selection::One(_) => (kind.check)(target, &job.bucket),
        // Of a dataset the names of its tables are made later, and of allowed characters.
        Selection::Many { .. } => {
            (kind.check)(&format!("{}/table", target.trim_end_matches('/')), &job.bucket)
        }
    }
}

/// The sinks of a run's targets, each opened once.
#[derive(Debug)]
pub(crate) struct OpenSinks(BTreeMap<&'static str, Arc<dyn Sink>>);

impl OpenSinks {
    /// Opens those that the tables of a run need.
    pub(crate) async fn of(manifest: &Manifest) -> Result<Self> {
        let mut sinks = BTreeMap::new();
        for table in &manifest.tables {
            let kind = kind(&table.target)?;
            if !sinks.contains_key(kind.scheme) {
                sinks.insert(kind.scheme, (kind.open)().await?);
            }
        }
        Ok(Self(sinks))
    }

    /// The sink that a target's URL names.
    pub(crate) fn sink(&self, target: &str) -> Result<Arc<dyn Sink>> {
        let opened = self.0.get(kind(target)?.scheme);
        opened.map(Arc::clone).ok_or_else(|| Error::bug(format!("find the sink of `{target}`")))
    }
}

fn kind(target: &str) -> Result<&'static SinkKind> {
    let scheme = target.split_once("://").map_or("", |(scheme, _)| scheme);
    SINKS.iter().find(|known| known.scheme == scheme).ok_or_else(|| {
        let known: Vec<&str> = SINKS.iter().map(|known| known.scheme).collect();
        unknown_scheme("target", scheme, "writes", &known, "bigquery")
    })
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
