//! What an error of a store asks for.

use std::io;

use object_store::Error as StoreError;
use sluice_contracts::store::storage_error;
use sluice_contracts::{Error, Kind};

use super::super::address::{Address, StoreKind};

/// The error of a store while doing `what` with the files of an address, with who must act and the
/// right or the setting that is missing.
pub(in crate::files) fn explain(address: &Address, what: String, source: StoreError) -> Error {
    let kind = address.kind();
    if let Some(answer) = Answer::of(&source) {
        let (who, hint) = match answer {
            Answer::Region => (
                Kind::Denied,
                "set `AWS_REGION` to the bucket's region; if it is not Amazon's, set \
                 `AWS_ENDPOINT_URL` to its service",
            ),
            Answer::Credentials => (Kind::Denied, credentials(kind)),
            Answer::Forbidden => (Kind::Denied, reading(kind)),
            Answer::Absent => (Kind::NotFound, absence(kind)),
            Answer::Request => (Kind::Invalid, reading(kind)),
            Answer::NoSize => {
                (Kind::Invalid, "the server does not tell the file's size; copy it to a bucket")
            }
        };
        let error = Error::new(who, what).hint(hint);
        return match Said::of(&source) {
            Some(said) => error.because(said),
            None => error.because(source),
        };
    }
    let source = match source {
        StoreError::Unauthenticated { path, source } => match source.downcast::<NoCredentials>() {
            Ok(none) => {
                return Error::new(Kind::Denied, what).because(none).hint(credentials(kind));
            }
            Err(source) => StoreError::Unauthenticated { path, source },
        },
        other => other,
    };
    let no_credentials = matches!(source, StoreError::Unauthenticated { .. })
        || source.to_string().contains("no access token");
    let said = Said::of(&source);
    let error = storage_error(what, source);
    let error = match (error.kind(), said) {
        (who @ (Kind::Denied | Kind::NotFound | Kind::Transient), Some(said)) => {
            Error::new(who, error.to_string()).because(said)
        }
        _ => error,
    };
    match error.kind() {
        Kind::Denied | Kind::Transient if no_credentials => error.hint(credentials(kind)),
        Kind::Denied => error.hint(reading(kind)),
        Kind::NotFound => error.hint(absence(kind)),
        Kind::Invalid => error.hint(
            "a name there is empty (`//`), is `.` or `..`, or has a character that cannot be asked \
             for; name a folder without it, or rename it",
        ),
        _ => error,
    }
}

/// Neither the environment nor the machine has an identity for the store.
#[derive(Debug, thiserror::Error)]
#[error("no credentials were found: {0}")]
pub(super) struct NoCredentials(pub(super) StoreError);

/// What a service says in its answer. The client's message has the whole document or page in it.
#[derive(Debug, thiserror::Error)]
#[error("the service answers `{code}`{message}")]
struct Said {
    code: String,
    /// Behind a colon, if there is one.
    message: String,
}

impl Said {
    fn of(error: &StoreError) -> Option<Self> {
        let text = error.to_string();
        let element = |name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            let (content, _) = rest.split_once(&format!("</{name}>"))?;
            // Azure adds lines with the request's number and time.
            content.lines().next().map(str::to_owned)
        };
        if let Some((code, message)) = element("Code").zip(element("Message")) {
            return Some(Self { code, message: format!(": {message}") });
        }
        let (_, status) = text.split_once("status code: ")?;
        let (code, _) = status.split_once(':')?;
        Some(Self { code: code.to_owned(), message: String::new() })
    }
}

/// An answer that repeating the request does not change, and that the store's client does not
/// tell from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// The bucket lies elsewhere.
    Region,
    /// The credentials are not valid (any more).
    Credentials,
    /// The service refuses the request.
    Request,
    /// A web server sends a file without its size.
    NoSize,
    /// There is no such thing, or a folder of the file's path is a file.
    Absent,
    /// The credentials, or the user of this program, may not read the file.
    Forbidden,
}

impl Answer {
    fn of(error: &StoreError) -> Option<Self> {
        let StoreError::Generic { source, .. } = error else { return None };
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(source.as_ref());
        while let Some(cause) = next {
            match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
                Some(io::ErrorKind::NotADirectory) => return Some(Self::Absent),
                Some(io::ErrorKind::PermissionDenied) => return Some(Self::Forbidden),
                _ => next = cause.source(),
            }
        }
        // The client's own type for this is private.
        let text = error.to_string();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if has(&["configured region", "PermanentRedirect", "AuthorizationHeaderMalformed"]) {
            return Some(Self::Region);
        }
        if has(&["ExpiredToken", "InvalidToken", "TokenRefreshRequired", "AuthenticationFailed"]) {
            return Some(Self::Credentials);
        }
        if has(&["Content-Length Header missing"]) {
            return Some(Self::NoSize);
        }
        // The errors of listings come without the kind that those of reads have.
        let (_, status) = text.split_once("status code: ")?;
        match status.get(..3)? {
            "401" => Some(Self::Credentials),
            "403" => Some(Self::Forbidden),
            "404" => Some(Self::Absent),
            "408" | "429" => None,
            other => other.starts_with(['3', '4']).then_some(Self::Request),
        }
    }
}

/// The rights that reading needs.
fn reading(kind: &StoreKind) -> &'static str {
    match kind {
        StoreKind::Folder => "let this user read the folder and its files",
        StoreKind::CloudStorage => {
            "grant `roles/storage.objectViewer` on the bucket to this program's account: it needs \
             `storage.objects.list` and `storage.objects.get`"
        }
        StoreKind::S3 { .. } => {
            "let the owner of the credentials have `s3:ListBucket` on the bucket and `s3:GetObject` \
             on its objects; for a public bucket set `AWS_SKIP_SIGNATURE=true`"
        }
        StoreKind::Azure { .. } => {
            "assign the role Storage Blob Data Reader on the container to this program's identity"
        }
        StoreKind::Web { .. } => {
            "the server refuses the request; a signed URL is valid for a time only"
        }
    }
}

/// Where credentials are found.
fn credentials(kind: &StoreKind) -> &'static str {
    match kind {
        StoreKind::CloudStorage => {
            "on Google Cloud, give the service an identity; elsewhere, run \
             `gcloud auth application-default login`"
        }
        StoreKind::S3 { .. } => {
            "set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or `AWS_SKIP_SIGNATURE=true` for a \
             public bucket; the files of `aws configure` are not read: \
             `aws configure export-credentials --format env` prints theirs"
        }
        StoreKind::Azure { .. } => {
            "set `AZURE_STORAGE_ACCOUNT_KEY` or `AZURE_STORAGE_SAS_TOKEN`, or `AZURE_CLIENT_ID`, \
             `AZURE_TENANT_ID` and `AZURE_CLIENT_SECRET`; for `az login` set \
             `AZURE_USE_AZURE_CLI=true`"
        }
        StoreKind::Folder | StoreKind::Web { .. } => reading(kind),
    }
}

/// What to look at if something is absent.
fn absence(kind: &StoreKind) -> &'static str {
    match kind {
        StoreKind::Folder => "look at the path; capital letters count",
        StoreKind::Web { .. } => "look at the URL",
        _ => "look at the names of the bucket and of the file; capital letters count",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> StoreError {
        StoreError::Generic { store: "S3", source: text.into() }
    }

    fn explained(url: &str, source: StoreError) -> Error {
        explain(&Address::parse(url).unwrap(), "read `a`".into(), source)
    }

    #[test]
    fn a_refusal_names_the_right_that_is_missing() {
        for (url, right) in [
            ("file:///data/a", "this user"),
            ("gs://lake/a", "`storage.objects.list`"),
            ("s3://drop/a", "`s3:ListBucket`"),
            ("az://drop/a", "Storage Blob Data Reader"),
            ("https://host/a", "signed URL"),
        ] {
            let source = StoreError::PermissionDenied { path: "a".into(), source: "no".into() };
            let error = explained(url, source);
            assert_eq!(error.kind(), Kind::Denied);
            assert!(error.remedy().unwrap().contains(right), "{url}: {error:?}");
        }
        for source in ["no".into(), NoCredentials(generic("no")).into()] {
            let source = StoreError::Unauthenticated { path: "a".into(), source };
            let error = explained("s3://drop/a", source);
            assert_eq!(error.kind(), Kind::Denied);
            assert!(error.remedy().unwrap().contains("`AWS_ACCESS_KEY_ID`"), "{error:?}");
        }
    }

    #[test]
    fn an_answer_is_repeated_only_if_that_may_help() {
        for (text, kind, hint) in [
            ("non-2xx status code: 503 Slow Down: ", Kind::Transient, None),
            ("non-2xx status code: 429 Too Many Requests: ", Kind::Transient, None),
            ("the connection failed", Kind::Transient, None),
            ("an incorrectly configured region", Kind::Denied, Some("`AWS_REGION`")),
            ("status code: 400 Bad Request: <Code>ExpiredToken</Code>", Kind::Denied, Some("KEY")),
            ("Content-Length Header missing from response", Kind::Invalid, Some("size")),
            ("non-2xx status code: 401 Unauthorized: ", Kind::Denied, Some("KEY")),
            ("non-2xx status code: 403 Forbidden: ", Kind::Denied, Some("s3:ListBucket")),
            ("non-2xx status code: 404 Not Found: ", Kind::NotFound, Some("bucket")),
            ("non-2xx status code: 400 Bad Request: ", Kind::Invalid, Some("s3:GetObject")),
        ] {
            let error = explained("s3://drop/a", generic(text));
            assert_eq!(error.kind(), kind, "{text}");
            let fits = hint.is_none_or(|hint| error.remedy().is_some_and(|it| it.contains(hint)));
            assert!(fits && hint.is_some() == error.remedy().is_some(), "{text}: {error:?}");
        }
    }

    #[test]
    fn of_a_document_what_people_read_is_shown() {
        let text = "status code: 403 Forbidden: <?xml?>\n<Error>\n<Code>AccessDenied</Code><Message>\
                    Access Denied\nRequestId:1</Message><HostId>x</HostId></Error>";
        let denied = StoreError::PermissionDenied { path: "a".into(), source: text.into() };
        for source in [generic(text), denied] {
            let error = explained("s3://drop/a", source);
            let said = "read `a`: the service answers `AccessDenied`: Access Denied";
            assert_eq!((error.kind(), error.chain().as_str()), (Kind::Denied, said));
        }
        let page = |status: &str| {
            format!("non-2xx status code: {status}: <html>\nno such <b>page</b>\n</html>")
        };
        let absent =
            StoreError::NotFound { path: "a".into(), source: page("404 Not Found").into() };
        for (source, status) in [
            (generic(&page("404 Not Found")), "404 Not Found"),
            (absent, "404 Not Found"),
            (generic(&page("503 Slow Down")), "503 Slow Down"),
        ] {
            let error = explained("https://host/a", source);
            let said = format!("read `a`: the service answers `{status}`");
            assert_eq!(error.chain(), said);
        }
    }
}
