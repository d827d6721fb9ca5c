//! Which tables a job moves.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::TableName;
use super::{TableJob, WriteDisposition};
use crate::error::{Error, Result};

/// Which tables a job moves.
#[derive(Debug, Clone)]
pub enum Selection {
    /// One table. Boxed, because the other variant is small.
    One(Box<TableJob>),
    /// All tables that the entries match, once the source has listed its tables.
    Many {
        /// The job's entries, in its order.
        entries: Vec<Entry>,
        /// URL of the dataset that the target tables belong to.
        dataset: String,
        /// What happens to the rows that the targets already have.
        write_disposition: WriteDisposition,
    },
}

/// One entry of a job's `tables`.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Name or pattern.
    pub(super) pattern: TableName,
    /// Names and patterns of tables that it leaves out.
    pub(super) exclude: Vec<TableName>,
    /// Settings for each table. Its relation and target are yet to be filled in.
    pub(super) settings: TableJob,
    /// Name in the dataset, if it differs from the source's.
    pub(super) name: Option<String>,
}

impl Entry {
    /// Its name or pattern.
    pub fn pattern(&self) -> &TableName {
        &self.pattern
    }

    /// The settings for each table that it matches; their relation and target are not filled in.
    pub fn settings(&self) -> &TableJob {
        &self.settings
    }
}

/// A table that the run leaves out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Excluded {
    /// The table.
    pub table: String,
    /// Why.
    pub reason: String,
}

impl Selection {
    /// The tables to move, of those that the source `has`, and those that are left out.
    ///
    /// # Errors
    /// `Invalid` if an entry matches no table, or if two tables would have the same target.
    pub fn resolve(&self, has: &[TableName]) -> Result<(Vec<TableJob>, Vec<Excluded>)> {
        match self {
            Self::One(table) => Ok((vec![TableJob::clone(table)], Vec::new())),
            Self::Many { entries, dataset, write_disposition } => {
                resolve(entries, dataset, *write_disposition, has)
            }
        }
    }

    /// URL of the target table, or of the dataset.
    pub fn target(&self) -> &str {
        match self {
            Self::One(table) => &table.target,
            Self::Many { dataset, .. } => dataset,
        }
    }

    /// Whether a pattern of the job would match this table, if it could be moved as such.
    pub fn means(&self, table: &TableName) -> bool {
        match self {
            Self::One(_) => false,
            Self::Many { entries, .. } => entries.iter().any(|entry| {
                entry.pattern.is_pattern()
                    && entry.pattern.matches(table)
                    && !entry.exclude.iter().any(|exclude| exclude.matches(table))
            }),
        }
    }
}

fn resolve(
    entries: &[Entry],
    dataset: &str,
    write_disposition: WriteDisposition,
    has: &[TableName],
) -> Result<(Vec<TableJob>, Vec<Excluded>)> {
    // The entry that a table takes its settings from, in the order in which tables are first
    // named.
    let mut order: Vec<TableName> = Vec::new();
    let mut chosen: HashMap<TableName, &Entry> = HashMap::new();
    let mut excluded: Vec<Excluded> = Vec::new();
    for entry in entries {
        let is_pattern = entry.pattern.is_pattern();
        let meant: Vec<TableName> = if is_pattern {
            has.iter().filter(|table| entry.pattern.matches(table)).cloned().collect()
        } else {
            vec![entry.pattern.clone()]
        };
        if meant.is_empty() {
            return Err(Error::invalid(format!(
                "find tables for `{}`: no table matches",
                entry.pattern
            ))
            .hint(
                "a pattern matches base tables, `*` any characters; views are named one by one",
            ));
        }
        for table in meant {
            if let Some(by) = entry.exclude.iter().find(|exclude| exclude.matches(&table)) {
                let reason = format!("the job excludes `{by}`");
                excluded.push(Excluded { table: table.to_string(), reason });
                continue;
            }
            let before = chosen.get(&table);
            if before.is_none() {
                order.push(table.clone());
            }
            if before.is_none_or(|before| before.pattern.is_pattern() || !is_pattern) {
                chosen.insert(table, entry);
            }
        }
    }
    excluded.retain(|out| !order.iter().any(|table| table.to_string() == out.table));
    let mut targets: HashMap<String, TableName> = HashMap::new();
    let mut tables = Vec::with_capacity(order.len());
    for table in order {
        let Some(entry) = chosen.get(&table) else { continue };
        let name = entry.name.clone().unwrap_or_else(|| table.target_name());
        if let Some(other) = targets.insert(name.to_lowercase(), table.clone()) {
            return Err(Error::invalid(format!(
                "name the targets: `{other}` and `{table}` would both become `{name}`"
            ))
            .hint(format!("add `- {{table: {table}, name: ...}}` to `tables`")));
        }
        tables.push(TableJob {
            relation: table.relation(),
            target: format!("{}/{name}", dataset.trim_end_matches('/')),
            write_disposition,
            ..entry.settings.clone()
        });
    }
    Ok((tables, excluded))
}

#[cfg(test)]
mod tests {
    use super::super::Job;
    use super::*;

    const JOB: &str = r#"
name: nightly
source: {url: "sqlite:///x"}
tables:
  - table: shop.*
    exclude: [shop.django_session, "shop.*_audit"]
  - table: shop.orders
    columns: {total: {type: NUMERIC}}
  - table: crm.view
    name: crm_view
target: {dataset: "file:///w/shop", write_disposition: append}
bucket: file:///b
"#;

    fn names(list: &[&str]) -> Vec<TableName> {
        list.iter().map(|name| TableName::parse(name).unwrap()).collect()
    }

    #[test]
    fn patterns_exclusions_and_overrides_are_resolved() {
        let job = Job::read("job", JOB, &[]).unwrap();
        let has = names(&[
            "shop.customers",
            "shop.django_session",
            "shop.orders",
            "shop.orders_audit",
            "crm.x",
        ]);
        let (tables, excluded) = job.selection.resolve(&has).unwrap();
        let moved: Vec<(String, String)> =
            tables.iter().map(|t| (t.relation.to_string(), t.target.clone())).collect();
        let moved: Vec<(&str, &str)> =
            moved.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(
            moved,
            [
                ("shop.customers", "file:///w/shop/customers"),
                ("shop.orders", "file:///w/shop/orders"),
                ("crm.view", "file:///w/shop/crm_view"),
            ]
        );
        assert!(tables[0].columns.is_empty());
        assert!(tables[1].columns.contains_key("total"));
        assert_eq!(tables[1].write_disposition, WriteDisposition::Append);
        let left: Vec<&str> = excluded.iter().map(|out| out.table.as_str()).collect();
        assert_eq!(left, ["shop.django_session", "shop.orders_audit"]);
    }

    #[test]
    fn a_pattern_that_means_nothing_and_targets_that_collide_are_refused() {
        let job = Job::read("job", JOB, &[]).unwrap();
        let error = job.selection.resolve(&names(&["public.x"])).unwrap_err();
        assert_eq!(error.to_string(), "find tables for `shop.*`: no table matches");
        let wide = JOB.replace("shop.*\n", "\"*.*\"\n");
        let job = Job::read("job", &wide, &[]).unwrap();
        let error = job.selection.resolve(&names(&["a.t", "b.t"])).unwrap_err();
        assert_eq!(error.to_string(), "name the targets: `a.t` and `b.t` would both become `t`");
    }
}
