//! Files of a source that BigQuery loads by itself.
//!
//! A load job names objects, and not their generations. So the files are compared with the plan before the job
//! begins, and once more when the rows are staged: no generation comes back, so a file that has the planned
//! one then had it all the time, and the staged rows are its rows.

use std::collections::{BTreeMap, HashMap};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectMeta, ObjectStoreExt as _};
use serde_json::{Map, Value};
use sluice_contracts::documents::{
    EngineEstimate, NativeCsv, NativeFiles, NativeFormat, ObjectVersion, Table, TargetType,
};
use sluice_contracts::store::{Bucket, storage_error, version_of};
use sluice_contracts::{Error, Kind, Result};
use sluice_runtime::format::thousands;

use super::job;
use super::native::JOB_SECONDS;
use super::path::{MOST_FILES, is_converted};
use crate::target::Load;

/// Bytes of files that one load job takes. <https://cloud.google.com/bigquery/quotas#load_jobs>
const MOST_BYTES: u64 = 15_000_000_000_000;
/// Bytes of files that a load job reads in one second. Assumed: BigQuery promises no speed.
const BYTES_PER_SECOND: f64 = 1e8;
/// Files of one folder from which on the folder is listed: fewer are asked for by their names.
const LISTED: usize = 16;
/// Requests that are made at once.
const AT_ONCE: usize = 16;

/// Why one load job does not take the files, if it does not.
pub(super) fn refusal(files: &NativeFiles, table: &Table) -> Option<String> {
    let (count, bytes) = (files.files.len(), files.bytes());
    if count > MOST_FILES {
        return Some(format!(
            "there are {} files, and one load job takes {}",
            thousands(count as u64),
            thousands(MOST_FILES as u64)
        ));
    }
    if bytes > MOST_BYTES {
        return Some(format!(
            "the files have {} bytes, and one load job takes 15 TB",
            thousands(bytes)
        ));
    }
    let is_text = matches!(files.format, NativeFormat::Csv(_) | NativeFormat::JsonLines { .. });
    // A document is loaded from its text.
    let is_loaded = |kind| is_text && kind == TargetType::Json;
    let mut columns = table.columns.iter().filter(|column| is_converted(column));
    let refused = columns.find(|column| !is_loaded(column.target_type))?;
    Some(format!(
        "no load job fills column `{}`, because it is of type {}",
        refused.name, refused.target_type
    ))
}

/// What a load job of the files takes.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub(super) fn estimate(files: &NativeFiles) -> EngineEstimate {
    let seconds = JOB_SECONDS + files.bytes() as f64 / BYTES_PER_SECOND;
    EngineEstimate { seconds, dollars: 0.0 }
}

/// What a load job says of the files: which ones, and how they are written.
/// <https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationLoad>
pub(super) fn read_by_load(files: &NativeFiles) -> Map<String, Value> {
    let uris: Vec<String> =
        files.files.iter().map(|file| format!("{}/{}", files.bucket, file.path)).collect();
    let mut read = match &files.format {
        NativeFormat::Csv(csv) => csv_options(csv),
        NativeFormat::JsonLines { latin1, ignore_unknown } => Map::from_iter([
            ("sourceFormat".to_owned(), "NEWLINE_DELIMITED_JSON".into()),
            ("encoding".to_owned(), encoding(*latin1).into()),
            ("ignoreUnknownValues".to_owned(), (*ignore_unknown).into()),
        ]),
        NativeFormat::Parquet => Map::from_iter([
            ("sourceFormat".to_owned(), "PARQUET".into()),
            ("parquetOptions".to_owned(), job::list_inference()),
        ]),
        NativeFormat::Avro => Map::from_iter([
            ("sourceFormat".to_owned(), "AVRO".into()),
            ("useAvroLogicalTypes".to_owned(), true.into()),
        ]),
    };
    read.insert("sourceUris".to_owned(), uris.into());
    read
}

fn csv_options(csv: &NativeCsv) -> Map<String, Value> {
    let quote = csv.quote.map(String::from).unwrap_or_default();
    Map::from_iter([
        ("sourceFormat".to_owned(), "CSV".into()),
        ("skipLeadingRows".to_owned(), csv.skip_lines.into()),
        ("fieldDelimiter".to_owned(), csv.delimiter.to_string().into()),
        ("allowQuotedNewlines".to_owned(), (!quote.is_empty()).into()),
        ("quote".to_owned(), quote.into()),
        ("nullMarker".to_owned(), csv.null.as_str().into()),
        ("encoding".to_owned(), encoding(csv.latin1).into()),
        ("allowJaggedRows".to_owned(), csv.take_missing.into()),
        ("ignoreUnknownValues".to_owned(), csv.ignore_unknown.into()),
    ])
}

fn encoding(latin1: bool) -> &'static str {
    if latin1 { "ISO-8859-1" } else { "UTF-8" }
}

/// Compares the files with the plan.
///
/// # Errors
/// `Data` if a file was replaced or deleted since.
pub(super) async fn require_planned(load: &Load, files: &NativeFiles) -> Result<()> {
    let Some(bucket) = &load.source_bucket else {
        return Err(Error::bug("compare the files with the plan: their bucket is not open"));
    };
    let mut folders: BTreeMap<Path, Vec<&ObjectVersion>> = BTreeMap::new();
    for file in &files.files {
        folders.entry(path_of(file).parent().unwrap_or_default()).or_default().push(file);
    }
    let compared = folders.iter().map(|(folder, files)| compare(bucket, folder, files));
    let compared: Vec<_> = compared.collect();
    stream::iter(compared).buffer_unordered(AT_ONCE).try_collect::<()>().await
}

/// Compares the files of one folder with the plan.
async fn compare(bucket: &Bucket, folder: &Path, files: &[&ObjectVersion]) -> Result<()> {
    if files.len() < LISTED {
        for file in files {
            let found = match bucket.store.head(&path_of(file)).await {
                Ok(meta) => Some(meta),
                Err(StoreError::NotFound { .. }) => None,
                Err(source) => return Err(unread(bucket, "look at", &file.path, source)),
            };
            require_same(bucket, file, found.as_ref())?;
        }
        return Ok(());
    }
    let listed = bucket.store.list_with_delimiter(Some(folder)).await;
    let listed = listed.map_err(|source| unread(bucket, "list", folder.as_ref(), source))?;
    let found: HashMap<&str, &ObjectMeta> =
        listed.objects.iter().map(|meta| (meta.location.as_ref(), meta)).collect();
    files
        .iter()
        .try_for_each(|file| require_same(bucket, file, found.get(file.path.as_str()).copied()))
}

fn path_of(file: &ObjectVersion) -> Path {
    Path::from(file.path.as_str())
}

fn require_same(bucket: &Bucket, file: &ObjectVersion, found: Option<&ObjectMeta>) -> Result<()> {
    let what = match found {
        None => "deleted",
        Some(meta) if meta.size != file.size || version_of(meta) != file.generation => "replaced",
        Some(_) => return Ok(()),
    };
    let name = &file.path;
    Err(Error::data(format!("load `{}/{name}`: it was {what} after the run was planned", bucket.url))
        .hint("nothing of the table was made visible; start the run again: it is planned for the files as they are then"))
}

fn unread(bucket: &Bucket, doing: &str, path: &str, source: StoreError) -> Error {
    let error = storage_error(format!("{doing} `{}/{path}`", bucket.url), source);
    if error.kind() != Kind::Denied {
        return error;
    }
    error.hint(
        "the identity that loads has to list and to read the bucket of the files \
         (`roles/storage.objectViewer`)",
    )
}
