//! `sluice demo`: a database, moved.

mod data;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use sluice_contracts::documents::TaskKind;
use sluice_contracts::error::Doing as _;
use sluice_contracts::job::{
    Consistency, DataflowFile, EngineWish, JobFile, LimitsFile, PartitioningFile, RowSecurity,
    SourceFile, TargetFile, WriteDisposition,
};
use sluice_contracts::{Error, Kind, Result};

use crate::answer::Answer;
use crate::arguments::Demo;
use crate::commands::{read_job, yaml};
use crate::execution::{Again, Planned};
use crate::format::{count, duration, thousands};
use crate::location::{file_url, sqlite_url};
use crate::progress::say;
use crate::render::run::render;

/// Rows of the database, unless `--rows` says otherwise.
const ROWS: u64 = 1_000_000;
/// Name of the database's table.
const TABLE: &str = "events";

pub(crate) async fn demo(options: &Demo) -> Result<Answer> {
    let dir = std::path::absolute(&options.dir)
        .doing(Kind::Invalid, || format!("find folder `{}`", options.dir.display()))?;
    fs::create_dir_all(&dir).doing(Kind::Denied, || format!("make `{}`", dir.display()))?;
    let database = dir.join("demo.db");
    make_database(database.clone(), options.rows).await?;
    let path = dir.join("demo.yaml");
    write_job(&path, &dir, &database)?;

    let job = read_job(&path, None)?;
    let shown = options.dir.join("demo.yaml");
    let finished =
        Planned::run(&job, None).await?.carry_out(Again::Run { job: &shown, bucket: None }).await?;
    let mut text = String::new();
    if finished.error.is_none() {
        text = render(&finished.report);
        text.push_str(&way_on(&options.dir, &shown));
    }
    Ok(Answer::new(&finished.report, text)?.because(finished.error))
}

/// Generates the database, if there is none.
async fn make_database(path: PathBuf, rows: Option<u64>) -> Result<()> {
    if path.exists() {
        if rows.is_some() {
            say(&format!(
                "`{}` is there already and stays as it is; delete it to make another",
                path.display()
            ));
        }
        return Ok(());
    }
    let rows = rows.unwrap_or(ROWS);
    let work = move || {
        let started = Instant::now();
        say(&format!("making `{}` with {}", path.display(), count(rows, "row")));
        let step = (rows / 4).max(1);
        let mut next = step;
        data::generate(&path, rows, &mut |done| {
            if done >= next && done < rows {
                say(&format!("  {} of {}", thousands(done), count(rows, "row")));
                next = done + step;
            }
        })?;
        say(&format!("made in {}\n", duration(started.elapsed().as_secs_f64())));
        Ok(())
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(source) => Err(Error::bug("make the demo's database").because(source)),
    }
}

/// Writes a job file like any other: the demo has no way of its own.
fn write_job(path: &Path, dir: &Path, database: &Path) -> Result<()> {
    let job = JobFile {
        bad_rows: None,
        name: "demo".to_owned(),
        source: SourceFile {
            url: Some(sqlite_url(database)?),
            table: Some(TABLE.to_owned()),
            ..SourceFile::default()
        },
        tables: None,
        partitioning: PartitioningFile {
            strategy: Some("auto".to_owned()),
            ..PartitioningFile::default()
        },
        columns: std::collections::BTreeMap::new(),
        incremental: None,
        dedup: None,
        target: TargetFile {
            table: Some(file_url(&dir.join("warehouse").join("demo").join(TABLE))?),
            write_disposition: WriteDisposition::Truncate,
            ..TargetFile::default()
        },
        bucket: Some(file_url(&dir.join("bucket"))?),
        limits: LimitsFile {
            max_tasks: Some(4),
            finish_within: Some("2s".to_owned()),
            ..LimitsFile::default()
        },
        cloud_run: TaskKind::default(),
        engine: EngineWish::default(),
        dataflow: DataflowFile::default(),
        consistency: Consistency::Snapshot,
        row_security: RowSecurity::default(),
        all_or_nothing: false,
        schedule: None,
    };
    let text = format!(
        "# Written by `sluice demo`. Change it, and run it with `sluice run`.\n{}",
        yaml(&job)?
    );
    fs::write(path, text).doing(Kind::Denied, || format!("write `{}`", path.display()))
}

/// What to type next.
fn way_on(dir: &Path, job: &Path) -> String {
    let files = dir.join("warehouse").join("demo").join(TABLE);
    let (files, job) = (files.display(), job.display());
    format!(
        "\nlook at the table, with what you have:\n\
         \n  duckdb -c \"select count(*) from '{files}/*.parquet'\"\
         \n  python3 -c \"import pyarrow.dataset as d; print(d.dataset('{files}').count_rows())\"\n\
         \nand at how it was cut:\n\
         \n  sluice plan {job}\n"
    )
}
