//! The suite that every source passes: what [`Source`] promises, seen by a planner and a reader.
//!
//! An adapter's test brings a [`SourceFixture`] and calls [`all`].

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use async_trait::async_trait;
use sluice_contracts::documents::{
    Column, Cut, KeyType, Leaf, OnInvalid, Relation, SnapshotPlan, Table, TableWrite, TargetType,
    Unit, arrow_schema,
};
use sluice_contracts::job::{Partitioning, RowSecurity, TableJob, WriteDisposition};
use sluice_contracts::{Error, Kind, Result};

use crate::description::Description;
use crate::source::{Join, Reader, Source, Survey};

/// Rows of the table that a fixture has.
pub const ROWS: i64 = 1_000;

/// A source under test, with one table: `id`, a 64-bit key from 1 to [`ROWS`], and `note`, a text
/// that is NULL in every seventh row.
#[async_trait]
pub trait SourceFixture: Sync {
    /// The source.
    fn source(&self) -> Arc<dyn Source>;

    /// The table.
    fn relation(&self) -> Relation;

    /// A table that does not exist.
    fn missing_relation(&self) -> Relation;

    /// Adds a row with this `id`.
    async fn insert(&self, id: i64);

    /// Drops `note` from the table.
    async fn alter(&self);
}

/// The columns of the table, for sources that keep none of their own.
pub fn columns(names: &[&str]) -> Vec<Column> {
    let column = |name: &&str| Column {
        name: (*name).to_owned(),
        source_name: (*name).to_owned(),
        source_type: String::new(),
        encoding: String::new(),
        target_type: if *name == "id" { TargetType::Int64 } else { TargetType::String },
        repeated: false,
        decimal: None,
        fields: Vec::new(),
        nullable: None,
        max_length: None,
        description: None,
        on_invalid: OnInvalid::Fail,
        invalid: None,
    };
    names.iter().map(column).collect()
}

/// The rows of the table with these ids.
pub fn batch(ids: Vec<i64>) -> Result<RecordBatch> {
    let notes: StringArray = ids.iter().map(|id| (id % 7 != 0).then_some("x")).collect();
    let arrays: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(ids)), Arc::new(notes)];
    RecordBatch::try_new(arrow_schema(&columns(&["id", "note"])), arrays)
        .map_err(|source| Error::bug("make a batch").because(source))
}

/// The whole suite. It changes the table, so a fixture is used once.
pub async fn all(fixture: &dyn SourceFixture) -> Result<()> {
    a_table_is_described(fixture).await?;
    every_cut_covers_every_row_once(fixture).await?;
    a_reader_recovers_from_a_unit_that_it_left(fixture).await?;
    what_is_confirmed_is_of_one_moment(fixture).await?;
    an_altered_table_is_refused(fixture).await?;
    Ok(())
}

/// The columns, and at least one piece, of a table that exists.
pub async fn a_table_is_described(fixture: &dyn SourceFixture) -> Result<()> {
    let mut survey = survey(fixture).await?;
    let described = survey.describe(&job(fixture.relation())).await?;
    let names: Vec<&str> = described.columns.iter().map(|it| it.source_name.as_str()).collect();
    assert_eq!(names, ["id", "note"]);
    assert!(!described.pieces.is_empty() && !described.shape.is_empty());
    let chosen = TableJob { select: Some(vec!["note".into()]), ..job(fixture.relation()) };
    let described = survey.describe(&chosen).await?;
    assert_eq!(described.columns.len(), 1);
    let absent = TableJob { select: Some(vec!["absent".into()]), ..job(fixture.relation()) };
    assert_eq!(kind(survey.describe(&absent).await), Some(Kind::NotFound));
    assert_eq!(kind(survey.describe(&job(fixture.missing_relation())).await), Some(Kind::NotFound));
    Ok(())
}

/// Units of each kind of cut are disjoint and cover the table.
pub async fn every_cut_covers_every_row_once(fixture: &dyn SourceFixture) -> Result<()> {
    let mut survey = survey(fixture).await?;
    let job = job(fixture.relation());
    let described = survey.describe(&job).await?;
    let mut ways = vec![vec![Cut::Full]];
    if described.keys.iter().any(|key| key.column == "id" && key.key_type == KeyType::Integer) {
        ways.push(ranges(&[None, Some(1), Some(17), Some(900), None]));
        ways.push(ranges(&[None, Some(i64::MIN), Some(i64::MAX), None]));
    }
    let columns = described.identity.clone();
    let hash = |remainder| Cut::Hash { columns: columns.clone(), modulus: 4, remainder };
    if survey.predicate(&hash(0)).is_ok() {
        ways.push((0..4).map(hash).collect());
    }
    if let Some(blocks) = described.pieces.iter().filter_map(|piece| piece.blocks).max() {
        let half = blocks / 2;
        ways.push(vec![Cut::Blocks { lo: 0, hi: Some(half) }, Cut::Blocks { lo: half, hi: None }]);
    }
    if let Some(piece) = described.pieces.iter().find(|piece| piece.has_ranges) {
        let starts = survey.record_starts(piece, 5).await?.unwrap_or_default();
        assert!(!starts.is_empty(), "a file whose records can be found is cut");
        let lows = std::iter::once(0).chain(starts.iter().copied());
        let highs = starts.iter().copied().map(Some).chain([None]);
        ways.push(lows.zip(highs).map(|(lo, hi)| Cut::Bytes { lo, hi }).collect());
    }
    if described.has_streams {
        let streams = survey.streams(&job, 3).await?.unwrap_or_default();
        assert!(!streams.is_empty(), "a source that serves streams serves some");
        ways.push(streams.into_iter().map(|name| Cut::Stream { name }).collect());
    }
    let table = planned(&job, &described);
    let mut reader = first(fixture, &survey.snapshot().await?).await?;
    reader.check(&table).await?;
    for cuts in ways {
        let mut ids = Vec::new();
        for piece in &described.pieces {
            for cut in &cuts {
                let predicate = survey.predicate(cut)?;
                let unit = unit(cut.clone(), piece.leaf.clone(), predicate);
                ids.extend(read(reader.as_mut(), &table, &unit).await?);
            }
        }
        ids.sort_unstable();
        assert!(ids.iter().copied().eq(1..=ROWS), "{cuts:?} covers {} rows", ids.len());
    }
    reader.confirm().await?;
    Ok(())
}

/// A unit that is left before its end takes neither the reader nor its snapshot along.
pub async fn a_reader_recovers_from_a_unit_that_it_left(fixture: &dyn SourceFixture) -> Result<()> {
    let (table, whole) = whole(fixture).await?;
    let plan = survey(fixture).await?.snapshot().await?;
    let mut reader = first(fixture, &plan).await?;
    let token = token(&plan, reader.as_mut()).await?;
    drop(reader.read(&table, &whole).await?);
    reader.recover().await?;
    assert_eq!(read(reader.as_mut(), &table, &whole).await?.len(), as_count(ROWS));
    assert_eq!(self::token(&plan, reader.as_mut()).await?, token);
    Ok(())
}

/// A reader sees the snapshot that it joined, or refuses to confirm it. A source that cannot give
/// two readers one snapshot says so when it is planned, and is not asked for it.
pub async fn what_is_confirmed_is_of_one_moment(fixture: &dyn SourceFixture) -> Result<()> {
    let (table, whole) = whole(fixture).await?;
    let plan = survey(fixture).await?.snapshot().await?;
    if plan == SnapshotPlan::Independent {
        return Ok(());
    }
    let mut first = first(fixture, &plan).await?;
    let token = token(&plan, first.as_mut()).await?;
    assert!(!token.is_empty());
    let join = match plan {
        SnapshotPlan::Pinned { .. } => Join::Pinned(&token),
        _ => Join::Token(&token),
    };
    let mut joined = reader(fixture, join).await?;
    fixture.insert(ROWS + 1).await;
    for reader in [&mut first, &mut joined] {
        sees_what_was_planned_or_refuses(reader.as_mut(), &table, &whole).await;
    }
    drop((first, joined));
    // No reader holds the snapshot any more: it is gone, unless the source can read it at any time.
    if let Ok(Some(mut late)) = fixture.source().reader("late", join).await {
        sees_what_was_planned_or_refuses(late.as_mut(), &table, &whole).await;
    }
    // Units may name what they read in the version that it had, so a new plan is read.
    let (table, whole) = self::whole(fixture).await?;
    let mut now = reader(fixture, Join::Independent).await?;
    assert_eq!(read(now.as_mut(), &table, &whole).await?.len(), as_count(ROWS + 1));
    Ok(())
}

async fn sees_what_was_planned_or_refuses(reader: &mut dyn Reader, table: &Table, whole: &Unit) {
    match read(reader, table, whole).await {
        Ok(rows) => {
            let is_refused = rows.len() != as_count(ROWS) && reader.confirm().await.is_err();
            assert!(rows.len() == as_count(ROWS) || is_refused, "{} rows", rows.len());
        }
        Err(error) => assert_eq!(error.kind(), Kind::Data, "{error:?}"),
    }
}

/// A table with other columns than were planned is not read.
pub async fn an_altered_table_is_refused(fixture: &dyn SourceFixture) -> Result<()> {
    let (table, whole) = whole(fixture).await?;
    fixture.alter().await;
    let plan = survey(fixture).await?.snapshot().await?;
    let mut reader = first(fixture, &plan).await?;
    let refused = match reader.check(&table).await {
        // Units name what they read in the version that it had.
        Ok(()) => read(reader.as_mut(), &table, &whole).await.map(drop),
        refused => refused,
    };
    assert_eq!(kind(refused), Some(Kind::Data));
    Ok(())
}

async fn survey(fixture: &dyn SourceFixture) -> Result<Box<dyn Survey>> {
    fixture.source().survey("conformance").await
}

async fn reader(fixture: &dyn SourceFixture, join: Join<'_>) -> Result<Box<dyn Reader>> {
    let joined = fixture.source().reader("conformance", join).await?;
    joined.ok_or_else(|| Error::bug("join a snapshot that a reader still holds"))
}

/// The first reader of a run.
async fn first(fixture: &dyn SourceFixture, plan: &SnapshotPlan) -> Result<Box<dyn Reader>> {
    let join = match plan {
        SnapshotPlan::Pinned { value } => Join::Pinned(value),
        _ => Join::New,
    };
    reader(fixture, join).await
}

/// What another reader needs to see the snapshot of this one.
async fn token(plan: &SnapshotPlan, reader: &mut dyn Reader) -> Result<String> {
    match plan {
        SnapshotPlan::Pinned { value } => Ok(value.clone()),
        _ => reader.export().await,
    }
}

/// The table as one unit.
async fn whole(fixture: &dyn SourceFixture) -> Result<(Table, Unit)> {
    let job = job(fixture.relation());
    let described = survey(fixture).await?.describe(&job).await?;
    let leaf = described.pieces.first().and_then(|piece| piece.leaf.clone());
    Ok((planned(&job, &described), unit(Cut::Full, leaf, String::new())))
}

/// The ids of a unit's rows.
async fn read(reader: &mut dyn Reader, table: &Table, unit: &Unit) -> Result<Vec<i64>> {
    let mut batches = reader.read(table, unit).await?;
    let mut ids = Vec::new();
    while let Some(batch) = batches.next().await? {
        let column = batch.column(0).as_any().downcast_ref::<Int64Array>();
        ids.extend(column.ok_or_else(|| Error::bug("read `id` as INT64"))?.values());
    }
    Ok(ids)
}

/// A job that reads a relation as it is.
pub fn job(relation: Relation) -> TableJob {
    TableJob {
        relation,
        select: None,
        filter: None,
        partitioning: Partitioning::default(),
        row_security: RowSecurity::default(),
        columns: BTreeMap::new(),
        incremental: None,
        target: String::new(),
        write: TableWrite::of(WriteDisposition::Truncate),
    }
}

/// The table of a plan of such a job.
pub fn planned(job: &TableJob, described: &Description) -> Table {
    Table {
        index: 0,
        name: job.relation.to_string(),
        relation: described.relation.clone().unwrap_or_else(|| job.relation.clone()),
        filter: None,
        target: String::new(),
        row_security: RowSecurity::default(),
        answer_within: None,
        write: job.write.clone(),
        strategy: "full".into(),
        reason: String::new(),
        engine: None,
        dataflow: None,
        statement: None,
        native: None,
        way: None,
        partitioned_by: None,
        columns: described.columns.clone(),
        shape: described.shape.clone(),
        rows: described.rows(),
        bytes: described.bytes(),
        warnings: Vec::new(),
        units: 1,
    }
}

/// A unit of the first table.
pub fn unit(cut: Cut, leaf: Option<Leaf>, predicate: String) -> Unit {
    Unit { table: 0, index: 0, leaf, cut, predicate, rows: 0, bytes: 0 }
}

/// Half-open ranges of `id` between these bounds, and one unit for NULL.
fn ranges(bounds: &[Option<i64>]) -> Vec<Cut> {
    let range = |pair: &[Option<i64>]| Cut::Range {
        column: "id".into(),
        key: KeyType::Integer,
        lo: pair[0],
        hi: pair[1],
    };
    let mut cuts: Vec<Cut> = bounds.windows(2).map(range).collect();
    cuts.push(Cut::Null { column: "id".into() });
    cuts
}

/// The kind of a refusal; `None` if it did not come.
fn kind<T>(result: Result<T>) -> Option<Kind> {
    result.err().map(|error| error.kind())
}

fn as_count(rows: i64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}
