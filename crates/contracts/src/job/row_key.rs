//! What identifies a row, as a job says it: for `merge`, and for `dedup`.

use super::JobFile;
use super::new_table::EntryTargetFile;
use super::validate::JobProblem;
use crate::documents::Dedup;
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
        check_key(&format!("{path}.key"), key, problems);
    };
    check("target", &EntryTargetFile::of(&file.target));
    for (at, entry) in file.tables.iter().flatten().enumerate() {
        if let Some(own) = &entry.target {
            check(&format!("tables.{at}.target"), own);
        }
    }
}

/// Checks that a key names each of its columns once.
fn check_key(path: &str, key: &[String], problems: &mut Vec<JobProblem>) {
    for (at, column) in key.iter().enumerate() {
        let mut say = |what: String, hint: &str| {
            problems.push(JobProblem::new(format!("{path}.{at}"), what).hint(hint));
        };
        if column.is_empty() {
            say("names nothing".to_owned(), "name a column");
        }
        if key.iter().take(at).any(|other| other.eq_ignore_ascii_case(column)) {
            say(format!("`{column}` is listed twice"), "keep one of them");
        }
    }
}

/// Checks `dedup`, of the job and of each entry.
pub(super) fn check_dedup(file: &JobFile, problems: &mut Vec<JobProblem>) {
    let mut check = |path: &str, dedup: &Dedup| {
        if dedup.keys.is_empty() {
            problems.push(
                JobProblem::new(format!("{path}.keys"), "is empty")
                    .hint("name the columns that identify a row"),
            );
        }
        if dedup.order.is_empty() {
            problems.push(
                JobProblem::new(format!("{path}.order"), "names nothing")
                    .hint("name the column whose greatest value is the newest row's"),
            );
        }
        check_key(&format!("{path}.keys"), &dedup.keys, problems);
    };
    if let Some(dedup) = &file.dedup {
        check("dedup", dedup);
    }
    for (at, entry) in file.tables.iter().flatten().enumerate() {
        if let Some(dedup) = &entry.dedup {
            check(&format!("tables.{at}.dedup"), dedup);
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
    fn dedup_has_a_key_and_an_order() {
        let with = |dedup: &str| read(&format!("write_disposition: append}}\ndedup: {{{dedup}"));
        let job = with("keys: [id, day], order: at").unwrap();
        let tables = job.selection.resolve(&[]).unwrap().tables;
        let dedup = tables[0].write.dedup.clone().unwrap();
        assert_eq!((dedup.keys.join(" "), dedup.order), ("id day".to_owned(), "at".to_owned()));
        for (dedup, said) in [
            ("keys: [], order: at", "`dedup.keys`: is empty"),
            ("keys: [id], order: ''", "`dedup.order`: names nothing"),
            ("keys: [''], order: at", "`dedup.keys.0`: names nothing"),
            ("keys: [id, ID], order: at", "`dedup.keys.1`: `ID` is listed twice"),
            ("keys: [id]", "`dedup.order`: missing"),
        ] {
            let error = with(dedup).unwrap_err();
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
