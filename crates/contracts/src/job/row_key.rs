//! What identifies a row for `merge`, as a job says it.

use super::JobFile;
use super::new_table::EntryTargetFile;
use super::validate::JobProblem;
use crate::job::WriteDisposition;

/// Checks `key` and `order_by`, of the job's target and of each entry's.
pub(super) fn check_row_keys(file: &JobFile, problems: &mut Vec<JobProblem>) {
    let disposition = file.target.write_disposition;
    let mut check = |path: &str, target: &EntryTargetFile| {
        let mut say = |key: &str, what: String, hint: &str| {
            problems.push(JobProblem::new(format!("{path}.{key}"), what).hint(hint));
        };
        let stands = [("key", target.key.is_some()), ("order_by", target.order_by.is_some())];
        for (key, _) in stands.into_iter().filter(|(_, stands)| *stands) {
            if disposition != WriteDisposition::Merge {
                say(
                    key,
                    format!("is for `merge`, and `write_disposition` is `{}`", disposition.name()),
                    "write `write_disposition: merge`, or leave it out",
                );
            }
        }
        if target.order_by.as_deref() == Some("") {
            say("order_by", "names nothing".to_owned(), "name a column, or leave it out");
        }
        let Some(key) = &target.key else { return };
        if key.is_empty() {
            say("key", "is empty".to_owned(), "leave it out to use the source's primary key");
        }
        for (at, column) in key.iter().enumerate() {
            if column.is_empty() {
                say(&format!("key.{at}"), "names nothing".to_owned(), "name a column");
            }
            if key.iter().take(at).any(|other| other.eq_ignore_ascii_case(column)) {
                say(
                    &format!("key.{at}"),
                    format!("`{column}` is listed twice"),
                    "keep one of them",
                );
            }
        }
    };
    check("target", &EntryTargetFile::of(&file.target));
    for (at, entry) in file.tables.iter().flatten().enumerate() {
        if let Some(own) = &entry.target {
            check(&format!("tables.{at}.target"), own);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Job;

    fn read(target: &str) -> Result<Job, String> {
        let text = format!(
            "name: events\nsource: {{url: '${{SOURCE_URL}}', table: events}}\nbucket: gs://lake\n\
             target: {{table: 'bigquery://p/d/t', {target}}}\n"
        );
        Job::read("job.yaml", &text, &["full"]).map_err(|error| error.chain())
    }

    #[test]
    fn a_key_is_for_merge_alone() {
        let job = read("write_disposition: merge, key: [id, day], order_by: at").unwrap();
        let tables = job.selection.resolve(&[]).unwrap().tables;
        assert_eq!(tables[0].write.key, ["id", "day"]);
        assert_eq!(tables[0].write.order_by.as_deref(), Some("at"));
        for (target, said) in [
            ("key: [id]", "`target.key`: is for `merge`, and `write_disposition` is `truncate`"),
            (
                "write_disposition: append, order_by: at",
                "`target.order_by`: is for `merge`, and `write_disposition` is `append`",
            ),
            ("write_disposition: merge, order_by: ''", "`target.order_by`: names nothing"),
            ("write_disposition: merge, key: ['']", "`target.key.0`: names nothing"),
            ("write_disposition: merge, key: []", "`target.key`: is empty"),
            ("write_disposition: merge, key: [id, ID]", "`target.key.1`: `ID` is listed twice"),
        ] {
            let error = read(target).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn an_entry_has_its_own_key() {
        let text = "\
name: shop
source: {url: '${SOURCE_URL}'}
bucket: gs://lake
tables: [{table: shop.orders, target: {key: [code]}}, {table: shop.lines}]
target: {dataset: 'bigquery://p/d', write_disposition: merge, order_by: at}
";
        let job = Job::read("job.yaml", text, &["full"]).unwrap();
        let names = ["shop.orders", "shop.lines"];
        let has: Vec<_> =
            names.iter().map(|name| super::super::TableName::parse(name).unwrap()).collect();
        let tables = job.selection.resolve(&has).unwrap().tables;
        let keys: Vec<_> = tables.iter().map(|table| table.write.key.join(", ")).collect();
        assert_eq!(keys, ["code", ""]);
        assert!(tables.iter().all(|table| table.write.order_by.as_deref() == Some("at")));
    }
}
