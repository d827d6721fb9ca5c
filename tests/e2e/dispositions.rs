//! Runs of every write disposition, one after another in random order and with random rows: the
//! table equals a model of it in memory after each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::{SeedableRng as _, seq::IndexedRandom as _};
use sluice_contracts::documents::{
    Dedup, Dropped, Granularity, NewTable, Part, PartitionBy, TargetType, UnitRef, arrow_schema,
};
use sluice_contracts::job::WriteDisposition::{
    self, Append, Empty, Merge, ReplacePartitions, Truncate,
};
use sluice_contracts::layout::Layout;
use sluice_targets::Load;
use sluice_tests::cloud::bigquery::Warehouse;

use crate::bigquery::{load, loaded, put, refused};

/// A row: its key, its day since 1970, its version and its text.
type Row = (i64, Option<i32>, i64, String);

/// The load of these rows, in two parts.
fn run(warehouse: &Warehouse, disposition: WriteDisposition, rows: &[Row]) -> Load {
    let mut load = load(warehouse, disposition, &[]);
    let kinds = [
        ("id", TargetType::Int64),
        ("day", TargetType::Date),
        ("version", TargetType::Int64),
        ("name", TargetType::String),
    ];
    for (column, (name, kind)) in load.columns.iter_mut().zip(kinds) {
        (column.name, column.source_name) = (name.to_owned(), name.to_owned());
        (column.target_type, column.repeated) = (kind, false);
    }
    let schema = arrow_schema(&load.columns);
    let layout = Layout::new(&load.bucket.prefix, load.run);
    for (unit, rows) in (0..).zip(rows.chunks(rows.len().div_ceil(2).max(1))) {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|row| row.1).collect::<Date32Array>()),
            Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|row| Some(row.3.as_str())).collect::<StringArray>()),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).expect("four columns");
        let mut writer =
            ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), None).expect("a schema");
        writer.write(&batch).expect("rows can be written");
        let bytes = writer.into_inner().expect("a file has an end");
        let path = layout.part(0, UnitRef { table: 0, unit }, "w", 0).to_string();
        put(warehouse, &path, &bytes);
        let (rows, size) = (rows.len() as u64, bytes.len() as u64);
        load.parts.push(Part { path, rows, bytes: size, crc32c: 0, span: None });
    }
    load.rows = rows.len() as u64;
    load.new_table = NewTable {
        partition_by: Some(PartitionBy::Time {
            column: Some("day".to_owned()),
            granularity: Granularity::Day,
            expiration: None,
            require_filter: false,
        }),
        ..NewTable::default()
    };
    load
}

/// What the table holds after a run, in any order.
fn model(table: &[Row], disposition: WriteDisposition, load: &Load, rows: &[Row]) -> Vec<Row> {
    let mut after = table.to_vec();
    match disposition {
        Truncate => after = rows.to_vec(),
        Append | Empty => after.extend(rows.iter().cloned()),
        ReplacePartitions => {
            let touched: BTreeSet<Option<i32>> = rows.iter().map(|row| row.1).collect();
            after.retain(|row| !touched.contains(&row.1));
            after.extend(rows.iter().cloned());
        }
        Merge => {
            let by_day = load.key.len() > 1;
            let key = |row: &Row| (row.0, row.1.filter(|_| by_day));
            let mut newest: BTreeMap<_, &Row> = BTreeMap::new();
            for row in rows {
                let held = newest.entry(key(row)).or_insert(row);
                if row.2 > held.2 {
                    *held = row;
                }
            }
            for (key_of_new, new) in newest {
                // Runs by another key may have left several rows of this one: each is compared.
                let mut found = false;
                for row in after.iter_mut().filter(|row| key(row) == key_of_new) {
                    found = true;
                    if new.2 >= row.2 {
                        row.clone_from(new);
                    }
                }
                if !found {
                    after.push(new.clone());
                }
            }
        }
    }
    after
}

/// The newest row of each id.
fn newest(rows: &[Row]) -> Vec<Row> {
    let mut newest: BTreeMap<i64, &Row> = BTreeMap::new();
    for row in rows {
        let held = newest.entry(row.0).or_insert(row);
        if row.2 > held.2 {
            *held = row;
        }
    }
    newest.into_values().cloned().collect()
}

/// Rows whose versions differ, so that one of each key is the newest.
fn random_rows(random: &mut StdRng, unique: bool, days: bool) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for _ in 0..random.random_range(0..12) {
        let id = random.random_range(0..15);
        let day = random.random_range(19_000..19_006);
        let day = if days || random.random_bool(0.8) { Some(day) } else { None };
        let version = random.random_range(0..1_000_000);
        if !unique || rows.iter().all(|row| row.0 != id) {
            rows.push((id, day, version, format!("{id} ä {version}")));
        }
    }
    rows
}

fn in_words(rows: &[Row]) -> Vec<String> {
    let mut words: Vec<String> = rows
        .iter()
        .map(|(id, day, version, name)| {
            let day = day.map_or_else(|| "none".to_owned(), |day| day.to_string());
            format!("{id:02} {day} {version} {name}")
        })
        .collect();
    words.sort();
    words
}

const FOUND: &str = "\
    SELECT CONCAT(LPAD(CAST(id AS STRING), 2, '0'), ' ',
        COALESCE(CAST(DATE_DIFF(day, DATE '1970-01-01', DAY) AS STRING), 'none'), ' ',
        CAST(version AS STRING), ' ', name) AS words
    FROM `sales.orders` ORDER BY words";

/// A round, of a merge, in which a row is left out for sure.
const SURELY: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn random_runs_of_every_disposition_leave_what_a_model_says() {
    let Some(warehouse) = Warehouse::start().await else { return };
    let seed = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let all = [Truncate, Append, Empty, Merge, Merge, ReplacePartitions, ReplacePartitions];
    let (mut table, mut tried): (Vec<Row>, BTreeSet<&str>) = (Vec::new(), BTreeSet::new());
    let mut chosen = 0;
    for round in 0..40 {
        let disposition = match all.get(round) {
            Some(disposition) => *disposition,
            None => *all.choose(&mut random).expect("there are some"),
        };
        let by_day = round != SURELY && random.random_bool(0.5);
        let merges = disposition == Merge;
        // The emulator's copies lose the partitions of a table that they make or replace.
        let stays = matches!(disposition, Append | Merge | ReplacePartitions);
        let dedups = stays && !by_day && (round == SURELY || random.random_bool(0.5));
        // Keep keys unique: no row is added whose id a row that stays has.
        let keeps = matches!(disposition, Append | ReplacePartitions);
        let mut rows = random_rows(&mut random, !merges && !dedups, by_day && merges);
        if keeps {
            let new = if dedups { newest(&rows) } else { rows.clone() };
            let replaced: BTreeSet<Option<i32>> = new.iter().map(|row| row.1).collect();
            let stays = |row: &&Row| disposition == Append || !replaced.contains(&row.1);
            let held: BTreeSet<i64> = table.iter().filter(stays).map(|row| row.0).collect();
            rows.retain(|row| !held.contains(&row.0));
        }
        if dedups {
            if round == SURELY {
                rows.push((7, None, 1_000_001, "7 ä".to_owned()));
            }
            // At least one row is older than another.
            let older = rows.first().map(|(id, day, _, name)| (*id, *day, -1, name.clone()));
            rows.extend(older);
        }
        let mut load = run(&warehouse, disposition, &rows);
        if merges {
            load.key = vec!["id".to_owned()];
            load.order_by = Some("version".to_owned());
            if by_day {
                load.key.push("day".to_owned());
            }
        }
        // By both columns, a key may be there with another day, or without one.
        if by_day && merges && table.iter().any(|row| rows.iter().any(|new| new.0 == row.0)) {
            let days: BTreeMap<i64, Option<i32>> = table.iter().map(|row| (row.0, row.1)).collect();
            rows.retain(|row| days.get(&row.0).is_none_or(|day| *day == row.1));
            let keep = run(&warehouse, disposition, &rows);
            load = Load { key: load.key, order_by: load.order_by, ..keep };
        }
        let mut kept = rows.clone();
        if dedups {
            load.dedup = Some(Dedup { keys: vec!["id".to_owned()], order: "version".to_owned() });
            kept = newest(&rows);
        }
        let what =
            format!("seed {seed}, round {round}: {disposition:?} by {:?}, {dedups}", load.key);
        if disposition == Empty && table.is_empty() {
            // The emulator still counts the rows of a table that `TRUNCATE TABLE` has emptied.
            warehouse.query("DROP TABLE IF EXISTS `sales.orders`").await;
        }
        if disposition == Empty && !table.is_empty() {
            let (_, said) = refused(&warehouse, &load).await;
            assert!(said.contains("write disposition is `empty`"), "{what}: {said}");
        } else {
            let ended = loaded(&warehouse, &load).await;
            let ended = ended.unwrap_or_else(|error| panic!("{what}: {}", error.chain()));
            assert_eq!(ended.rows, kept.len() as u64, "{what}");
            let left_out = (rows.len() - kept.len()) as u64;
            let dropped = Some(Dropped { rows: left_out, ties: 0 }).filter(|_| dedups);
            // Nothing is compared where there are no rows.
            assert_eq!(ended.dropped, dropped.filter(|_| !rows.is_empty()), "{what}");
            chosen += left_out;
            table = model(&table, disposition, &load, &kept);
        }
        assert_eq!(warehouse.query(FOUND).await, in_words(&table), "{what}");
        assert_eq!(warehouse.tables().await, ["orders"], "{what}: nothing is left behind");
        tried.insert(disposition.name());
    }
    assert_eq!(tried.len(), 5, "seed {seed}: {tried:?}");
    assert!(chosen > 0, "seed {seed}: no row was left out");
}

/// Nothing of a run is merged that has a row without a key, or two rows with one.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_no_key_tells_apart_change_nothing() {
    let Some(warehouse) = Warehouse::start().await else { return };
    let row = |id, day| (id, day, 1, "a".to_owned());
    loaded(&warehouse, &run(&warehouse, Truncate, &[row(1, Some(19_000))])).await.expect("a table");
    for (rows, key, said) in [
        ([row(1, None), row(2, None)], "day", "a row has NULL in a column of its key (`day`)"),
        ([row(2, Some(19_000)), row(2, None)], "id", "two rows have the same key (`id`)"),
    ] {
        let mut load = run(&warehouse, Merge, &rows);
        load.key = vec![key.to_owned()];
        let (_, error) = refused(&warehouse, &load).await;
        assert!(error.contains(said), "{error}");
        let expected = in_words(&[row(1, Some(19_000))]);
        assert_eq!(warehouse.query(FOUND).await, expected);
    }
}
