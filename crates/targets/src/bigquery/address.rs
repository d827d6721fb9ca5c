//! The table that a target's URL names.

use sluice_contracts::{Error, Result};
use sluice_runtime::google::bigquery::TableId;

/// The scheme of the URLs of tables.
pub(super) const SCHEME: &str = "bigquery";

/// The table that a target's URL names: `bigquery://project/dataset/table`. Its project pays for jobs
/// on it.
pub(super) fn parse(url: &str) -> Result<TableId> {
    let wrong = |what: String| {
        Err(Error::invalid(format!("read target `{url}`: {what}"))
            .hint("write `bigquery://project/dataset/table`"))
    };
    let Some(path) = url.strip_prefix("bigquery://") else {
        return wrong("it is not a table of BigQuery".to_owned());
    };
    let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let [project, dataset, table] = parts.as_slice() else {
        return wrong("it names no table".to_owned());
    };
    TableId::new(project, dataset, table).or_else(|why| wrong(format!("its {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_project_a_dataset_and_a_table() {
        let table = parse("bigquery://shop-prod/sales/orders").unwrap();
        assert_eq!(table.to_string(), "shop-prod.sales.orders");
        assert_eq!(table.quoted(), "`shop-prod`.`sales`.`orders`");
        assert_eq!(table.dataset_name(), "shop-prod:sales");
        assert_eq!(parse("bigquery://example.com:shop/s/o/").unwrap().table, "o");
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
            let error = parse(url).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
