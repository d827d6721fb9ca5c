//! Files that BigQuery loads by itself, so that nothing is extracted.
//!
//! BigQuery reads Parquet and Avro as they are. It takes texts for values that tasks refuse (`007` for an
//! integer), so it loads CSV and JSON lines only if the job asks for that.
//!
//! <https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-csv>
//! <https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-json>

use sluice_contracts::documents::{
    Column, NativeCsv, NativeFiles, NativeFormat, NativeRows, OnInvalid,
};
use sluice_contracts::job::{Compression, FormatName, TableJob, TextEncoding};

use super::address::{Address, StoreKind};
use super::csv::{Header, delimiter_line};
use super::format::{Format, Mark};
use super::listing::FoundFile;
use super::sample::{Head, object};
use crate::description::NativeSource;

/// Bytes of a compressed file of text that BigQuery loads.
/// <https://cloud.google.com/bigquery/quotas#load_jobs>
const MOST_COMPRESSED: u64 = 4_000_000_000;

/// What is asked of files, and what was found.
pub(super) struct Asked<'a> {
    pub(super) addresses: &'a [Address],
    pub(super) job: &'a TableJob,
    pub(super) format: &'a Format,
    pub(super) files: &'a [FoundFile],
    /// The columns of the table.
    pub(super) columns: &'a [Column],
}

/// Why a load job does not read the files.
type Why = String;

impl Asked<'_> {
    /// Whether BigQuery loads files that name the types of their columns. `types` says that it makes of
    /// every column what tasks make of it, with the number of rows where the files say it, or why not.
    pub(super) fn of_typed(&self, types: Result<Option<u64>, Why>) -> NativeSource {
        let Some(bucket) = self.bucket() else { return NativeSource::Absent };
        let format = match self.format.name {
            Some(FormatName::Parquet) => NativeFormat::Parquet,
            Some(FormatName::Avro) => NativeFormat::Avro,
            Some(FormatName::Csv | FormatName::JsonLines) | None => return NativeSource::Absent,
        };
        match self.require_whole().and(types) {
            Ok(rows) => NativeSource::Exact(self.rows(bucket, format, rows)),
            Err(why) => NativeSource::Refused(why),
        }
    }

    /// Whether BigQuery loads files of text that begin so, with `names` of the columns in their order.
    pub(super) fn of_text(&self, heads: &[Head], names: &[String]) -> NativeSource {
        let Some(bucket) = self.bucket() else { return NativeSource::Absent };
        match self.text(heads, names) {
            Ok((format, loss)) => {
                NativeSource::Inexact { rows: self.rows(bucket, format, None), loss }
            }
            Err(why) => NativeSource::Refused(why),
        }
    }

    /// The URL of the bucket of Cloud Storage that has the files.
    fn bucket(&self) -> Option<String> {
        let is_there = |address: &&Address| *address.kind() == StoreKind::CloudStorage;
        self.addresses.first().filter(is_there).map(|address| address.root().to_owned())
    }

    fn rows(&self, bucket: String, format: NativeFormat, rows: Option<u64>) -> NativeRows {
        let files = self.files.iter().map(object).collect();
        NativeRows::Files(NativeFiles { bucket, format, files, rows })
    }

    /// Refuses all but every column of the files, as it is.
    fn require_whole(&self) -> Result<(), Why> {
        if let Some(name) = self.format.partition_columns.first() {
            return Err(format!(
                "`{name}` is in the paths of the files (`source.partition_columns`), and a load job \
                 reads their bytes alone"
            ));
        }
        if self.format.bad_rows > 0 {
            return Err(
                "the job sets rows aside (`bad_rows`), and a load job takes all or none".into()
            );
        }
        if self.job.select.is_some() {
            return Err(
                "the job chooses columns (`source.columns`), and a load job takes all".into()
            );
        }
        for column in self.columns {
            let name = &column.source_name;
            let asked = self.job.columns.get(name);
            if column.name != *name {
                return Err(format!(
                    "column `{name}` becomes `{}`, and a load job gives no column another name",
                    column.name
                ));
            }
            if asked.is_some_and(|asked| asked.target_type.is_some()) {
                return Err(format!(
                    "the job names a type (`columns.{name}.type`), and a load job reads columns as they \
                     are"
                ));
            }
            if column.on_invalid != OnInvalid::Fail {
                return Err(format!(
                    "a load job makes no value NULL (`columns.{name}.on_invalid`)"
                ));
            }
        }
        match self.files.iter().find(|file| file.path.contains('*')) {
            Some(file) => Err(format!(
                "the name of `{}` has a `*`, which stands for other names in a load job",
                file.path
            )),
            None => Ok(()),
        }
    }

    fn text(&self, heads: &[Head], names: &[String]) -> Result<(NativeFormat, String), Why> {
        self.require_whole()?;
        self.require_compression(heads)?;
        let latin1 = match self.format.coding.encoding {
            None | Some(TextEncoding::Utf8) => false,
            Some(TextEncoding::Latin1) => true,
            Some(other) => return Err(other_encoding(other.word())),
        };
        let is_wide = |head: &&Head| head.encoding == TextEncoding::Utf16;
        if let Some(head) = heads.iter().find(is_wide) {
            return Err(other_encoding(&format!("UTF-16 (`{}`)", head.name)));
        }
        let ignore_unknown = self.format.ignores_unknown();
        let is_csv = self.format.name == Some(FormatName::Csv);
        let marked = heads.iter().find(|head| head.has_mark);
        if let Some(head) = marked.filter(|_| !(is_csv && self.format.has_header())) {
            return Err(format!("`{}` begins with a byte order mark", head.name));
        }
        if !is_csv {
            let loss = "BigQuery reads JSON by other rules: `\"7\"` is 7 in a column of numbers, and \
                        keys are compared without regard to case";
            return Ok((NativeFormat::JsonLines { latin1, ignore_unknown }, loss.to_owned()));
        }
        let csv = self.csv(heads, names, latin1, ignore_unknown)?;
        let nulls = if csv.null.is_empty() {
            "an empty field of a STRING column is an empty text and not NULL"
        } else {
            "the text for NULL is NULL in quotes, too"
        };
        let loss = format!(
            "BigQuery reads CSV by other rules: `007` is 7 in a column of integers, {nulls}, and \
             fields fill the columns by their places, whatever the header of a file says"
        );
        Ok((NativeFormat::Csv(csv), loss))
    }

    /// Refuses what a load job does not decompress. It takes no mixture of both kinds.
    fn require_compression(&self, heads: &[Head]) -> Result<(), Why> {
        let mut found = heads.iter().map(|head| (head.compression, &head.name));
        let Some((first, _)) = found.next() else { return Ok(()) };
        if !matches!(first, Compression::None | Compression::Gzip) {
            return Err(format!(
                "the files are compressed by {}, and a load job reads gzip alone",
                first.word()
            ));
        }
        if let Some((_, name)) = found.find(|(other, _)| *other != first) {
            return Err(format!(
                "`{name}` is not compressed as other files are, and a load job takes files of one \
                 kind"
            ));
        }
        let is_large = |file: &&FoundFile| file.size > MOST_COMPRESSED;
        match self.files.iter().find(is_large).filter(|_| first == Compression::Gzip) {
            Some(file) => Err(format!(
                "`{}` has more than 4 GB, and a load job takes no larger file that is compressed",
                file.path
            )),
            None => Ok(()),
        }
    }

    fn csv(
        &self,
        heads: &[Head],
        names: &[String],
        latin1: bool,
        ignore_unknown: bool,
    ) -> Result<NativeCsv, Why> {
        let format = self.format;
        if format.comment.is_some() {
            return Err("a load job knows no comments (`source.format.comment`)".to_owned());
        }
        if let Some(Mark::Byte(escape)) = format.escape {
            return Err(format!(
                "`{}` escapes characters (`source.format.escape`), and in a load job only a doubled \
                 quote does",
                char::from(escape)
            ));
        }
        for head in heads.iter().filter(|head| !head.text.is_empty()) {
            self.require_header(head, names)?;
        }
        let header = u64::from(format.has_header());
        Ok(NativeCsv {
            skip_lines: u64::from(format.skip_lines) + header,
            delimiter: char::from(format.delimiter.unwrap_or(b',')),
            quote: format.quote.map_or(Some(b'"'), Mark::byte).map(char::from),
            null: format.null.clone(),
            latin1,
            take_missing: format.takes_missing(),
            ignore_unknown,
        })
    }

    /// Refuses a file with other columns, or with more before its records than lines that are skipped and one
    /// line of names.
    fn require_header(&self, head: &Head, names: &[String]) -> Result<(), Why> {
        let Head { name, text, is_whole, .. } = head;
        if delimiter_line(text).is_some() {
            return Err(format!(
                "`{name}` begins with a line `sep=`, which is a row to a load job"
            ));
        }
        let header = Header::read(name, self.format, text, *is_whole);
        let Ok(Some(header)) = header else {
            return Err(format!("the header of `{name}` cannot be read"));
        };
        if header.has_returns {
            return Err(format!("the lines of `{name}` end in carriage returns alone"));
        }
        if header.names.as_ref().is_some_and(|found| found != names) {
            return Err(format!(
                "`{name}` has other columns than the first file, or in another order, and a load job \
                 fills columns by their places"
            ));
        }
        let before = text.get(..header.end).unwrap_or_default();
        let lines = before.split_inclusive(|byte| *byte == b'\n').count() as u64;
        let expected = u64::from(self.format.skip_lines) + u64::from(self.format.has_header());
        if lines == expected {
            return Ok(());
        }
        Err(format!(
            "the header of `{name}` is not one line behind those that are skipped, and a load job \
             skips lines alone"
        ))
    }
}

fn other_encoding(encoding: &str) -> Why {
    format!("the files are in {encoding}, and a load is planned of UTF-8 and latin1 alone")
}
