//! What a plan says of the way of a load and its price.

use serde_json::json;
use sluice_contracts::documents::{RunId, TargetType};
use sluice_contracts::job::WriteDisposition::{Append, Merge, ReplacePartitions, Truncate};

use super::check::{TABLE, answering, dataset, table};
use crate::target::Target as _;

#[tokio::test]
async fn a_plan_says_which_jobs_a_load_takes_and_what_they_cost() {
    const GIBI: u64 = 1 << 30;
    const TERA: u64 = 1_000_000_000_000;
    let plain = json!({"type": "TABLE", "numBytes": (5 * GIBI).to_string(), "schema": {"fields": [
        {"name": "id", "type": "INTEGER"}, {"name": "day", "type": "DATE"},
    ]}});
    let mut by_day = plain.clone();
    by_day["timePartitioning"] = json!({"type": "DAY", "field": "day"});
    let (id, document) = (("id", TargetType::Int64), ("doc", TargetType::Json));
    for (disposition, key, units, bytes, existing, together, said) in [
        (Truncate, "", 100, GIBI, None, false, "a load job, free of charge"),
        (Append, "", 1, GIBI, None, false, "a load job, free of charge"),
        (
            Append,
            "",
            1,
            GIBI,
            Some(&plain),
            false,
            "a load job into a staging table, and a copy, free of charge",
        ),
        (
            Truncate,
            "",
            1,
            GIBI,
            Some(&plain),
            true,
            "a load job into a staging table, and a copy, free of charge",
        ),
        (
            Truncate,
            "",
            12_000,
            GIBI,
            None,
            false,
            "2 load jobs into staging tables, and a copy, free of charge",
        ),
        (
            Truncate,
            "",
            9_000,
            30 * TERA,
            None,
            false,
            "3 load jobs into staging tables, and a copy, free of charge",
        ),
        (
            Truncate,
            "doc",
            12_000,
            1 << 40,
            None,
            false,
            "2 load jobs into staging tables, and a statement that parses the documents: about \
             1,048,576 MiB ($6.2500 on demand)",
        ),
        (
            Merge,
            "id",
            1,
            GIBI,
            Some(&plain),
            false,
            "a load job into a staging table, and a MERGE that reads it and the whole table: \
             about 6,144 MiB ($0.0366 on demand)",
        ),
        (
            Merge,
            "day",
            1,
            GIBI,
            Some(&by_day),
            false,
            "a load job into a staging table, and a MERGE that reads it and the partitions of \
             the new rows: these, and about 1,024 MiB ($0.0061 on demand)",
        ),
        (
            Merge,
            "id",
            1,
            5,
            None,
            false,
            "a load job into a staging table, and a statement that takes one row of each key: \
             about 10 MiB ($0.0001 on demand)",
        ),
        (
            ReplacePartitions,
            "",
            1,
            GIBI,
            Some(&by_day),
            false,
            "a load job into a staging table, and a transaction that replaces the partitions of \
             the new rows: about 1,024 MiB ($0.0061 on demand)",
        ),
    ] {
        let wanted = if key == "doc" { [id, document] } else { [id, ("day", TargetType::Date)] };
        let mut table = table(disposition, &wanted);
        if disposition == Merge {
            table.write.key = vec![key.to_owned()];
        }
        (table.units, table.bytes) = (units, bytes);
        let existing = existing.map(|table| (TABLE, table.clone()));
        let known: Vec<_> = existing.into_iter().chain([dataset()]).collect();
        let target = answering(&known).await;
        let admitted = target.check(RunId::generate(), &table, together).await.unwrap();
        assert_eq!(admitted.way.unwrap(), said);
    }
}
