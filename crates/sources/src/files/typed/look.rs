//! Planning: what the files say of their columns, their rows and their blocks.

use std::sync::Arc;

use arrow_avro::compression::CompressionCodec;
use arrow_schema::{Field, SchemaRef};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use parquet::basic::Compression;
use sluice_contracts::documents::{Column, Decimal, Leaf, ObjectVersion, OnInvalid, TargetType};
use sluice_contracts::job::{ColumnFile, FormatName, TableJob};
use sluice_contracts::{Error, Result};

use super::avro::Header;
use super::block::BlockFrame;
use super::field::{ASKED, UUID, asked_misfits, asked_types, column_of};
use super::merge::widen;
use super::parquet::Footer;
use super::step::{steps_of, way_out};
use crate::description::Piece;
use crate::files::file_bytes::FileBytes;
use crate::files::format::Format;
use crate::files::listing::FoundFile;
use crate::files::sample::{chosen, object};
use crate::files::starts::{ascending, places};
use crate::files::store::FileStore;
use crate::files::table::{Found, chosen_columns};
use crate::naming::{description, target_name};

/// Files that are looked at, at most.
const FILES: usize = 256;
/// Files that are looked at at once.
const AT_ONCE: usize = 16;
/// Row groups from this size on are warned of: the task that reads one holds it in memory.
const LARGE: u64 = 256 << 20;
/// Bytes that are looked at for the beginning of a block, one after the other until one tells.
const WINDOWS: [u64; 3] = [128 << 10, 2 << 20, 64 << 20];

/// A look at files.
#[derive(Debug)]
pub(in crate::files) struct Look {
    pub(super) files: Vec<FileLook>,
    /// All columns, in the order in which the files name them.
    columns: Vec<Column>,
}

/// A look at one file.
#[derive(Debug)]
pub(super) struct FileLook {
    /// Its name, for messages.
    pub(super) name: String,
    path: String,
    size: u64,
    pub(super) schema: SchemaRef,
    /// Exact for Parquet.
    pub(super) rows: u64,
    pub(super) parts: Parts,
    /// Bytes of its values.
    bytes: u64,
    /// Bytes of its largest part that is held in memory as a whole.
    largest: u64,
}

/// The parts of a file that can be read by themselves, and how they are compressed.
#[derive(Debug)]
pub(super) enum Parts {
    RowGroups(Vec<Compression>),
    Blocks(Option<CompressionCodec>),
}

/// Looks at files, or at some of many.
pub(in crate::files) async fn look_at(
    store: &Arc<FileStore>,
    format: &Format,
    files: &[FoundFile],
    job: &TableJob,
) -> Result<Look> {
    if let Some(empty) = files.iter().find(|file| file.size == 0) {
        let name = store.name_of(&empty.path);
        return Err(Error::data(format!("describe `{name}`: it has no bytes"))
            .hint("delete the file, or write it again: also a table without rows has a schema"));
    }
    let looks: Vec<_> =
        chosen(files, FILES).into_iter().map(|file| look(store, format, object(file))).collect();
    let files: Vec<FileLook> = stream::iter(looks).buffered(AT_ONCE).try_collect().await?;
    let columns = merged(&files, format, job)?;
    Ok(Look { files, columns })
}

async fn look(store: &Arc<FileStore>, format: &Format, file: ObjectVersion) -> Result<FileLook> {
    let bytes = FileBytes::new(store, &file);
    let name = bytes.name().to_owned();
    let ObjectVersion { path, size, .. } = file;
    if format.name == Some(FormatName::Avro) {
        let header = Header::read(&bytes).await?;
        let first = header.end().min(size)..(header.end() + 20).min(size);
        let first = bytes.get(first).await?;
        let block = BlockFrame::read(&first).and_then(Result::ok);
        let (records, length) =
            block.map_or((1, size), |block| (block.records, block.length() as u64));
        let rows = u128::from(records) * u128::from(size) / u128::from(length.max(1));
        return Ok(FileLook {
            name,
            path,
            size,
            schema: Arc::clone(header.schema()),
            rows: u64::try_from(rows).unwrap_or(u64::MAX),
            bytes: size,
            parts: Parts::Blocks(header.codec()),
            largest: length.min(size),
        });
    }
    let footer = Footer::read(&bytes).await?;
    let groups = footer.row_groups();
    Ok(FileLook {
        name,
        path,
        size,
        schema: Arc::clone(footer.schema()),
        rows: groups.iter().map(|group| group.rows).sum(),
        bytes: groups.iter().map(|group| group.bytes).sum(),
        parts: Parts::RowGroups(footer.codecs()),
        largest: groups.iter().map(|group| group.stored).max().unwrap_or_default(),
    })
}

/// All columns of the files, each of a type that holds the values of all. Unless columns may be missing, the first
/// file says which there are.
fn merged(files: &[FileLook], format: &Format, job: &TableJob) -> Result<Vec<Column>> {
    let mut columns: Vec<(Column, &str)> = Vec::new();
    for (number, file) in files.iter().enumerate() {
        for field in file.schema.fields() {
            let name = field.name();
            let place = columns.iter().position(|(column, _)| column.source_name == *name);
            let is_new = place.is_none() && (number == 0 || format.takes_missing());
            let is_chosen = job.select.as_ref().is_none_or(|names| names.contains(name));
            if !is_chosen || (place.is_none() && !is_new) {
                continue;
            }
            let told = column_of(field)
                .map_err(|error| error.during(format!("describe `{}`", file.name)))?;
            let Some((column, first)) = place.and_then(|place| columns.get_mut(place)) else {
                columns.push((told, file.name.as_str()));
                continue;
            };
            let is_asked = job.columns.get(name).is_some_and(|asked| asked.target_type.is_some());
            if !is_asked && !widen(column, &told, format.takes_missing()) {
                return Err(mixed(column, first, &told, &file.name));
            }
        }
    }
    Ok(columns.into_iter().map(|(column, _)| column).collect())
}

fn mixed(column: &Column, first: &str, other: &Column, file: &str) -> Error {
    let name = &column.source_name;
    Error::data(format!(
        "describe the files: column `{name}` is {} in `{first}`, and {} in `{file}`",
        column.source_type, other.source_type
    ))
    .hint(way_out(&[column, other]))
}

impl Look {
    /// The columns of the table: those that the job chooses, or all, with the types that it names.
    pub(in crate::files) fn columns(
        &self,
        job: &TableJob,
        of_paths: &Found,
        format: &mut Format,
    ) -> Result<Vec<Column>> {
        let mut names: Vec<String> = Vec::new();
        for file in &self.files {
            for field in file.schema.fields() {
                if !names.contains(field.name()) {
                    names.push(field.name().clone());
                }
            }
            if !format.takes_missing() {
                break;
            }
        }
        let columns = chosen_columns(job, &names, of_paths, |name| {
            let told = self.columns.iter().find(|column| column.source_name == name);
            let told =
                told.ok_or_else(|| Error::bug("describe a column of files: it is not there"));
            asked(job, told?)
        })?;
        let is_of_files = |column: &&Column| names.contains(&column.source_name);
        let of_files: Vec<Column> = columns.iter().filter(is_of_files).cloned().collect();
        for file in &self.files {
            let fields: Vec<&Field> = file.schema.fields().iter().map(AsRef::as_ref).collect();
            steps_of(&fields, &of_files, &names, format)
                .map_err(|error| error.during(format!("describe `{}`", file.name)))?;
        }
        format.known = Some(names);
        Ok(columns)
    }

    /// What changes when the columns of the files do.
    pub(in crate::files) fn shape(&self) -> String {
        let shape = self.columns.iter().map(|column| (&column.source_name, &column.source_type));
        serde_json::to_string(&shape.collect::<Vec<_>>()).unwrap_or_default()
    }

    /// A file as planning cuts it: as it was looked at, or as those that were looked at tell.
    pub(in crate::files) fn piece(&self, file: &FoundFile) -> Piece {
        let leaf = Some(Leaf::Object(object(file)));
        if let Some(look) = self.files.iter().find(|look| look.path == file.path) {
            return Piece {
                leaf,
                rows: look.rows,
                bytes: look.bytes,
                has_ranges: true,
                ..Piece::default()
            };
        }
        let sum = |of: fn(&FileLook) -> u64| {
            self.files.iter().map(|file| u128::from(of(file))).sum::<u128>()
        };
        let size = sum(|look| look.size).max(1);
        let share = |of| u64::try_from(sum(of) * u128::from(file.size) / size).unwrap_or(u64::MAX);
        Piece {
            leaf,
            rows: share(|look| look.rows),
            bytes: share(|look| look.bytes),
            has_ranges: true,
            ..Piece::default()
        }
    }

    /// The warning of what a task has to hold in memory.
    pub(in crate::files) fn warning(&self) -> Option<String> {
        let largest = self.files.iter().max_by_key(|file| file.largest)?;
        (largest.largest >= LARGE).then(|| {
            format!(
                "`{}` has a part of {} MB that one task holds in memory; write smaller row groups or blocks",
                largest.name,
                largest.largest / 1_000_000
            )
        })
    }
}

/// A column with what the job says of it.
fn asked(job: &TableJob, told: &Column) -> Result<Column> {
    let name = &told.source_name;
    let unasked = ColumnFile::default();
    let asked = job.columns.get(name).unwrap_or(&unasked);
    let is_single = !told.repeated && told.target_type != TargetType::Struct;
    let column = match asked.target_type {
        None => told.clone(),
        Some(wanted) if is_single && wanted == told.target_type => told.clone(),
        Some(TargetType::Bytes) if is_single && told.encoding == UUID => {
            Column { target_type: TargetType::Bytes, ..told.clone() }
        }
        Some(wanted) if is_single && asked_types(&told.encoding).contains(&wanted) => Column {
            encoding: ASKED.to_owned(),
            target_type: wanted,
            decimal: match wanted {
                TargetType::Numeric => Some(Decimal::NUMERIC),
                TargetType::Bignumeric => Some(Decimal::BIGNUMERIC),
                _ => None,
            },
            invalid: asked_misfits(&told.encoding, wanted).map(str::to_owned),
            ..told.clone()
        },
        Some(wanted) => {
            let types = if is_single { asked_types(&told.encoding) } else { &[] };
            let types: Vec<String> = types.iter().map(|it| format!("`{it}`")).collect();
            let hint = if types.is_empty() {
                format!("leave `columns.{name}.type` out")
            } else {
                format!("set `columns.{name}.type` to one of {}", types.join(", "))
            };
            return Err(Error::invalid(format!(
                "describe the files: column `{name}` is {}, and cannot become `{wanted}`",
                told.source_type
            ))
            .hint(hint));
        }
    };
    Ok(Column {
        name: target_name(name, asked.name.as_deref())?,
        description: description(asked.description.as_deref()),
        on_invalid: asked.on_invalid.unwrap_or(OnInvalid::Fail),
        ..column
    })
}

/// Where row groups or blocks begin that cut a file into about `count` ranges, without the first. `None` if it cannot be
/// cut.
pub(in crate::files) async fn starts_of(
    store: &Arc<FileStore>,
    format: &Format,
    file: &ObjectVersion,
    count: u32,
) -> Result<Option<Vec<u64>>> {
    if format.name == Some(FormatName::Avro) {
        let bytes = FileBytes::new(store, file);
        let header = Header::read(&bytes).await?;
        let near = places(file.size, count, header.end());
        let looks = near.into_iter().map(|place| block_near(&bytes, &header, place)).collect();
        return ascending(file.size, looks).await;
    }
    let bytes = FileBytes::new(store, file);
    let footer = Footer::read(&bytes).await?;
    if bytes.is_whole() {
        return Ok(None);
    }
    let mut starts: Vec<u64> = footer.row_groups().iter().map(|group| group.start).collect();
    starts.sort_unstable();
    let first = starts.first().copied().unwrap_or_default();
    let looks = places(file.size, count, first).into_iter().map(|place| {
        let next = starts.iter().copied().find(|start| *start >= place);
        std::future::ready(Ok(next))
    });
    ascending(file.size, looks.collect()).await
}

/// The first block that begins behind a place, as far as a look tells.
async fn block_near(file: &FileBytes, header: &Header, place: u64) -> Result<Option<u64>> {
    for length in WINDOWS {
        let end = file.size().min(place.saturating_add(length));
        let Some(window) = file.get_part(place..end).await? else { return Ok(None) };
        if let Some(at) = header.block_in(&window) {
            return Ok(Some(place + at as u64));
        }
        if end == file.size() {
            break;
        }
    }
    Ok(None)
}
