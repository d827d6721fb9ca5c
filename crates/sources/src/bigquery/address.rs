//! The project and the dataset that a source's URL names.

use sluice_contracts::job::nearest_hint;
use sluice_contracts::{Error, Result};
use sluice_runtime::google::bigquery::check_dataset;

use super::BILLING_PROJECT;

/// What a URL names: `bigquery://project/dataset`, or `bigquery://project` for all datasets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// For messages: the URL without its parameters.
    pub(super) label: String,
    /// The project that owns the datasets.
    pub(super) project: String,
    /// The dataset; `None` for all of the project.
    pub(super) dataset: Option<String>,
    /// The project that pays for what planning and reading ask of BigQuery.
    pub(super) billing: String,
}

impl Address {
    /// The address of a URL.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let url = url.split('#').next().unwrap_or_default();
        let (label, query) = url.split_once('?').unwrap_or((url, ""));
        let refused = |reason: String| {
            Error::invalid(format!("read `source.url`: {reason}"))
                .hint("write `bigquery://project/dataset`, and the table as `source.table`")
        };
        let path = label.strip_prefix("bigquery://").unwrap_or_default();
        let (project, dataset) = match *path.trim_end_matches('/').split('/').collect::<Vec<_>>() {
            [project] => (project, None),
            [project, dataset] => (project, Some(dataset)),
            [_, _, _] => {
                return Err(refused("it names a table besides the dataset".to_owned()));
            }
            _ => return Err(refused("it names more than a dataset".to_owned())),
        };
        check_dataset(project, dataset.unwrap_or("all"))
            .map_err(|why| refused(format!("its {why}")))?;
        let billing = billing_project(query)?.unwrap_or(project);
        check_dataset(billing, "all")
            .map_err(|_| refused(format!("`{BILLING_PROJECT}` is not the name of a project")))?;
        Ok(Self {
            label: label.trim_end_matches('/').to_owned(),
            project: project.to_owned(),
            dataset: dataset.map(str::to_owned),
            billing: billing.to_owned(),
        })
    }
}

/// The project that the parameters name.
fn billing_project(query: &str) -> Result<Option<&str>> {
    let mut project = None;
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if name != BILLING_PROJECT {
            let error = Error::invalid(format!("read `source.url`: unknown parameter `{name}`"));
            return Err(error.hint(nearest_hint(name, &[BILLING_PROJECT.to_owned()])));
        }
        project = Some(value);
    }
    Ok(project)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_project_and_perhaps_a_dataset() {
        let address = Address::parse("bigquery://shop-prod/sales/").unwrap();
        assert_eq!(address.label, "bigquery://shop-prod/sales");
        assert_eq!(
            (address.project.as_str(), address.billing.as_str()),
            ("shop-prod", "shop-prod")
        );
        assert_eq!(address.dataset.as_deref(), Some("sales"));
        let url = "bigquery://bigquery-public-data?billing_project=shop-prod";
        let address = Address::parse(url).unwrap();
        assert_eq!((address.dataset, address.billing.as_str()), (None, "shop-prod"));
    }

    #[test]
    fn what_is_no_dataset_is_refused() {
        for (url, why) in [
            ("bigquery://", "its project is not made of"),
            ("bigquery://Shop/sales", "its project is not made of"),
            ("bigquery://shop/sa-les", "its dataset is not made of"),
            ("bigquery://shop/sales/orders", "it names a table besides the dataset"),
            ("bigquery://shop/sales/orders/x", "it names more than a dataset"),
            ("bigquery://shop/sales?biling_project=x", "unknown parameter `biling_project`"),
            ("bigquery://shop/sales?billing_project=", "`billing_project` is not the name"),
        ] {
            let error = Address::parse(url).unwrap_err().to_string();
            assert!(error.contains(why), "{url}: {error}");
        }
    }
}
