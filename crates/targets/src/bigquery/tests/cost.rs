//! What a plan says of the way of a load and its price.

use serde_json::{Value, json};
use sluice_contracts::documents::{RunId, Table, TargetType};
use sluice_contracts::job::WriteDisposition::{self, Append, Merge, ReplacePartitions, Truncate};

use super::check::{TABLE, answering, dataset, table};
use crate::target::Target as _;
use crate::target::Visibility::{self, AtOnce, Each, InTurn};

const GIBI: u64 = 1 << 30;
const TERA: u64 = 1_000_000_000_000;

/// A table of 5 GiB.
fn existing() -> Value {
    json!({"type": "TABLE", "numBytes": (5 * GIBI).to_string(), "schema": {"fields": [
        {"name": "id", "type": "INTEGER"}, {"name": "day", "type": "DATE"},
    ]}})
}

/// A table of so many units and bytes.
fn planned(disposition: WriteDisposition, units: u32, bytes: u64) -> Table {
    let wanted = [("id", TargetType::Int64), ("day", TargetType::Date)];
    Table { units, bytes, ..table(disposition, &wanted) }
}

async fn way(table: &Table, existing: Option<Value>, visibility: Visibility) -> String {
    let existing = existing.map(|table| (TABLE, table));
    let known: Vec<_> = existing.into_iter().chain([dataset()]).collect();
    let target = answering(&known).await;
    let admitted = target.check(RunId::generate(), table, visibility).await.unwrap();
    admitted.way.expect("BigQuery says how a table is loaded")
}

#[tokio::test]
async fn load_jobs_and_copies_are_free_whatever_the_size() {
    let free = "a load job, free of charge";
    let copied = "a load job into a staging table, and a copy, free of charge";
    assert_eq!(way(&planned(Truncate, 100, GIBI), None, Each).await, free);
    assert_eq!(way(&planned(Append, 1, GIBI), None, Each).await, free);
    assert_eq!(way(&planned(Append, 1, GIBI), Some(existing()), Each).await, copied);
    assert_eq!(way(&planned(Truncate, 1, GIBI), Some(existing()), InTurn).await, copied);
    for (units, bytes, jobs) in [(12_000, GIBI, 2), (9_000, 30 * TERA, 3), (1, 15 * TERA, 2)] {
        assert_eq!(
            way(&planned(Truncate, units, bytes), None, Each).await,
            format!("{jobs} load jobs into staging tables, and a copy, free of charge")
        );
    }
}

#[tokio::test]
async fn a_statement_is_billed_for_what_it_reads() {
    let by_day = || {
        let mut table = existing();
        table["timePartitioning"] = json!({"type": "DAY", "field": "day"});
        Some(table)
    };
    let keyed = |key: &str, bytes| {
        let mut table = planned(Merge, 1, bytes);
        table.write.key = vec![key.to_owned()];
        table
    };
    let mut documents = table(Truncate, &[("doc", TargetType::Json)]);
    (documents.units, documents.bytes) = (12_000, 1 << 40);
    let lengths = table(Truncate, &[("length", TargetType::Interval)]);
    for (table, existing, said) in [
        (
            documents,
            None,
            "2 load jobs into staging tables, and a statement that parses the documents: about \
             1,048,576 MiB ($6.2500 on demand)",
        ),
        (
            lengths,
            None,
            "a load job into a staging table, and a statement that reads the values from their \
             texts: about 10 MiB ($0.0001 on demand)",
        ),
        (
            keyed("id", GIBI),
            Some(existing()),
            "a load job into a staging table, and a MERGE that reads the new rows, and the whole \
             table: about 6,144 MiB ($0.0366 on demand)",
        ),
        (
            keyed("day", GIBI),
            by_day(),
            "a load job into a staging table, and a MERGE that reads the new rows, and the partitions \
             that they belong to: about 1,034 MiB ($0.0062 on demand)",
        ),
        (
            keyed("id", 5),
            None,
            "a load job into a staging table, and a statement that takes one row of each key: about \
             10 MiB ($0.0001 on demand)",
        ),
        (
            planned(ReplacePartitions, 1, GIBI),
            by_day(),
            "a load job into a staging table, and statements that replace the partitions of the new \
             rows: about 1,024 MiB ($0.0061 on demand)",
        ),
    ] {
        assert_eq!(way(&table, existing, Each).await, said);
    }
    assert_eq!(
        way(&planned(Truncate, 1, GIBI), Some(existing()), AtOnce).await,
        "a load job into a staging table, and a statement that reads the new rows, in the transaction \
         that changes all tables: about 1,024 MiB ($0.0061 on demand)"
    );
}
