//! Jobs that read files.

use super::super::{Incremental, Job, Selection};
use super::*;

fn read(source: &str) -> crate::Result<Job> {
    let job = format!("name: f\nsource: {source}\ntarget: {{table: 'file:///w/t'}}\n");
    Job::read("job", &job, &["file", "file_range", "full"])
}

fn relation(source: &str) -> (String, Relation) {
    let job = read(source).unwrap();
    let Selection::One(table) = job.selection else { panic!("one table") };
    (job.source, table.relation)
}

#[test]
fn urls_and_a_format_are_files() {
    let (source, read) = relation("{url: 's3://drop/a-*.csv.gz'}");
    assert_eq!(source, "s3://drop/a-*.csv.gz");
    let urls = vec![source];
    assert_eq!(read, Relation::Files { urls, format: "auto".into(), options: BTreeMap::new() });
    let (source, read) = relation(
        r#"{url: "${DROP}/a.csv", urls: ["${DROP}/b.csv"], format: {type: csv, header: false, delimiter: ";", null: "\\N"}}"#,
    );
    assert_eq!(source, "${DROP}/a.csv\n${DROP}/b.csv");
    let Relation::Files { urls, format, options } = read else { panic!("{read:?}") };
    assert_eq!((urls.len(), format.as_str()), (2, "csv"));
    let options: Vec<_> = options.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(options, [("delimiter", ";"), ("header", "false"), ("null", "\\N")]);
}

#[test]
fn files_are_loaded_once_where_their_rows_stay() {
    let job = |target: &str| {
        let text = format!(
            "name: j\nsource: {{url: 'gs://b/*.csv'}}\nincremental: files\n\
             target: {{table: 'file:///w/t', {target}}}\n"
        );
        Job::read("job", &text, &["file"])
    };
    for target in ["write_disposition: append", "write_disposition: merge, key: [id]"] {
        let Selection::One(table) = job(target).unwrap().selection else { panic!("one table") };
        assert_eq!(table.incremental, Some(Incremental::Files));
    }
    for target in ["write_disposition: truncate", "write_disposition: empty", "key: [id]"] {
        let error = job(target).unwrap_err();
        assert!(error.chain().contains("`incremental`: `files` loads new files alone"), "{target}");
    }
}

#[test]
fn what_files_do_not_have_is_refused() {
    for (source, said) in [
        ("{url: 'gs://b/x.csv', table: t}", "`source.table`: cannot be set for files"),
        ("{url: 'gs://b/x.csv', query: 'select 1'}", "`source.query`: cannot be set for files"),
        ("{url: 'gs://b/x.csv', where: 'a > 1'}", "`source.where`: cannot be set for files"),
        ("{urls: ['x.csv']}", "`source.urls.0`: is not a URL"),
        ("{urls: ['https://h/x?sig=s3cret']}", "`source.urls.0`: holds a password or a signature"),
        ("{url: 'https://h/x?sig=s3cret'}", "`source.url`: holds a password or a signature"),
        ("{url: 'gs://b/x', format: {delimiter: '||'}}", "is not one ASCII character"),
        ("{url: 'gs://b/x', format: {delimiter: '', quote: ''}}", "is not one ASCII"),
        ("{url: 'gs://b/x', format: {delimiter: ',', quote: ','}}", "two meanings"),
        ("{url: 'gs://b/x', format: {comment: '\"'}}", "two meanings"),
        ("{url: 'gs://b/x', format: {escape: ',', delimiter: ','}}", "two meanings"),
        ("{url: 'gs://b/x', format: {type: parquett}}", "unknown value `parquett`"),
        ("{url: 'gs://b/x', format: {type: json_lines, header: true}}", "is a setting of `csv`"),
        ("{url: 'gs://b/x', format: {type: json_lines, missing: 'null'}}", "`parquet` and `avro`"),
        ("{url: 'gs://b/x', format: {type: parquet, quote: ''}}", "is a setting of `csv`"),
        ("{url: 'gs://b/x', format: {type: avro, compression: gzip}}", "and `json_lines`"),
        ("{url: 'gs://b/x', format: {compression: lz4}}", "unknown value `lz4`"),
    ] {
        let error = read(source).unwrap_err();
        assert!(error.chain().contains(said), "{source}: {}", error.chain());
        assert!(!error.chain().contains("s3cret"), "{source}: {}", error.chain());
    }
}
