//! A source whose URL names the table.

use super::SourceFile;

/// The scheme of URLs that may name a table after the dataset.
const SCHEME: &str = "bigquery://";

impl SourceFile {
    /// Takes the table out of a URL that names one: `bigquery://project/dataset/table` means the
    /// table `table` of the source `bigquery://project/dataset`. A URL beside a table or a query is
    /// left as it is, and refused by the source.
    pub(super) fn take_table_of_url(&mut self) {
        if self.table.is_some() || self.query.is_some() {
            return;
        }
        let Some(rest) = self.url.as_deref().and_then(|url| url.strip_prefix(SCHEME)) else {
            return;
        };
        let (path, parameters) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
        let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        if let [project, dataset, table] = parts.as_slice()
            && !table.is_empty()
        {
            let url = format!("{SCHEME}{project}/{dataset}{parameters}");
            self.table = Some((*table).to_owned());
            self.url = Some(url);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_taken_out_of_a_url_that_names_one() {
        let taken = |url: &str| {
            let mut source = SourceFile { url: Some(url.to_owned()), ..SourceFile::default() };
            source.take_table_of_url();
            (source.url.unwrap_or_default(), source.table)
        };
        let table = Some("orders".to_owned());
        assert_eq!(taken("bigquery://shop/sales/orders"), ("bigquery://shop/sales".into(), table));
        let events = Some("events_2026*".to_owned());
        let of_another = "bigquery://shop/sales?billing_project=ours";
        let typed = "bigquery://shop/sales/events_2026*/?billing_project=ours";
        assert_eq!(taken(typed), (of_another.into(), events));
        for without in ["bigquery://shop/sales", "bigquery://shop/sales/", "sqlite:///a/b/c"] {
            assert_eq!(taken(without), (without.into(), None));
        }
    }

    #[test]
    fn a_table_that_is_named_beside_the_url_stays() {
        let url = Some("bigquery://shop/sales/orders".to_owned());
        let table = Some("lines".to_owned());
        let mut source = SourceFile { url: url.clone(), table, ..SourceFile::default() };
        source.take_table_of_url();
        assert_eq!(source.url, url);
    }
}
