//! Files that BigQuery loads by itself, word for word.

use std::sync::Arc;
use std::task::Poll;

use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use serde_json::{Value, json};
use sluice_contracts::Result;
use sluice_contracts::documents::{
    Native, NativeCsv, NativeFiles, NativeFormat, NativeRows, ObjectVersion, Table, TargetType,
};
use sluice_contracts::job::WriteDisposition::{self, Append, Empty, Merge, Truncate};
use sluice_contracts::store::{Bucket, version_of};

use super::check::table as planned;
use super::endings::{done, failed, running};
use super::native::said;
use super::recorder::Recorder;
use super::requests::assert_asked;
use super::{ID, advance, columns, load, loaded};
use crate::target::{Load, Loaded, Visibility};

const NOTE: (&str, TargetType) = ("note", TargetType::String);

fn csv() -> NativeFormat {
    NativeFormat::Csv(NativeCsv {
        skip_lines: 1,
        delimiter: ';',
        quote: Some('"'),
        null: "\\N".to_owned(),
        latin1: true,
        take_missing: true,
        ignore_unknown: false,
    })
}

fn json_lines() -> NativeFormat {
    NativeFormat::JsonLines { latin1: false, ignore_unknown: true }
}

/// Writes a file, and returns it as a plan names it.
async fn put(store: &dyn ObjectStore, path: &str, text: &'static str) -> ObjectVersion {
    store.put(&path.into(), PutPayload::from_static(text.as_bytes())).await.unwrap();
    let meta = store.head(&path.into()).await.unwrap();
    ObjectVersion { path: path.to_owned(), generation: version_of(&meta), size: meta.size }
}

/// The load of so many files, and the store that has them.
async fn of_files(
    disposition: WriteDisposition,
    format: NativeFormat,
    count: usize,
) -> (Load, Arc<InMemory>) {
    let store = Arc::new(InMemory::new());
    let mut files = Vec::new();
    for at in 0..count {
        files.push(put(store.as_ref(), &format!("in/{at}"), "3 rows").await);
    }
    let bucket = Bucket { store: store.clone(), prefix: "".into(), url: "gs://drop".to_owned() };
    let files = NativeFiles { bucket: bucket.url.clone(), format, files, rows: None };
    let native = Some(NativeRows::Files(files));
    let load = load(disposition, columns(&[ID, NOTE])).await;
    (Load { parts: Vec::new(), rows: 0, native, source_bucket: Some(bucket), ..load }, store)
}

fn table_of(names: &[(&str, &str)]) -> Value {
    let field = |(name, kind): &(&str, &str)| json!({"name": name, "type": kind});
    json!({"schema": {"fields": names.iter().map(field).collect::<Vec<_>>()}})
}

#[tokio::test]
async fn files_are_loaded_by_one_job_and_made_visible_as_other_rows() {
    let like = table_of(&[("id", "INTEGER"), ("note", "STRING")]);
    for (name, disposition, format, existing) in [
        ("files_csv_new", Empty, csv(), None),
        ("files_json_truncate", Truncate, json_lines(), Some(like.clone())),
        ("files_parquet_append", Append, NativeFormat::Parquet, Some(like.clone())),
        ("files_avro_merge", Merge, NativeFormat::Avro, Some(like)),
    ] {
        let recorder = Recorder::default();
        if let Some(existing) = existing {
            recorder.stands(existing);
        }
        let (mut load, _) = of_files(disposition, format, 2).await;
        if disposition == Merge {
            load.key = vec!["id".to_owned()];
        }
        assert_eq!(loaded(&recorder, &load).await.rows, 3);
        assert_asked!(name, recorder);
    }
}

/// A load of CSV fills columns by their places.
#[tokio::test]
async fn a_table_with_its_columns_in_another_order_is_written_to_by_a_statement() {
    for (fields, is_written) in [
        ([("note", "STRING"), ("id", "INTEGER")], true),
        ([("id", "INTEGER"), ("note", "STRING")], false),
    ] {
        for (format, is_csv) in [(csv(), true), (json_lines(), false)] {
            let recorder = Recorder::default();
            recorder.stands(table_of(&fields));
            let (load, _) = of_files(Append, format, 1).await;
            let way = said(&recorder, &plan_of(&load), Visibility::Each).await;
            assert_eq!(way.contains("in another order"), is_written && is_csv, "{way}");
            loaded(&recorder, &load).await;
            let asked = recorder.asked().to_string();
            assert_eq!(asked.contains("INSERT INTO"), is_written && is_csv, "{asked}");
        }
    }
}

/// A load that has to fail, by a job that is at work during the first call.
async fn fails(recorder: &Recorder, load: &Load, meanwhile: impl AsyncFnOnce()) -> String {
    let target = recorder.serve().await;
    recorder.ends(running());
    let first: Result<Poll<Loaded>> = advance(&target, load).await;
    if let Err(error) = first {
        return format!("{error:?}");
    }
    meanwhile().await;
    let jobs = recorder.jobs();
    let [job] = jobs.as_slice() else { panic!("one job: {jobs:?}") };
    recorder.now_ends(job, &done(3));
    format!("{:?}", advance(&target, load).await.unwrap_err())
}

fn shows_nothing(recorder: &Recorder) {
    let asked = recorder.asked().to_string();
    assert!(!asked.contains(r#""tableId":"orders""#), "{asked}");
    assert_eq!(recorder.tables(), Vec::<String>::new());
}

#[tokio::test]
async fn a_file_that_was_replaced_or_deleted_is_refused_before_the_job() {
    for count in [2, 20] {
        let (load, store) = of_files(Truncate, json_lines(), count).await;
        put(store.as_ref(), "in/1", "4 rows").await;
        let recorder = Recorder::default();
        let said = fails(&recorder, &load, async || {}).await;
        assert!(said.contains("`gs://drop/in/1`: it was replaced after the run"), "{said}");
        assert!(!recorder.asked().to_string().contains("sourceUris"));
        store.delete(&"in/1".into()).await.unwrap();
        let said = fails(&recorder, &load, async || {}).await;
        assert!(said.contains("`gs://drop/in/1`: it was deleted after the run"), "{said}");
        shows_nothing(&recorder);
    }
}

#[tokio::test]
async fn a_file_that_is_replaced_while_it_is_loaded_is_refused_before_its_rows_are_visible() {
    for (count, path) in [(2, "in/0"), (20, "in/19")] {
        let (load, store) = of_files(Truncate, NativeFormat::Parquet, count).await;
        let recorder = Recorder::default();
        let replace = async || drop(put(store.as_ref(), path, "4 rows").await);
        let said = fails(&recorder, &load, replace).await;
        assert!(said.contains("it was replaced after the run was planned"), "{said}");
        assert!(said.contains("start the run again"), "{said}");
        shows_nothing(&recorder);
    }
}

#[tokio::test]
async fn rows_that_are_not_those_of_the_files_are_not_made_visible() {
    for (known, counted) in [(Some(4), 3), (None, 2)] {
        let recorder = Recorder::default();
        recorder.counts(counted);
        let (mut load, _) = of_files(Truncate, NativeFormat::Parquet, 1).await;
        if let Some(NativeRows::Files(files)) = &mut load.native {
            files.rows = known;
        }
        let said = fails(&recorder, &load, async || {}).await;
        assert!(said.contains(&format!("a load job has {counted} rows")), "{said}");
        let asked = recorder.asked().to_string();
        assert!(!asked.contains(r#""tableId":"orders""#), "{asked}");
    }
}

#[tokio::test]
async fn a_job_that_reads_no_file_is_said_with_the_way_out() {
    let recorder = Recorder::default();
    recorder.ends(failed("invalid", "Error while reading data, the value `secret` is bad"));
    let (load, _) = of_files(Truncate, csv(), 1).await;
    let error = advance(&recorder.serve().await, &load).await.unwrap_err();
    let said = format!("{error:?}");
    assert!(said.contains("BigQuery refused the load of the files"), "{said}");
    assert!(said.contains("`engine: cloud_run`") && !said.contains("secret"), "{said}");
}

/// The plan of a load.
fn plan_of(load: &Load) -> Table {
    let (statement, native) = load.native.clone().unwrap().into_plan();
    let table = planned(load.disposition, &[ID, NOTE]);
    Table { statement, native: Some(native), units: 0, ..table }
}

#[tokio::test]
async fn a_plan_says_what_a_load_of_files_takes_or_why_there_is_none() {
    let recorder = Recorder::default();
    recorder.has_bucket("drop", json!({"location": "EU", "locationType": "multi-region"}));
    recorder.has_bucket("far", json!({"location": "ASIA", "locationType": "multi-region"}));
    let (load, _) = of_files(Truncate, NativeFormat::Parquet, 2).await;
    let plan = plan_of(&load);
    let of = |change: &dyn Fn(&mut NativeFiles)| {
        let mut plan = plan.clone();
        if let Some(Native::Files(files)) = &mut plan.native {
            change(files);
        }
        plan
    };
    let large = of(&|files| files.files[0].size = 3_000_000_000);
    let many = of(&|files| files.files = vec![files.files[0].clone(); 10_001]);
    let huge = of(&|files| files.files[0].size = 15_000_000_000_000);
    let far = of(&|files| files.bucket = "gs://far".to_owned());
    let mut documents = plan.clone();
    documents.columns = columns(&[ID, ("doc", TargetType::Json)]);
    let text =
        Table { native: of(&|files| files.format = json_lines()).native, ..documents.clone() };
    for (plan, expected) in [
        (
            large,
            "a load job, 40 s, $0.0000: a load job of 2 files into a staging table, and a copy of that, \
             free of charge",
        ),
        (many, "there are 10,001 files, and one load job takes 10,000"),
        (huge, "the files have 15,000,000,000,006 bytes, and one load job takes 15 TB"),
        (documents, "no load job fills column `doc`, because it is of type JSON"),
    ] {
        assert_eq!(said(&recorder, &plan, Visibility::Each).await, expected);
    }
    let said_of_text = said(&recorder, &text, Visibility::Each).await;
    assert!(said_of_text.starts_with("a load job, 10 s"), "{said_of_text}");
    let far = said(&recorder, &far, Visibility::Each).await;
    assert!(far.contains("from bucket `far` in `asia`"), "{far}");
}
