//! Which tables a job moves.

use std::collections::{HashMap, HashSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::TableName;
use super::target_name::TargetName;
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
    pub(super) name: Option<TargetName>,
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

/// What a job's selection means for the tables that a source has.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    /// The tables to move.
    pub tables: Vec<TableJob>,
    /// The tables that are left out.
    pub excluded: Vec<Excluded>,
    /// What the job asks for in vain.
    pub warnings: Vec<String>,
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
    /// `NotFound` if no table is left and a pattern matches none, `Invalid` if two tables would
    /// have the same target.
    pub fn resolve(&self, has: &[TableName]) -> Result<Resolved> {
        match self {
            Self::One(table) => {
                Ok(Resolved { tables: vec![TableJob::clone(table)], ..Resolved::default() })
            }
            Self::Many { entries, dataset } => resolve(entries, dataset, has),
        }
    }

    /// URL of the target table, or of the dataset.
    pub fn target(&self) -> &str {
        match self {
            Self::One(table) => &table.target,
            Self::Many { dataset, .. } => dataset,
        }
    }

    /// What the job does with the rows that its targets have.
    pub fn disposition(&self) -> WriteDisposition {
        match self {
            Self::One(table) => table.write.disposition,
            // Entries have no disposition of their own.
            Self::Many { entries, .. } => entries
                .first()
                .map_or_else(WriteDisposition::default, |entry| entry.settings.write.disposition),
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

fn resolve(entries: &[Entry], dataset: &str, has: &[TableName]) -> Result<Resolved> {
    // The entry that a table takes its settings from, in the order in which tables are first
    // named.
    let mut order: Vec<TableName> = Vec::new();
    let mut chosen: HashMap<TableName, &Entry> = HashMap::new();
    let mut excluded: Vec<Excluded> = Vec::new();
    let mut unmatched: Vec<String> = Vec::new();
    for entry in entries {
        let is_pattern = entry.pattern.is_pattern();
        let meant: Vec<TableName> = if is_pattern {
            has.iter().filter(|table| entry.pattern.matches(table)).cloned().collect()
        } else {
            vec![entry.pattern.clone()]
        };
        if meant.is_empty() {
            unmatched.push(format!("`{}`", entry.pattern));
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
    if order.is_empty() && !unmatched.is_empty() {
        let patterns = unmatched.join(", ");
        return Err(Error::not_found(format!("find tables for {patterns}: no table matches"))
            .hint(PATTERNS));
    }
    let warnings =
        unmatched.iter().map(|pattern| format!("no table matches {pattern}: {PATTERNS}"));
    let mut targets: HashMap<String, (String, Vec<&TableName>)> = HashMap::new();
    let mut tables = Vec::with_capacity(order.len());
    for table in &order {
        let Some(entry) = chosen.get(table) else { continue };
        let name =
            entry.name.as_ref().map_or_else(|| Ok(table.target_name()), |name| name.of(table))?;
        targets.entry(name.to_lowercase()).or_insert((name.clone(), Vec::new())).1.push(table);
        tables.push(TableJob {
            relation: table.relation(),
            target: format!("{}/{name}", dataset.trim_end_matches('/')),
            ..entry.settings.clone()
        });
    }
    let mut collisions: Vec<_> = targets.into_values().filter(|(_, same)| same.len() > 1).collect();
    if !collisions.is_empty() {
        // In the order of the job, not in that of a map.
        collisions
            .sort_by_key(|(_, same)| order.iter().position(|table| Some(&table) == same.first()));
        return Err(collide(&collisions));
    }
    Ok(Resolved { tables, excluded, warnings: warnings.collect() })
}

/// What a pattern matches.
const PATTERNS: &str =
    "a pattern matches base tables, `*` any characters; views are named one by one";
/// Most names that a message lists.
const LISTED: usize = 5;

/// The error for target tables that several tables would become, each with those tables.
fn collide(collisions: &[(String, Vec<&TableName>)]) -> Error {
    let mut said: Vec<String> = collisions
        .iter()
        .take(LISTED)
        .map(|(name, same)| {
            let mut listed: Vec<_> =
                same.iter().take(LISTED).map(|table| format!("`{table}`")).collect();
            if same.len() > LISTED {
                listed.push(format!("{} more", same.len() - LISTED));
            }
            let last = listed.pop().unwrap_or_default();
            let would = if same.len() == 2 { "would both" } else { "would all" };
            format!("{} and {last} {would} become `{name}`", listed.join(", "))
        })
        .collect();
    if collisions.len() > LISTED {
        said.push(format!("{} more names are taken twice", collisions.len() - LISTED));
    }
    let both = |table: &TableName| {
        let whole =
            TableName { schema: None, name: format!("{}_{}", table.schema.as_ref()?, table.name) };
        Some(whole.target_name().to_lowercase())
    };
    let parted = collisions.iter().all(|(_, same)| {
        let names: HashSet<_> = same.iter().filter_map(|table| both(table)).collect();
        names.len() == same.len()
    });
    let one = collisions.first().and_then(|(_, same)| same.last());
    let entry = one.map_or_else(String::new, |table| {
        format!("add `- {{table: {}, name: ...}}` to `tables`", table.quoted())
    });
    let hint = if parted {
        format!("write `name: \"{{schema}}_{{table}}\"` in the entries of `tables`, or {entry}")
    } else {
        entry
    };
    Error::invalid(format!("name the targets: {}", said.join("; "))).hint(hint)
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
        let Resolved { tables, excluded, .. } = job.selection.resolve(&has).unwrap();
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
        assert_eq!(tables[1].write.disposition, crate::job::WriteDisposition::Append);
        let left: Vec<&str> = excluded.iter().map(|out| out.table.as_str()).collect();
        assert_eq!(left, ["shop.django_session", "shop.orders_audit"]);
    }

    #[test]
    fn a_pattern_that_means_nothing_is_a_warning_unless_nothing_is_left() {
        let job = Job::read("job", JOB, &[]).unwrap();
        let resolved = job.selection.resolve(&names(&["public.x"])).unwrap();
        assert_eq!(resolved.tables.len(), 2);
        let [warning] = resolved.warnings.as_slice() else { panic!("{:?}", resolved.warnings) };
        assert!(warning.starts_with("no table matches `shop.*`: "), "{warning}");

        let vain = "name: n\nsource: {url: 'sqlite:///x'}\ntarget: {dataset: 'file:///w'}\n\
                    tables: [{table: 'a.*'}, {table: 'b*', exclude: [b2]}]\n";
        let job = Job::read("job", vain, &[]).unwrap();
        let error = job.selection.resolve(&names(&["c.x", "b2"])).unwrap_err();
        assert_eq!(error.to_string(), "find tables for `a.*`: no table matches");
        let error = job.selection.resolve(&names(&["c.x"])).unwrap_err();
        assert_eq!(error.to_string(), "find tables for `a.*`, `b*`: no table matches");
    }

    #[test]
    fn targets_that_collide_are_refused_together_and_a_template_parts_them() {
        let wide = JOB.replace("shop.*\n", "\"*.*\"\n");
        let job = Job::read("job", &wide, &[]).unwrap();
        let has = names(&["a.t", "a.u", "b.t", "c.t", "b.u"]);
        let error = job.selection.resolve(&has).unwrap_err();
        assert_eq!(
            error.to_string(),
            "name the targets: `a.t`, `b.t` and `c.t` would all become `t`; \
             `a.u` and `b.u` would both become `u`"
        );
        let hint = error.remedy().unwrap();
        assert!(hint.contains("`name: \"{schema}_{table}\"`"), "{hint}");

        let named = wide.replace("*.*\"\n", "*.*\"\n    name: \"{schema}_{table}\"\n");
        let job = Job::read("job", &named, &[]).unwrap();
        let resolved = job.selection.resolve(&has).unwrap();
        let targets: Vec<&str> =
            resolved.tables.iter().map(|table| table.target.as_str()).take(3).collect();
        assert_eq!(targets, ["file:///w/shop/a_t", "file:///w/shop/a_u", "file:///w/shop/b_t"]);

        // The template does not part these, so it is not the remedy.
        let error = job.selection.resolve(&names(&["a.b_c", "a_b.c"])).unwrap_err();
        assert!(error.to_string().contains("would both become `a_b_c`"), "{error}");
        assert!(!error.remedy().unwrap().contains("{schema}"), "{error:?}");
        let odd = Job::read("job", &wide, &[]).unwrap();
        let error = odd.selection.resolve(&names(&["a.T", "a.t"])).unwrap_err();
        assert!(!error.remedy().unwrap().contains("{schema}"), "{error:?}");
    }

    #[test]
    fn an_unknown_template_is_refused_with_the_known_ones() {
        let named = JOB.replace("name: crm_view", "name: \"{db}_x\"");
        let error = Job::read("job", &named, &[]).unwrap_err();
        assert_eq!(error.chain(), "read job `job`: `tables.2.name`: unknown `{db}`");
        assert_eq!(error.remedy(), Some("`{schema}` and `{table}` are known"));
    }
}
