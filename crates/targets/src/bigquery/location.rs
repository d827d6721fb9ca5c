//! Whether a dataset can be loaded from a bucket: BigQuery does not read across locations.
//!
//! A dataset in the multi-region `US` is loaded from any bucket. Any other is loaded from a bucket
//! in the same region, or in its own multi-region.
//! <https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet#limitations>

use sluice_runtime::google::bigquery::AccessTokens;
use std::time::Duration;

use serde::Deserialize;
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Error, Kind, Result};
use sluice_runtime::google::Endpoint;

/// How long Cloud Storage may take to answer.
const CALL: Duration = Duration::from_secs(30);

/// Regions whose names begin as those of the European Union and that lie outside of it.
const OUTSIDE: [&str; 2] = ["europe-west2", "europe-west6"];

/// Where a bucket lies.
/// <https://cloud.google.com/storage/docs/json_api/v1/buckets#resource>
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BucketPlace {
    /// `EU`, `EUROPE-WEST3`, `EUR4`, ...
    location: String,
    /// `region`, `dual-region` or `multi-region`.
    #[serde(default)]
    location_type: String,
    /// The two regions of a pair that a person has chosen.
    #[serde(default)]
    custom_placement_config: Option<Placement>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Placement {
    #[serde(default)]
    data_locations: Vec<String>,
}

/// Whether BigQuery loads from a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Loads,
    Refuses,
    /// The documentation does not say.
    Unknown,
}

/// The buckets of Cloud Storage.
#[derive(Debug, Clone)]
pub(super) struct Buckets {
    http: reqwest::Client,
    identity: AccessTokens,
    url: String,
}

impl Buckets {
    /// Those at `endpoint`. Makes no call yet.
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(CALL)
            .build()
            .doing(Kind::Denied, || "make a client of Cloud Storage")?;
        let identity = AccessTokens(endpoint.credentials()?);
        Ok(Self { http, identity, url: endpoint.url().to_owned() })
    }

    /// Refuses a bucket that a dataset in `location` cannot be loaded from. Returns a warning where
    /// that cannot be known.
    pub(super) async fn check(
        &self,
        bucket: &str,
        dataset: &str,
        location: &str,
    ) -> Result<Option<String>> {
        let place = match self.place(bucket).await? {
            Ok(place) => place,
            Err(status) => {
                return Ok(Some(format!(
                    "whether bucket `{bucket}` lies where BigQuery can load it into `{dataset}` \
                     (`{location}`) is not known: Cloud Storage answered {status}. The permission \
                     `storage.buckets.get`, which `roles/storage.legacyBucketReader` has, lets a \
                     plan compare the locations"
                )));
            }
        };
        match place.reach(location) {
            Reach::Loads => Ok(None),
            Reach::Unknown => Ok(Some(format!(
                "bucket `{bucket}` lies in `{}` and dataset `{dataset}` in `{location}`: it is not \
                 documented whether BigQuery loads from there",
                place.name()
            ))),
            Reach::Refuses => Err(Error::invalid(format!(
                "load into dataset `{dataset}` in `{location}` from bucket `{bucket}` in `{}`: \
                 BigQuery loads only from buckets in the dataset's own location",
                place.name()
            ))
            .hint(format!(
                "make a bucket in the location of the dataset (`gcloud storage buckets create \
                 gs://NAME --location={}`) and name it in the job's `bucket`, or a dataset in the \
                 location of the bucket",
                location.to_lowercase()
            ))),
        }
    }

    /// Where a bucket lies, or the status of the answer where Cloud Storage does not say.
    async fn place(&self, bucket: &str) -> Result<Result<BucketPlace, u16>> {
        let what = || format!("ask where bucket `{bucket}` lies");
        let fields = "location,locationType,customPlacementConfig";
        let url = format!("{}/storage/v1/b/{bucket}?fields={fields}", self.url);
        let token = self.identity.token().await?;
        let answer = self.http.get(url).bearer_auth(token).send().await;
        let answer = answer.map_err(reqwest::Error::without_url).doing(Kind::Transient, what)?;
        let status = answer.status();
        if status.is_server_error() || status.as_u16() == 429 {
            return Err(Error::transient(format!("{}: the answer is {status}", what())));
        }
        if !status.is_success() {
            return Ok(Err(status.as_u16()));
        }
        let place = answer.json().await.map_err(reqwest::Error::without_url);
        place.doing(Kind::Transient, what).map(Ok)
    }
}

impl BucketPlace {
    fn name(&self) -> String {
        match &self.custom_placement_config {
            Some(placement) if !placement.data_locations.is_empty() => {
                format!("{} ({})", self.location, placement.data_locations.join(" and "))
            }
            _ => self.location.clone(),
        }
        .to_lowercase()
    }

    /// Whether a dataset in `dataset` is loaded from it.
    fn reach(&self, dataset: &str) -> Reach {
        let dataset = dataset.to_lowercase();
        let bucket = self.location.to_lowercase();
        if dataset == "us" || dataset == bucket {
            return Reach::Loads;
        }
        let regions = self.regions();
        let kind = self.location_type.as_str();
        if dataset == "eu" {
            return match regions.as_slice() {
                [] => Reach::Refuses,
                regions if regions.iter().all(|region| is_of_the_union(region)) => Reach::Loads,
                regions if regions.iter().all(|region| region.starts_with("europe-")) => {
                    Reach::Unknown
                }
                _ => Reach::Refuses,
            };
        }
        match kind {
            // A region of another cloud has names of its own, and rules of its own.
            _ if dataset.starts_with("aws-") || dataset.starts_with("azure-") => Reach::Unknown,
            "dual-region" if regions.contains(&dataset) => Reach::Unknown,
            "region" | "dual-region" | "multi-region" => Reach::Refuses,
            _ => Reach::Unknown,
        }
    }

    /// The regions that its objects lie in, as far as they are known.
    fn regions(&self) -> Vec<String> {
        let bucket = self.location.to_lowercase();
        let predefined: &[&str] = match bucket.as_str() {
            "eur4" => &["europe-north1", "europe-west4"],
            "nam4" => &["us-central1", "us-east1"],
            "asia1" => &["asia-northeast1", "asia-northeast2"],
            _ => &[],
        };
        if !predefined.is_empty() {
            return predefined.iter().map(|region| (*region).to_owned()).collect();
        }
        match &self.custom_placement_config {
            Some(placement) => {
                placement.data_locations.iter().map(|region| region.to_lowercase()).collect()
            }
            None if bucket.contains('-') => vec![bucket],
            None => Vec::new(),
        }
    }
}

fn is_of_the_union(region: &str) -> bool {
    region.starts_with("europe-") && !OUTSIDE.contains(&region)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn reach(dataset: &str, bucket: Value) -> Reach {
        serde_json::from_value::<BucketPlace>(bucket).unwrap().reach(dataset)
    }

    #[test]
    fn a_bucket_is_compared_by_bigquerys_rules() {
        let region = |name: &str| json!({"location": name, "locationType": "region"});
        let multi = |name: &str| json!({"location": name, "locationType": "multi-region"});
        let pair = |one: &str, two: &str| {
            json!({"location": "EU", "locationType": "dual-region",
                "customPlacementConfig": {"dataLocations": [one, two]}})
        };
        let dual = |name: &str| json!({"location": name, "locationType": "dual-region"});
        for (dataset, bucket, expected) in [
            ("US", region("ASIA-EAST1"), Reach::Loads),
            ("US", multi("EU"), Reach::Loads),
            ("EU", multi("EU"), Reach::Loads),
            ("EU", region("EUROPE-WEST3"), Reach::Loads),
            ("EU", dual("EUR4"), Reach::Loads),
            ("EU", pair("EUROPE-WEST1", "EUROPE-WEST4"), Reach::Loads),
            ("EU", region("EUROPE-WEST2"), Reach::Unknown),
            ("EU", region("US-CENTRAL1"), Reach::Refuses),
            ("EU", multi("US"), Reach::Refuses),
            ("EU", dual("NAM4"), Reach::Refuses),
            ("europe-west3", region("EUROPE-WEST3"), Reach::Loads),
            ("europe-west3", region("EUROPE-WEST1"), Reach::Refuses),
            ("europe-west3", multi("EU"), Reach::Refuses),
            ("europe-west3", multi("US"), Reach::Refuses),
            ("europe-west4", dual("EUR4"), Reach::Unknown),
            ("us-central1", dual("EUR4"), Reach::Refuses),
            ("aws-us-east-1", multi("US"), Reach::Unknown),
        ] {
            assert_eq!(reach(dataset, bucket.clone()), expected, "{dataset} from {bucket}");
        }
    }
}
