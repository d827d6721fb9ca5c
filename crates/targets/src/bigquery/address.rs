//! The table that a target's URL names.

use std::fmt;

use gcp_bigquery_client::model::table_reference::TableReference;
use sluice_contracts::{Error, Result};

/// A table of BigQuery: `bigquery://project/dataset/table`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableId {
    /// The project that owns the table and pays for jobs on it.
    pub project: String,
    /// The dataset.
    pub dataset: String,
    /// The table's name in the dataset.
    pub table: String,
}

impl TableId {
    /// The scheme of such URLs.
    pub(super) const SCHEME: &str = "bigquery";

    /// The table that `url` names.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Err(Error::invalid(format!("read target `{url}`: {what}"))
                .hint("write `bigquery://project/dataset/table`"))
        };
        let Some(path) = url.strip_prefix("bigquery://") else {
            return wrong("it is not a table of BigQuery");
        };
        let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        let [project, dataset, table] = parts.as_slice() else {
            return wrong("it names no table");
        };
        if project.is_empty() || !project.chars().all(is_of_project) {
            return wrong("its project is not made of lowercase letters, digits and `-`");
        }
        if dataset.is_empty() || !dataset.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return wrong("its dataset is not made of letters, digits and `_`");
        }
        if table.is_empty() || !table.chars().all(is_of_table) {
            return wrong("its table is not made of letters, digits, `_`, `-` and spaces");
        }
        Ok(Self {
            project: (*project).to_owned(),
            dataset: (*dataset).to_owned(),
            table: (*table).to_owned(),
        })
    }

    /// Another table of the same dataset.
    #[must_use]
    pub(super) fn beside(&self, table: impl Into<String>) -> Self {
        Self { table: table.into(), ..self.clone() }
    }

    /// The dataset as `bq` writes it.
    pub(super) fn dataset_name(&self) -> String {
        format!("{}:{}", self.project, self.dataset)
    }

    /// As the API writes it.
    pub(super) fn reference(&self) -> TableReference {
        TableReference::new(&self.project, &self.dataset, &self.table)
    }

    /// As SQL writes it.
    pub(super) fn quoted(&self) -> String {
        // No part can hold a backtick.
        format!("`{}`.`{}`.`{}`", self.project, self.dataset, self.table)
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.project, self.dataset, self.table)
    }
}

/// Old projects belong to a domain: `example.com:shop`.
/// <https://cloud.google.com/resource-manager/docs/creating-managing-projects>
fn is_of_project(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | ':')
}

/// Not `$`, which would name a partition.
/// <https://cloud.google.com/bigquery/docs/tables#table_naming>
fn is_of_table(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_project_a_dataset_and_a_table() {
        let table = TableId::parse("bigquery://shop-prod/sales/orders").unwrap();
        assert_eq!(table.to_string(), "shop-prod.sales.orders");
        assert_eq!(table.quoted(), "`shop-prod`.`sales`.`orders`");
        assert_eq!(table.dataset_name(), "shop-prod:sales");
        assert_eq!(TableId::parse("bigquery://example.com:shop/s/o/").unwrap().table, "o");
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for (url, why) in [
            ("file:///warehouse/sales/orders", "it is not a table of BigQuery"),
            ("bigquery://shop/sales", "it names no table"),
            ("bigquery://shop/sales/orders/more", "it names no table"),
            ("bigquery:///sales/orders", "its project is not made of"),
            ("bigquery://shop/sa-les/orders", "its dataset is not made of"),
            ("bigquery://shop/sales/orders$20260101", "its table is not made of"),
            ("bigquery://shop/sales/or`ders", "its table is not made of"),
        ] {
            let error = TableId::parse(url).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
