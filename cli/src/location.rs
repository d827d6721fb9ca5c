//! Sources and targets as people type them: a URL, or the path of a file or folder.

use std::io::Read as _;
use std::path::Path;

use sluice_contracts::error::Doing as _;
use sluice_contracts::job::holds_password;
use sluice_contracts::{Error, Kind, Result};
use url::Url;

/// Endings of the names of SQLite files.
const EXTENSIONS: [&str; 4] = ["db", "db3", "sqlite", "sqlite3"];
/// Characters that make the path of files a pattern.
const PATTERN: [char; 4] = ['*', '?', '[', '{'];

/// The URL of a source.
///
/// # Errors
/// `NotFound` for a path without a file, and `Invalid` for a URL that holds a password.
pub(crate) fn source_url(typed: &str) -> Result<String> {
    if typed.contains("://") || typed.starts_with("${") {
        if holds_password(typed) {
            // The URL itself is not repeated.
            return Err(Error::invalid("read the source's URL: it holds a password").hint(
                "every user of this machine sees a command's arguments: set `PGPASSWORD`, or write \
                 `'postgres://me:${DB_PASSWORD}@host/shop'` in single quotes and set `DB_PASSWORD`",
            ));
        }
        return Ok(typed.to_owned());
    }
    let path = absolute(Path::new(typed))?;
    if typed.contains(PATTERN) && !path.exists() {
        return pattern_url(&path);
    }
    if path.is_dir() {
        // With a slash at its end, all files below it.
        return file_url(&path).map(|url| url.trim_end_matches('/').to_owned() + "/");
    }
    if !path.is_file() {
        // Text that was meant to be a URL may hold a password.
        let shown = if typed.contains(['=', '@']) { "SOURCE" } else { typed };
        return Err(Error::not_found(format!("find source `{shown}`: there is no such file"))
            .hint(
                "write `postgres://user@host/database`, or the path of an SQLite file or of others",
            ));
    }
    if is_sqlite(&path) { sqlite_url(&path) } else { file_url(&path) }
}

/// Whether a file is a database of SQLite, or is named as one.
///
/// <https://www.sqlite.org/fileformat.html#magic_header_string>
fn is_sqlite(path: &Path) -> bool {
    const MAGIC: &[u8; 16] = b"SQLite format 3\0";
    let mut first = [0; 16];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut first));
    let named = path.extension().and_then(|extension| extension.to_str());
    let is_named = named.is_some_and(|named| EXTENSIONS.contains(&named));
    is_named || read.is_ok() && first == *MAGIC
}

/// The URL of a target or a bucket, without a slash at its end.
pub(crate) fn target_url(typed: &str) -> Result<String> {
    let url = if typed.contains("://") { typed.to_owned() } else { file_url(Path::new(typed))? };
    let scheme = url.find("://").map_or(0, |at| at + "://".len());
    Ok(url[..scheme].to_owned() + url[scheme..].trim_end_matches('/'))
}

/// A name for a job, from what was typed for a source, a table or a target: the last part of it, with
/// the letters that a job's name may have.
pub(crate) fn job_name(of: &str) -> String {
    let path = of.split(['?', '#']).next().unwrap_or_default();
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let stem = EXTENSIONS.iter().find_map(|known| last.strip_suffix(known)?.strip_suffix('.'));
    let known = |c: &char| c.is_ascii_alphanumeric() || *c == '-' || *c == '_';
    let name: String = stem.unwrap_or(last).chars().filter(known).take(100).collect();
    if name.is_empty() || of.starts_with("${") { "copy".to_owned() } else { name }
}

/// A name for the table that files become: what their URL says before the first `*`, the first dot and after the
/// last slash, or the name of the folder.
pub(crate) fn table_of_files(url: &str) -> Option<String> {
    let path = url.split_once("://").map_or(url, |(_, path)| path);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let literal = path.split(['*', '?', '[', '{']).next().unwrap_or_default();
    let name = |part: &str| {
        let stem = part.split('.').next().unwrap_or_default();
        let stem = stem.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let known = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        (!stem.is_empty()).then(|| stem.chars().map(known).collect::<String>())
    };
    literal.rsplit('/').find_map(name)
}

/// A path as a shell takes it for one word.
pub(crate) fn shell_word(path: &Path) -> String {
    let word = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "_-./+,:@%=".contains(c);
    if word.chars().all(plain) { word } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// The URL of an SQLite file.
pub(crate) fn sqlite_url(path: &Path) -> Result<String> {
    file_url(path).map(|url| url.replacen("file", "sqlite", 1))
}

/// The URL of files whose names match a pattern. Of its folders, those that exist are no patterns.
fn pattern_url(path: &Path) -> Result<String> {
    let folder = path.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    let pattern = path.strip_prefix(folder).unwrap_or(path);
    let mut url = file_url(&Path::new("/").join(pattern))?;
    for (escape, character) in
        [("%2A", "*"), ("%3F", "?"), ("%5B", "["), ("%7B", "{"), ("%7D", "}")]
    {
        url = url.replace(escape, character);
    }
    Ok(file_url(folder)?.trim_end_matches('/').to_owned() + url.trim_start_matches("file://"))
}

/// The URL of a file or a folder of this machine. Characters that have a meaning in patterns are escaped in it.
pub(crate) fn file_url(path: &Path) -> Result<String> {
    match Url::from_file_path(absolute(path)?) {
        Ok(url) => Ok(url.to_string().replace('*', "%2A").replace('[', "%5B")),
        Err(()) => Err(Error::invalid(format!("write `{}` as a URL", path.display()))),
    }
}

fn absolute(path: &Path) -> Result<std::path::PathBuf> {
    std::path::absolute(path).doing(Kind::Invalid, || format!("find `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_urls_and_urls_stay() {
        let here = std::env::current_dir().unwrap();
        let here = here.display();
        assert_eq!(target_url("./ware house/").unwrap(), format!("file://{here}/ware%20house"));
        assert_eq!(target_url("/w").unwrap(), "file:///w");
        assert_eq!(target_url("/").unwrap(), "file://");
        assert_eq!(target_url("bigquery://p/d/").unwrap(), "bigquery://p/d");
        assert_eq!(source_url("Cargo.toml").unwrap(), format!("file://{here}/Cargo.toml"));
        assert_eq!(source_url("orders-*.csv").unwrap(), format!("file://{here}/orders-*.csv"));
        assert_eq!(
            source_url("a {b}/orders-{1,2}?[0-9].csv").unwrap(),
            format!("file://{here}/a%20{{b}}/orders-{{1,2}}?[0-9].csv")
        );
        assert_eq!(source_url("${SOURCE_URL}").unwrap(), "${SOURCE_URL}");
        assert_eq!(source_url("postgres://me@h/d").unwrap(), "postgres://me@h/d");
        assert_eq!(source_url("absent.db").unwrap_err().kind(), Kind::NotFound);
    }

    #[test]
    fn what_exists_is_no_pattern() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("a[1] {b}*");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("o[1].csv"), "id\n1\n").unwrap();
        let url = |name: &str| {
            let url = source_url(root.join(name).to_str().unwrap()).unwrap();
            url.rsplit_once("/a").unwrap().1.to_owned()
        };
        assert_eq!(url("o[1].csv"), "%5B1]%20%7Bb%7D%2A/o%5B1].csv");
        assert_eq!(url("o[2].csv"), "%5B1]%20%7Bb%7D%2A/o[2].csv");
        assert_eq!(url(""), "%5B1]%20%7Bb%7D%2A/");
    }

    #[test]
    fn a_path_is_one_word() {
        assert_eq!(shell_word(Path::new("w/job.yaml")), "w/job.yaml");
        assert_eq!(shell_word(Path::new("my job's.yaml")), r"'my job'\''s.yaml'");
    }

    #[test]
    fn a_job_is_called_after_its_database_or_table() {
        assert_eq!(job_name("postgres://me@h/shop?sslmode=require"), "shop");
        assert_eq!(job_name("./data/my shop.sqlite3"), "myshop");
        assert_eq!(job_name("."), "copy");
        assert_eq!(job_name("My Orders"), "MyOrders");
        assert_eq!(job_name("${SOURCE_URL}"), "copy");
        assert_eq!(job_name("größe/"), "gre");
        assert_eq!(job_name("表"), "copy");
        assert_eq!(job_name(&"x".repeat(200)).len(), 100);
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        let error = source_url("postgres://me:s3cret@h/d").unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        let said = format!("{}{}", error.chain(), error.remedy().unwrap_or_default());
        assert!(!said.contains("s3cret"), "{said}");
        source_url("postgres://me:${PW}@h/d").unwrap();
        for odd in ["host=db password=s3cret", "postgres:me:s3cret@h/d"] {
            let error = source_url(odd).unwrap_err();
            assert!(!error.chain().contains("s3cret"), "{}", error.chain());
        }
    }
}
