//! Files that BigQuery loads by itself.

use sluice_contracts::documents::{Column, NativeFormat, NativeRows, OnInvalid, TargetType};
use sluice_contracts::job::{Compression, FormatName, TextEncoding};

use super::*;
use crate::description::NativeSource;
use crate::files::format::{Format, Mark};
use crate::files::listing::FoundFile;
use crate::files::native::Asked;
use crate::files::sample::Head;

/// Files of one column, whose beginnings are looked at.
struct Case {
    url: &'static str,
    job: TableJob,
    format: Format,
    files: Vec<FoundFile>,
    columns: Vec<Column>,
    heads: Vec<Head>,
}

impl Case {
    fn of(name: FormatName, text: &str) -> Self {
        let file = |path: &str| FoundFile {
            path: path.to_owned(),
            size: 10,
            version: "1700000000000000".to_owned(),
        };
        let head = |name: &str| Head {
            name: name.to_owned(),
            text: text.as_bytes().to_vec(),
            is_whole: true,
            bytes: 10,
            compression: Compression::None,
            can_be_cut: true,
            encoding: TextEncoding::Utf8,
            has_mark: false,
        };
        Self {
            url: "gs://drop/in/*",
            job: Folder::new("*").job(),
            format: Format { name: Some(name), header: Some(true), ..Format::default() },
            files: vec![file("in/1"), file("in/2")],
            columns: vec![Column::plain("id", "integer", TargetType::Int64)],
            heads: vec![head("in/1"), head("in/2")],
        }
    }

    fn csv() -> Self {
        Self::of(FormatName::Csv, "id\n1\n")
    }

    fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn asked<T>(&self, ask: impl FnOnce(&Asked<'_>) -> T) -> T {
        let addresses = [Address::parse(self.url).unwrap()];
        let Self { job, format, files, columns, .. } = self;
        ask(&Asked { addresses: &addresses, job, format, files, columns })
    }

    fn native(&self) -> NativeSource {
        self.asked(|asked| asked.of_text(&self.heads, &["id".to_owned()]))
    }
}

#[test]
fn text_is_loaded_if_the_job_asks_for_it() {
    let csv = Case::csv().but(|case| {
        case.format.skip_lines = 1;
        case.format.coding.encoding = Some(TextEncoding::Latin1);
        case.format.quote = Some(Mark::Absent);
        case.heads.iter_mut().for_each(|head| {
            head.text = b"made by\nid\n1\n".to_vec();
            head.compression = Compression::Gzip;
            head.has_mark = true;
        });
    });
    let NativeSource::Inexact { rows: NativeRows::Files(files), loss } = csv.native() else {
        panic!("{:?}", csv.native());
    };
    assert!(loss.contains("`007` is 7") && loss.contains("and not NULL"), "{loss}");
    assert_eq!((files.bucket.as_str(), files.files.len(), files.rows), ("gs://drop", 2, None));
    let NativeFormat::Csv(options) = &files.format else { panic!("{files:?}") };
    assert_eq!((options.skip_lines, options.quote, options.latin1), (2, None, true));
    let lines = Case::of(FormatName::JsonLines, "{\"id\": 1}\n").native();
    assert!(matches!(lines, NativeSource::Inexact { .. }), "{lines:?}");
    let elsewhere = Case::csv().but(|case| case.url = "s3://drop/in/*");
    assert_eq!(elsewhere.native(), NativeSource::Absent);
}

#[test]
fn what_no_load_job_does_is_refused_with_the_reason() {
    let json = |change: fn(&mut Head)| {
        Case::of(FormatName::JsonLines, "{\"id\": 1}\n").but(|case| change(&mut case.heads[1]))
    };
    let text = |text: &'static str| Case::csv().but(|case| case.heads[1].text = text.into());
    for (case, words) in [
        (Case::csv().but(|it| it.job.select = Some(vec!["id".into()])), "`source.columns`"),
        (
            Case::csv().but(|it| drop(it.job.columns.insert("id".into(), of_type("STRING")))),
            "`columns.id.type`",
        ),
        (Case::csv().but(|it| it.columns[0].name = "n".to_owned()), "becomes `n`"),
        (
            Case::csv().but(|it| it.columns[0].on_invalid = OnInvalid::Null),
            "`columns.id.on_invalid`",
        ),
        (Case::csv().but(|it| it.format.bad_rows = 1), "`bad_rows`"),
        (Case::csv().but(|it| it.files[1].path = "in/a*b".to_owned()), "has a `*`"),
        (
            Case::csv().but(|it| it.format.partition_columns = vec!["dt".into()]),
            "`dt` is in the paths",
        ),
        (Case::csv().but(|it| it.format.comment = Some(b'#')), "`source.format.comment`"),
        (
            Case::csv().but(|it| it.format.escape = Some(Mark::Byte(b'\\'))),
            "`source.format.escape`",
        ),
        (json(|head| head.compression = Compression::Gzip), "files of one kind"),
        (json(|head| head.encoding = TextEncoding::Utf16), "in UTF-16 (`in/2`)"),
        (json(|head| head.has_mark = true), "`in/2` begins with a byte order mark"),
        (text("note\na\n"), "or in another order"),
        (text("sep=,\nid\n1\n"), "a line `sep=`"),
        (text("\"i\nd\"\n1\n"), "or in another order"),
        (text("id\r1\r"), "carriage returns alone"),
        (text("\nid\n1\n"), "is not one line"),
    ] {
        let NativeSource::Refused(why) = case.native() else {
            panic!("{words}: {:?}", case.native());
        };
        assert!(why.contains(words), "{why}");
    }
    for (compression, size, words) in [
        (Compression::Zstd, 10, "compressed by zstd"),
        (Compression::Gzip, 4_000_000_001, "`in/2` has more than 4 GB"),
    ] {
        let case = Case::csv().but(|it| {
            it.files[1].size = size;
            it.heads.iter_mut().for_each(|head| head.compression = compression);
        });
        let native = case.native();
        assert!(matches!(&native, NativeSource::Refused(why) if why.contains(words)), "{native:?}");
    }
}

#[test]
fn typed_files_are_loaded_as_they_are() {
    let parquet = Case::of(FormatName::Parquet, "");
    let native = parquet.asked(|asked| asked.of_typed(Ok(Some(7))));
    let NativeSource::Exact(NativeRows::Files(files)) = native else { panic!("{native:?}") };
    assert_eq!((files.format, files.rows), (NativeFormat::Parquet, Some(7)));
    let why = parquet.asked(|asked| asked.of_typed(Err("they differ".to_owned())));
    assert_eq!(why, NativeSource::Refused("they differ".to_owned()));
}
