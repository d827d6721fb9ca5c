//! The name of a table.

use std::fmt;

use gcp_bigquery_client::model::table_reference::TableReference;

/// A table of BigQuery.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableId {
    /// The project that owns the table.
    pub project: String,
    /// The dataset.
    pub dataset: String,
    /// The table's name in the dataset.
    pub table: String,
}

impl TableId {
    /// The table of these names.
    ///
    /// # Errors
    /// What is wrong with a name, after "its".
    pub fn new(project: &str, dataset: &str, table: &str) -> Result<Self, &'static str> {
        check_dataset(project, dataset)?;
        if table.is_empty() || !table.chars().all(is_of_table) {
            return Err("table is not made of letters, digits, `_`, `-` and spaces");
        }
        Ok(Self {
            project: project.to_owned(),
            dataset: dataset.to_owned(),
            table: table.to_owned(),
        })
    }

    /// Another table of the same dataset.
    #[must_use]
    pub fn beside(&self, table: impl Into<String>) -> Self {
        Self { table: table.into(), ..self.clone() }
    }

    /// The dataset as `bq` writes it.
    pub fn dataset_name(&self) -> String {
        format!("{}:{}", self.project, self.dataset)
    }

    /// As the API writes it.
    pub fn reference(&self) -> TableReference {
        TableReference::new(&self.project, &self.dataset, &self.table)
    }

    /// As SQL writes it.
    pub fn quoted(&self) -> String {
        // No part can hold a backtick.
        format!("`{}`.`{}`.`{}`", self.project, self.dataset, self.table)
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.project, self.dataset, self.table)
    }
}

/// Checks the names of a project and of a dataset.
///
/// # Errors
/// What is wrong with a name, after "its".
pub fn check_dataset(project: &str, dataset: &str) -> Result<(), &'static str> {
    if project.is_empty() || !project.chars().all(is_of_project) {
        return Err("project is not made of lowercase letters, digits and `-`");
    }
    if dataset.is_empty() || !dataset.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err("dataset is not made of letters, digits and `_`");
    }
    Ok(())
}

/// Old projects belong to a domain: `example.com:shop`.
/// <https://cloud.google.com/resource-manager/docs/creating-managing-projects>
fn is_of_project(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | ':')
}

/// Not `$` and `@`, which would name a partition or a moment.
/// <https://cloud.google.com/bigquery/docs/tables#table_naming>
fn is_of_table(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | ' ')
}
