//! What an error of a store asks for.

use std::io;

use object_store::Error as StoreError;
use sluice_contracts::store::storage_error;
use sluice_contracts::{Error, Kind};

use super::super::address::{Address, StoreKind};

/// The error of a store while doing `what` with the files of an address, with who must act and the
/// right or the setting that is missing.
pub(in crate::files) fn explain(address: &Address, what: String, source: StoreError) -> Error {
    if let Some(answer) = Answer::of(&source) {
        let (kind, hint) = match answer {
            Answer::Region => (
                Kind::Denied,
                "set `AWS_REGION` to the bucket's region; if it is not Amazon's, set \
                 `AWS_ENDPOINT_URL` to its service",
            ),
            Answer::Credentials => (Kind::Denied, credentials(address.kind())),
            Answer::Request => (Kind::Invalid, reading(address.kind())),
            Answer::Absent => (Kind::NotFound, absence(address.kind())),
            Answer::Forbidden => (Kind::Denied, reading(address.kind())),
        };
        return Error::new(kind, what).because(source).hint(hint);
    }
    let no_credentials = matches!(source, StoreError::Unauthenticated { .. });
    let error = storage_error(what, source);
    let kind = address.kind();
    match error.kind() {
        Kind::Denied if no_credentials => error.hint(credentials(kind)),
        Kind::Denied => error.hint(reading(kind)),
        Kind::NotFound => error.hint(absence(kind)),
        Kind::Invalid => error.hint(
            "a name there is empty (`//`), is `.` or `..`, or has a character that cannot be asked \
             for; name a folder without it, or rename it",
        ),
        _ => error,
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
    /// A folder of the file's path is a file.
    Absent,
    /// The user of this program may not read the file.
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
        if has(&["status code: 408", "status code: 429"]) {
            return None;
        }
        has(&["status code: 3", "status code: 4"]).then_some(Self::Request)
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
        let source = StoreError::Unauthenticated { path: "a".into(), source: "no".into() };
        let error = explained("s3://drop/a", source);
        assert!(error.remedy().unwrap().contains("`AWS_ACCESS_KEY_ID`"), "{error:?}");
    }

    #[test]
    fn an_answer_is_repeated_only_if_that_may_help() {
        for (text, kind, hint) in [
            ("non-2xx status code: 503 Slow Down: ", Kind::Transient, None),
            ("non-2xx status code: 429 Too Many Requests: ", Kind::Transient, None),
            ("the connection failed", Kind::Transient, None),
            ("an incorrectly configured region", Kind::Denied, Some("`AWS_REGION`")),
            ("status code: 400 Bad Request: <Code>ExpiredToken</Code>", Kind::Denied, Some("KEY")),
            ("non-2xx status code: 400 Bad Request: ", Kind::Invalid, Some("s3:GetObject")),
        ] {
            let error = explained("s3://drop/a", generic(text));
            assert_eq!(error.kind(), kind, "{text}");
            let fits = hint.is_none_or(|hint| error.remedy().is_some_and(|it| it.contains(hint)));
            assert!(fits && hint.is_some() == error.remedy().is_some(), "{text}: {error:?}");
        }
    }
}
