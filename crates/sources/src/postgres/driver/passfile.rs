//! Passwords of libpq's file.
//!
//! <https://www.postgresql.org/docs/current/libpq-pgpass.html>

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::options::Options;

/// The password that the file has for a connection. A file that others may read is not used.
pub(crate) fn password(file: &Path, options: &Options) -> Option<String> {
    // As in libpq, only a regular file counts: users name `/dev/null` to switch the file off.
    let metadata = std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file)?;
    let file_name = file.display();
    if metadata.permissions().mode() & 0o077 != 0 {
        tracing::warn!(
            "the file of passwords `{file_name}` is not used, because others may read or change it: \
             `chmod 600` it"
        );
        return None;
    }
    let lines = match std::fs::read(file) {
        Ok(lines) => String::from_utf8_lossy(&lines).into_owned(),
        Err(error) => {
            tracing::warn!("the file of passwords `{file_name}` is not used: {error}");
            return None;
        }
    };
    // libpq looks for the default folder of sockets under this name.
    let is_default = options.socket().is_some_and(|folder| {
        super::DEFAULT_SOCKETS.iter().any(|default| folder == Path::new(default))
    });
    let host = if is_default { "localhost" } else { options.host.as_str() };
    let port = options.port.to_string();
    let wanted = [host, &port, options.database(), &options.user];
    lines.lines().filter(|line| !line.starts_with('#')).find_map(|line| of_line(line, &wanted))
}

/// Where libpq looks for the file.
pub(crate) fn location(named: Option<String>, home: Option<String>) -> Option<PathBuf> {
    named.map(PathBuf::from).or_else(|| Some(PathBuf::from(home?).join(".pgpass")))
}

/// The password of a line whose first fields are the wanted ones, or `*`.
fn of_line(line: &str, wanted: &[&str]) -> Option<String> {
    let mut fields = fields(line).into_iter();
    for wanted in wanted {
        let (field, is_any) = fields.next()?;
        if !is_any && field != *wanted {
            return None;
        }
    }
    fields.next().map(|(password, _)| password)
}

/// The fields of a line, and whether each is a `*` that stands for anything. A backslash makes the
/// character after it a part of the field.
fn fields(line: &str) -> Vec<(String, bool)> {
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut is_escaped = false;
    let mut characters = line.trim_end_matches('\r').chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                is_escaped = true;
                field.extend(characters.next());
            }
            // The password is the rest up to the next colon.
            ':' => {
                let is_any = field == "*" && !std::mem::take(&mut is_escaped);
                fields.push((std::mem::take(&mut field), is_any));
                is_escaped = false;
            }
            character => field.push(character),
        }
    }
    fields.push((field, false));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(host: &str) -> Options {
        Options { host: host.to_owned(), database: Some("d".to_owned()), ..Options::local("u") }
    }

    #[test]
    fn the_first_line_that_fits_holds_the_password() {
        let wanted = ["h", "5432", "d", "u"];
        for (line, password) in [
            ("h:5432:d:u:secret", Some("secret")),
            ("*:*:*:*:a\\:b\\\\c", Some("a:b\\c")),
            ("h:5432:d:u:", Some("")),
            ("h:5433:d:u:secret", None),
            ("\\*:5432:d:u:secret", None),
            ("h:5432:d", None),
            ("", None),
        ] {
            assert_eq!(of_line(line, &wanted).as_deref(), password, "{line}");
        }
        assert_eq!(of_line("\\:\\:1:1:d:u:s", &["::1", "1", "d", "u"]).as_deref(), Some("s"));
    }

    #[test]
    fn a_file_that_others_may_read_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("passwords");
        std::fs::write(&file, "# a comment\nother:*:*:*:no\nlocalhost:5432:d:u:yes\n").unwrap();
        let mode = |mode| {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(0o600);
        assert_eq!(password(&file, &options("localhost")).as_deref(), Some("yes"));
        assert_eq!(password(&file, &options("/tmp")).as_deref(), Some("yes"));
        assert_eq!(password(&file, &options("/elsewhere")), None);
        mode(0o640);
        assert_eq!(password(&file, &options("localhost")), None);
    }
}
