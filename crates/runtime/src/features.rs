//! What this build includes, and the errors for a URL that needs more.

use sluice_contracts::Error;

/// The error for a URL with a scheme that this build does not know. `kind` says what the URL names,
/// such as `bucket`; `does` is what this build does with the `known` ones, such as `stores in`;
/// `google` is the one that a build with Google Cloud knows.
pub fn unknown_scheme(kind: &str, scheme: &str, does: &str, known: &[&str], google: &str) -> Error {
    if scheme == google {
        return without_google(format!("open {kind} `{scheme}://`"));
    }
    let known: Vec<String> = known.iter().map(|known| format!("`{known}://`")).collect();
    Error::invalid(format!("unknown {kind} `{scheme}://`"))
        .hint(format!("this build {does} {}", known.join(", ")))
}

/// The error for a URL that has no scheme, such as a path. `kind` says what the URL names.
pub fn without_scheme(kind: &str, url: &str) -> Error {
    let hint = match std::path::absolute(url) {
        Ok(path) if !url.is_empty() => format!("write a folder as `file://{}`", path.display()),
        _ => "write a folder as `file:///path`".to_owned(),
    };
    Error::invalid(format!("read {kind} `{url}`: it is not a URL")).hint(hint)
}

/// The error for something that only a build with Google Cloud can do.
pub fn without_google(doing: impl Into<String>) -> Error {
    Error::invalid(format!("{}: this build does not include Google Cloud", doing.into()))
        .hint("build it in: `cargo install --locked --path cli --features google`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_scheme_is_answered_with_the_known_ones() {
        let error = unknown_scheme("bucket", "s3", "stores in", &["file", "gs"], "gs");
        assert_eq!(error.to_string(), "unknown bucket `s3://`");
        assert_eq!(error.remedy(), Some("this build stores in `file://`, `gs://`"));
        let target = unknown_scheme("target", "gs", "writes", &["file"], "bigquery");
        assert_eq!(target.remedy(), Some("this build writes `file://`"));
    }

    #[test]
    fn a_url_of_google_is_answered_with_the_feature() {
        let error = unknown_scheme("bucket", "gs", "stores in", &["file"], "gs");
        let said = error.to_string();
        assert_eq!(said, "open bucket `gs://`: this build does not include Google Cloud");
        assert!(error.remedy().is_some_and(|hint| hint.contains("--features google")));
    }
}
