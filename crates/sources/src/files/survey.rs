//! Planning: which files there are, how they are written, and what their columns are.

use std::sync::Arc;

use async_trait::async_trait;
use sluice_contracts::documents::{Column, Cut, Leaf, ObjectVersion, Relation, SnapshotPlan};
use sluice_contracts::job::{Compression, FormatName, TableJob};
use sluice_contracts::{Error, Result};

use super::address::Address;
use super::csv::{Boundary, Dialect, Header, find_boundary};
use super::detect::{COMPRESSED, named, settle};
use super::fetch::{Fetch, has_no_ranges};
use super::format::Format;
use super::listing::{FoundFile, list};
use super::native::Asked;
use super::sample::{FILES, Head, chosen, head, heads, object};
use super::starts::{ascending, places};
use super::store::FileStore;
use super::table::{Found, columns_of, look_at};
use super::{partitions, typed};
use crate::description::{Description, Listing, Piece};
use crate::source::Survey;

/// Compressed files from this size on are warned of: one task reads each.
const LARGE: u64 = 256 << 20;
/// Bytes that are looked at for the beginning of a record, one after the other until one tells.
const WINDOWS: [u64; 3] = [16 << 10, 256 << 10, 4 << 20];

/// A look at files.
#[derive(Debug)]
pub(super) struct FilesSurvey {
    store: Arc<FileStore>,
    /// What the source names, as the job writes it.
    urls: Vec<String>,
    addresses: Vec<Address>,
    /// What the last described table is.
    format: Option<Format>,
    warnings: Vec<String>,
    files: usize,
    bytes: u64,
}

impl FilesSurvey {
    pub(super) fn new(store: Arc<FileStore>, urls: Vec<String>, addresses: Vec<Address>) -> Self {
        Self { store, urls, addresses, format: None, warnings: Vec::new(), files: 0, bytes: 0 }
    }

    fn store_name(&self) -> Option<String> {
        self.addresses.first()?.store().map(str::to_owned)
    }

    fn asked<'a>(
        &'a self,
        job: &'a TableJob,
        format: &'a Format,
        files: &'a [FoundFile],
        columns: &'a [Column],
    ) -> Asked<'a> {
        Asked { addresses: &self.addresses, job, format, files, columns }
    }

    /// Describes files that name the types of their columns.
    async fn describe_typed(
        &mut self,
        table: &TableJob,
        mut format: Format,
        files: &[FoundFile],
    ) -> Result<Description> {
        let look = typed::look_at(&self.store, &format, files, table).await?;
        let of_paths = partitions::look_at(&self.store, files, &format.partition_columns)?;
        let columns = look.columns(table, &of_paths, &mut format)?;
        let relation = format.relation(&self.urls);
        let asked = self.asked(table, &format, files, &columns);
        let native = asked.of_typed(look.loaded(files.len(), &columns));
        self.format = Some(format);
        Ok(Description {
            columns,
            shape: look.shape(),
            pieces: files.iter().map(|file| look.piece(file)).collect(),
            store: self.store_name(),
            relation: Some(relation),
            native,
            warnings: look.warning().into_iter().collect(),
            ..Description::default()
        })
    }
}

#[async_trait]
impl Survey for FilesSurvey {
    async fn tables(&mut self) -> Result<Listing> {
        Err(Error::invalid("list the tables of files: files are one table")
            .hint("leave `tables` out, and name what the files become in `target.table`"))
    }

    async fn describe(&mut self, table: &TableJob) -> Result<Description> {
        let Relation::Files { urls, .. } = &table.relation else {
            return Format::of(&table.relation).map(|_| Description::default());
        };
        let mut format = Format::of(&table.relation)?;
        if *urls != self.urls {
            return Err(Error::not_found("describe the files: the source names others"));
        }
        let files = list(&self.store.objects, &self.addresses).await?;
        (self.files, self.bytes) = (files.len(), files.iter().map(|file| file.size).sum());
        if format.name.is_none()
            && let Some(first) = chosen(&files, 1).first()
        {
            format.name = named(&first.path);
        }
        if format.is_typed() {
            return self.describe_typed(table, format, &files).await;
        }
        let heads = heads(&self.store, format.coding, &chosen(&files, FILES)).await?;
        let Some(first) = heads.iter().find(|head| !head.text.is_empty()) else {
            return Err(Error::data(format!(
                "describe the files: {} found, and none has a byte of text",
                counted(files.len())
            ))
            .hint("nothing tells the columns of empty files"));
        };
        settle(&mut format, first, &heads)?;
        if format.is_typed() {
            return self.describe_typed(table, format, &files).await;
        }
        let found = look_at(&mut format, &heads, table)?;
        let of_paths = partitions::look_at(&self.store, &files, &format.partition_columns)?;
        let columns = columns_of(table, &found, &of_paths, &mut format)?;
        let rate = Rate::of(&heads, &found);
        let pieces = files.iter().map(|file| rate.piece(file, &format)).collect();
        let mut warnings = Vec::new();
        warnings.extend(large_compressed(&self.store, &files, &heads));
        let relation = format.relation(urls);
        let asked = self.asked(table, &format, &files, &columns);
        let native = asked.of_text(&heads, &found.names);
        self.format = Some(format);
        Ok(Description {
            columns,
            shape: found.shape(),
            pieces,
            store: self.store_name(),
            relation: Some(relation),
            native,
            warnings,
            ..Description::default()
        })
    }

    async fn record_starts(&mut self, piece: &Piece, count: u32) -> Result<Option<Vec<u64>>> {
        let Some(Leaf::Object(file)) = &piece.leaf else { return Ok(None) };
        let Some(format) = &self.format else { return Ok(None) };
        if format.is_typed() {
            return typed::starts_of(&self.store, format, file, count).await;
        }
        let starts = starts_of(&self.store, format, file, count).await?;
        if starts.is_none() {
            self.warnings.push(format!(
                "`{}` is read by one task: a look at its middle does not tell where records begin",
                self.store.name_of(&file.path)
            ));
        }
        Ok(starts)
    }

    async fn warnings(&mut self) -> Result<Vec<String>> {
        Ok(std::mem::take(&mut self.warnings))
    }

    /// The units name the version of each file.
    async fn snapshot(&mut self) -> Result<SnapshotPlan> {
        let value = format!("{} of {} bytes", counted(self.files), self.bytes);
        Ok(SnapshotPlan::Pinned { value })
    }

    fn predicate(&self, cut: &Cut) -> Result<String> {
        match cut {
            Cut::Full => Ok(String::new()),
            Cut::Bytes { lo, hi: Some(hi) } => Ok(format!("bytes {lo} to {hi}")),
            Cut::Bytes { lo, hi: None } => Ok(format!("bytes {lo} to the end")),
            other => Err(Error::invalid(format!(
                "cut files by `{}`: they have no such units",
                other.kind()
            ))
            .hint("use `file`, `file_range` or `auto`")),
        }
    }
}

/// `1 file` or `3 files`.
fn counted(files: usize) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}

/// What the sampled files tell of the sizes of all.
struct Rate {
    bytes_per_row: f64,
    /// Bytes of text for each byte of a file.
    text_per_byte: f64,
}

impl Rate {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn of(heads: &[Head], found: &Found) -> Self {
        let bytes: u64 = heads.iter().map(|head| head.bytes).sum();
        let text: usize = heads.iter().map(|head| head.text.len()).sum();
        Self {
            bytes_per_row: (bytes as f64 / found.rows.max(1) as f64).max(1.0),
            text_per_byte: text as f64 / bytes.max(1) as f64,
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate"
    )]
    fn piece(&self, file: &FoundFile, format: &Format) -> Piece {
        let size = file.size as f64;
        Piece {
            leaf: Some(Leaf::Object(object(file))),
            rows: (size / self.bytes_per_row).ceil() as u64,
            bytes: (size * self.text_per_byte) as u64,
            has_ranges: is_cut_by_name(file, format),
            ..Piece::default()
        }
    }
}

/// Whether a file is not compressed, as far as its name tells.
fn is_cut_by_name(file: &FoundFile, format: &Format) -> bool {
    let ending = file.path.rsplit('.').next().unwrap_or_default().to_lowercase();
    match format.coding.compression {
        Some(compression) => compression == Compression::None,
        None => !COMPRESSED.contains(&ending.as_str()),
    }
}

/// The warning of large files that no range can be read of.
fn large_compressed(store: &FileStore, files: &[FoundFile], heads: &[Head]) -> Option<String> {
    let head = heads.iter().find(|head| head.compression != Compression::None)?;
    let compression = head.compression.word();
    let largest = files.iter().max_by_key(|file| file.size)?;
    (largest.size >= LARGE).then(|| {
        format!(
            "`{}` has {} MB and is read by one task: a file that is compressed as a whole ({compression}) \
             cannot be read from its middle; write several files, or one without compression",
            store.name_of(&largest.path),
            largest.size / 1_000_000
        )
    })
}

/// Where records begin that cut a file into about `count` ranges, without the first and the end. `None` if it
/// cannot be cut.
async fn starts_of(
    store: &Arc<FileStore>,
    format: &Format,
    file: &ObjectVersion,
    count: u32,
) -> Result<Option<Vec<u64>>> {
    let head = head(store, format.coding, file.clone()).await?;
    if !head.can_be_cut {
        return Ok(None);
    }
    let (mut first, mut fields, mut dialect) = (0, 0, format.dialect());
    if format.name == Some(FormatName::Csv) {
        let header = Header::read(&head.name, format, &head.text, head.is_whole)?;
        let Some(header) = header else { return Ok(None) };
        first = header.end as u64;
        fields = header.names.map_or(format.known_columns(&[]).len(), |names| names.len());
        dialect = dialect.with_returns(header.has_returns);
    }
    let dialect = (format.name == Some(FormatName::Csv)).then_some(&dialect);
    let near = places(file.size, count, first);
    let looks = near.into_iter().map(|place| start_near(store, dialect, file, place, fields));
    ascending(file.size, looks.collect()).await
}

/// The first record that begins behind a place, as far as a look tells; without a dialect of CSV, the first
/// line.
async fn start_near(
    store: &Arc<FileStore>,
    dialect: Option<&Dialect>,
    file: &ObjectVersion,
    place: u64,
    fields: usize,
) -> Result<Option<u64>> {
    for length in WINDOWS {
        // The byte before the place tells something of it too.
        let range = place.saturating_sub(1)..file.size.min(place + length);
        let mut fetch = Fetch::new(store, file, Some(range.clone()))?;
        let mut window = Vec::new();
        loop {
            match fetch.next().await {
                Ok(Some(more)) => window.extend_from_slice(&more),
                Ok(None) => break,
                Err(error) if has_no_ranges(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let found = match (dialect, window.split_first()) {
            (Some(dialect), Some((&before, window))) => {
                match find_boundary(dialect, before, window, fields) {
                    Boundary::At(at) => Boundary::At(at + 1),
                    Boundary::Unknown => Boundary::Unknown,
                }
            }
            _ => memchr::memchr(b'\n', &window)
                .map_or(Boundary::Unknown, |end| Boundary::At(end + 1)),
        };
        if let Boundary::At(at) = found {
            return Ok(Some(range.start + at as u64));
        }
        if range.end == file.size {
            break;
        }
    }
    Ok(None)
}
