//! Refusals of targets, and what becomes of them.

use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use sluice_contracts::documents::{Cut, Relation, TableWrite};
use sluice_contracts::job::{RowSecurity, WriteDisposition};
use sluice_targets::{Load, Prepared, Shown, Target};

use super::*;

/// A target that refuses each table whose URL ends with this, if with anything.
#[derive(Debug)]
pub(crate) struct Picky(pub(crate) Option<(&'static str, Kind)>);

impl Picky {
    pub(crate) fn targets(self) -> Targets {
        Targets::new(vec![("bigquery", Arc::new(self))])
    }
}

#[async_trait]
impl Target for Picky {
    async fn shown(&self, _: &Load) -> Result<Shown> {
        Ok(Shown::No)
    }

    async fn exists(&self, _: &str) -> Result<bool> {
        Ok(true)
    }

    async fn check(&self, _: RunId, table: &Table, _: Visibility) -> Result<Admitted> {
        match self.0 {
            Some((end, kind)) if table.target.ends_with(end) => {
                Err(Error::new(kind, format!("load into `{}`", table.target))
                    .hint("make the dataset"))
            }
            _ => Ok(Admitted {
                way: Some("a load job".to_owned()),
                warnings: vec![format!("`{}` is looked at", table.name)],
                partitioned_by: None,
            }),
        }
    }

    async fn check_bucket(&self, table: &str, bucket: &str) -> Result<Vec<String>> {
        match bucket {
            "gs://far" => {
                Err(Error::invalid(format!("load into `{table}` from far"))
                    .hint("make the dataset"))
            }
            "gs://hidden" => Ok(vec!["nobody may see where it lies".to_owned()]),
            _ => Ok(Vec::new()),
        }
    }

    async fn prepare(&self, _: &Load) -> Result<Poll<Box<dyn Prepared>>> {
        Err(Error::bug("nothing is loaded"))
    }
}

fn plan(names: &[&str]) -> (Vec<Table>, Vec<Unit>) {
    let table = |(index, name): (u32, &&str)| Table {
        index,
        name: (*name).to_owned(),
        relation: Relation::table(None, name),
        filter: None,
        row_security: RowSecurity::default(),
        answer_within: None,
        target: format!("bigquery://lake/shop/{name}"),
        write: TableWrite::of(WriteDisposition::Truncate),
        strategy: "full".to_owned(),
        reason: String::new(),
        engine: None,
        dataflow: None,
        statement: None,
        native: None,
        way: None,
        partitioned_by: None,
        columns: Vec::new(),
        shape: String::new(),
        rows: 0,
        bytes: 0,
        warnings: Vec::new(),
        units: 2,
    };
    let tables: Vec<Table> = (0_u32..).zip(names).map(table).collect();
    let unit = |table: u32, index: u32| Unit {
        table,
        index,
        cut: Cut::Full,
        leaf: None,
        predicate: String::new(),
        rows: 0,
        bytes: 0,
    };
    let units = tables.iter().flat_map(|table| [0, 1].map(|at| unit(table.index, at))).collect();
    (tables, units)
}

#[tokio::test]
async fn one_table_that_its_target_refuses_does_not_stop_the_others() {
    let targets = Picky(Some(("/b", Kind::Data))).targets();
    let shown = Ok(Picky(Some(("/b", Kind::Data))).targets());
    for check in [TargetCheck::ToRun(&targets), TargetCheck::ToShow(&shown)] {
        let (mut tables, mut units) = plan(&["a", "b", "c"]);
        let run = RunId::generate();
        let refused =
            check.carry_out(run, false, Visibility::Each, &mut tables, &mut units).await.unwrap();
        let names: Vec<_> = tables.iter().map(|table| (table.index, &*table.name)).collect();
        assert_eq!(names, [(0, "a"), (1, "c")]);
        assert_eq!(tables[1].warnings, ["`c` is looked at"]);
        assert_eq!(tables[1].way.as_deref(), Some("a load job"));
        let places: Vec<_> = units.iter().map(|unit| (unit.table, unit.index)).collect();
        assert_eq!(places, [(0, 0), (0, 1), (1, 0), (1, 1)]);
        assert_eq!(refused.len(), 1);
        assert_eq!((&*refused[0].table, refused[0].kind), ("b", Kind::Data));
        assert_eq!(refused[0].message, "load into `bigquery://lake/shop/b`");
        assert_eq!(refused[0].hint.as_deref(), Some("make the dataset"));
    }
}

#[tokio::test]
async fn a_bucket_that_is_refused_ends_a_run_and_a_plan_shows_it() {
    let (tables, _) = plan(&["a", "b"]);
    let targets = Picky(None).targets();
    let (shown, none) = (Ok(targets.clone()), Err(Error::invalid("open the target")));
    let to_run = TargetCheck::ToRun(&targets);
    let error = to_run.of_bucket("gs://far", &tables).await.unwrap_err();
    assert_eq!(error.chain(), "load into `bigquery://lake/shop/a` from far");
    let to_show = TargetCheck::ToShow(&shown);
    let said = "a run would be refused now: load into `bigquery://lake/shop/a` from far\n  \
                hint: make the dataset";
    assert_eq!(to_show.of_bucket("gs://far", &tables).await.unwrap(), [said]);
    for check in [to_run, to_show] {
        let warnings = check.of_bucket("gs://hidden", &tables).await.unwrap();
        assert_eq!(warnings, ["nobody may see where it lies"]);
        assert_eq!(check.of_bucket("gs://near", &tables).await.unwrap(), [""; 0]);
    }
    let nothing = TargetCheck::ToShow(&none).of_bucket("gs://far", &tables).await;
    assert_eq!(nothing.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_refusal_ends_a_run_that_is_all_or_nothing_and_what_may_pass_every_run() {
    for (end, kind, whole) in [
        ("/b", Kind::Data, true),
        ("/b", Kind::Transient, false),
        // No table is left.
        ("", Kind::Denied, false),
    ] {
        let (mut tables, mut units) = plan(&["a", "b", "c"]);
        let targets = Picky(Some((end, kind))).targets();
        let run = RunId::generate();
        let check = TargetCheck::ToRun(&targets);
        let ended = check.carry_out(run, whole, Visibility::Each, &mut tables, &mut units).await;
        assert_eq!(ended.unwrap_err().kind(), kind, "{end}");

        let (mut tables, mut units) = plan(&["a", "b", "c"]);
        let shown = Ok(Picky(Some((end, kind))).targets());
        let check = TargetCheck::ToShow(&shown);
        let refused =
            check.carry_out(run, whole, Visibility::Each, &mut tables, &mut units).await.unwrap();
        assert_eq!((refused.len(), tables.len(), units.len()), (0, 3, 6));
        let said = &tables[1].warnings[0];
        let expected = "a run would be refused now: load into `bigquery://lake/shop/b`\n  hint: make the dataset";
        assert_eq!(said, expected);
    }
    let (mut tables, mut units) = plan(&["a"]);
    let none = Err(Error::invalid("open the target").hint("log in"));
    let check = TargetCheck::ToShow(&none);
    check
        .carry_out(RunId::generate(), true, Visibility::Each, &mut tables, &mut units)
        .await
        .unwrap();
    let said = "a run would be refused now: open the target\n  hint: log in";
    assert_eq!(tables[0].warnings, [said]);
}
