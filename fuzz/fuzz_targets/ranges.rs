//! What has to hold for every text file: read in ranges of its bytes, it is what one reader reads, or it is refused.
//!
//! An input consists of a byte for the ranges, one for the format (JSON lines, CSV with a header, CSV without one), the
//! delimiter and whether the planner chooses the ranges, and the text of the file.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::RecordBatch;
use sluice_contracts::Result;
use sluice_contracts::documents::{Cut, Leaf, Relation, Table};
use sluice_sources::conformance::{job, planned, unit};
use sluice_sources::{Join, Reader};

/// Checks one input, whose file is written into this folder.
pub(crate) async fn check(input: &[u8], folder: &Path) {
    let [count, style, text @ ..] = input else { return };
    let format = if style % 3 == 0 { "json_lines" } else { "csv" };
    let mut options = BTreeMap::new();
    if format == "csv" {
        let delimiter = [",", ";", "\t", "|"][usize::from(style / 3 % 4)];
        options.insert("delimiter".to_owned(), delimiter.to_owned());
        options.insert("header".to_owned(), (style % 3 == 1).to_string());
    }
    let file = folder.join("input");
    std::fs::write(&file, text).expect("the folder can be written");
    let url = format!("file://{}", file.display());
    let relation = Relation::Files { urls: vec![url.clone()], format: format.to_owned(), options };
    let job = job(relation);
    let source = sluice_sources::open(&url, &|_| None, None).expect("a file is a source");
    let mut survey = source.survey("fuzz").await.expect("a folder can be listed");
    let Ok(described) = survey.describe(&job).await else { return };
    let Some(piece) = described.pieces.first() else { return };
    let starts = if *style < 128 {
        // Anywhere: where a wrong cut is not found, the rows are other ones.
        let step = u64::from(*count) + 1;
        (1..text.len() as u64).filter(|place| place % step == 0).take(8).collect()
    } else {
        let found = survey.record_starts(piece, u32::from(count % 16) + 2).await;
        found.ok().flatten().unwrap_or_default()
    };
    let table = planned(&job, &described);
    let mut reader =
        source.reader("fuzz", Join::Independent).await.expect("a reader").expect("one");
    let whole = rows(reader.as_mut(), &table, piece.leaf.as_ref(), Cut::Full).await;
    let lows = std::iter::once(0).chain(starts.iter().copied());
    let highs = starts.iter().copied().map(Some).chain([None]);
    let mut read = Vec::new();
    for (lo, hi) in lows.zip(highs) {
        match rows(reader.as_mut(), &table, piece.leaf.as_ref(), Cut::Bytes { lo, hi }).await {
            Ok(more) => read.extend(more),
            // The file itself is wrong, or a cut is, and that was found.
            Err(error) => {
                let is_known =
                    error.remedy().is_some_and(|hint| hint.contains("`partitioning.strategy`"));
                assert!(is_known || whole.is_err(), "{error:?}");
                return;
            }
        }
    }
    let whole = whole.expect("what is read in ranges is read as one");
    assert!(
        read == whole,
        "the ranges from {starts:?} have {} rows of {}",
        read.len(),
        whole.len()
    );
}

async fn rows(
    reader: &mut dyn Reader,
    table: &Table,
    leaf: Option<&Leaf>,
    cut: Cut,
) -> Result<Vec<String>> {
    let unit = unit(cut, leaf.cloned(), String::new());
    let mut batches = reader.read(table, &unit).await?;
    let mut rows = Vec::new();
    while let Some(batch) = batches.next().await? {
        let row = |row| texts(&batch, row);
        rows.extend((0..batch.num_rows()).map(row));
    }
    Ok(rows)
}

fn texts(batch: &RecordBatch, row: usize) -> String {
    let texts = batch.columns().iter().map(|column| format!("{:?}", column.slice(row, 1)));
    texts.collect::<Vec<_>>().join("|")
}
