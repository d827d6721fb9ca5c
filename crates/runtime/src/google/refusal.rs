//! What an error of one of Google's services means, and how long to retry.

use std::time::Duration;

use google_cloud_gax::error::Error as Refused;
use google_cloud_gax::error::rpc::Code;
use google_cloud_gax::retry_policy::{LimitedElapsedTime, RetryPolicyExt as _};
use google_cloud_gax::retry_throttler::CircuitBreaker;
use google_cloud_pubsub::retry_policy::RetryableErrors;
use sluice_contracts::{Error, Kind, Result};

/// How long a call that fails for a transient reason is repeated. The pauses grow from one second
/// and are random, which is the default of Google's clients.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// How long one attempt may take, so that a connection without an answer leaves time for another
/// attempt.
pub(super) const ATTEMPT: Duration = Duration::from_secs(20);

/// Repeats a call that may be carried out twice. By default Google's clients repeat only after
/// `UNAVAILABLE`; Pub/Sub's guide lists the other transient errors, and the other services use the
/// same ones: <https://cloud.google.com/pubsub/docs/reference/error-codes>.
pub(super) fn repeated() -> LimitedElapsedTime<RetryableErrors> {
    RetryableErrors.with_time_limit(PATIENCE)
}

/// Lets every repetition happen. The clients' own throttler drops nearly all of them as long as a
/// client has never succeeded, and many of our programs make a single call in their life.
pub(super) fn unhindered() -> CircuitBreaker {
    CircuitBreaker::clamp(1, 0, 0)
}

/// The remedies for a service's refusals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remedy {
    /// The role that is missing, and where.
    pub denied: &'static str,
    /// The variable that names what does not exist.
    pub missing: &'static str,
}

impl Remedy {
    /// The error of a call that was refused while doing `what`.
    pub(super) fn error(self, what: String, refused: Refused) -> Error {
        let kind = kind_of(&refused);
        self.hint(Error::new(kind, what).because(refused))
    }

    /// Adds the remedy that an error of this kind calls for.
    pub(super) fn hint(self, error: Error) -> Error {
        match error.kind() {
            Kind::Denied => error.hint(self.denied),
            Kind::NotFound => error.hint(self.missing),
            _ => error,
        }
    }
}

/// Who must act on a refusal.
pub(super) fn kind_of(refused: &Refused) -> Kind {
    if let Some(status) = refused.status() {
        return match status.code {
            Code::PermissionDenied | Code::Unauthenticated => Kind::Denied,
            Code::NotFound => Kind::NotFound,
            Code::AlreadyExists => Kind::Conflict,
            Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented => Kind::Invalid,
            _ => Kind::Transient,
        };
    }
    match refused.http_status_code() {
        Some(401 | 403) => Kind::Denied,
        Some(404) => Kind::NotFound,
        Some(409) => Kind::Conflict,
        Some(408 | 429) => Kind::Transient,
        Some(400..=499) => Kind::Invalid,
        // Credentials could not be obtained, and the reason is not transient.
        None if refused.is_authentication() && !refused.is_transient_and_before_rpc() => {
            Kind::Denied
        }
        _ => Kind::Transient,
    }
}

/// Checks that `name` is a resource's full name: `projects/P` and then one name for each of
/// `collections`.
pub(super) fn check_name(name: &str, collections: &[&str], variable: &str) -> Result<()> {
    let mut parts = name.split('/');
    let known = ["projects"].iter().chain(collections).all(|collection| {
        parts.next() == Some(*collection) && parts.next().is_some_and(|part| !part.is_empty())
    });
    if known && parts.next().is_none() {
        return Ok(());
    }
    let form: Vec<String> =
        collections.iter().map(|collection| format!("/{collection}/..")).collect();
    Err(Error::invalid(format!("read `{variable}`: `{name}` is not a full name"))
        .hint(format!("write `projects/..{}`", form.concat())))
}

#[cfg(test)]
mod tests {
    use google_cloud_gax::error::CredentialsError;
    use google_cloud_gax::error::rpc::Status;

    use super::*;

    const REMEDY: Remedy = Remedy { denied: "grant it", missing: "look at it" };

    fn answered(code: Code) -> Error {
        let refused = Refused::service(Status::default().set_code(code).set_message("no"));
        REMEDY.error("run `j`".into(), refused)
    }

    fn bare(status: u16) -> Kind {
        kind_of(&Refused::http(status, http::HeaderMap::new(), bytes::Bytes::new()))
    }

    #[test]
    fn a_refusal_says_who_must_act_and_how() {
        let denied = answered(Code::PermissionDenied);
        assert_eq!((denied.kind(), denied.remedy()), (Kind::Denied, Some("grant it")));
        let missing = answered(Code::NotFound);
        assert_eq!((missing.kind(), missing.remedy()), (Kind::NotFound, Some("look at it")));
        assert!(missing.chain().starts_with("run `j`: "), "{}", missing.chain());
        assert_eq!(answered(Code::AlreadyExists).kind(), Kind::Conflict);
        assert_eq!(answered(Code::FailedPrecondition).kind(), Kind::Invalid);
        for passing in [Code::Unavailable, Code::Internal, Code::ResourceExhausted, Code::Aborted] {
            assert!(answered(passing).is_transient(), "{passing:?}");
        }
    }

    #[test]
    fn an_answer_without_a_status_is_judged_by_its_number() {
        assert_eq!(bare(403), Kind::Denied);
        assert_eq!(bare(404), Kind::NotFound);
        assert_eq!(bare(409), Kind::Conflict);
        assert_eq!(bare(413), Kind::Invalid);
        assert_eq!(bare(429), Kind::Transient);
        assert_eq!(bare(502), Kind::Transient);
        let credentials = |passing| {
            kind_of(&Refused::authentication(CredentialsError::from_msg(passing, "no token")))
        };
        assert_eq!(credentials(false), Kind::Denied);
        assert_eq!(credentials(true), Kind::Transient);
    }

    #[test]
    fn a_name_is_whole_or_refused() {
        let check = |name| check_name(name, &["locations", "queues"], "SLUICE_QUEUE");
        check("projects/p/locations/l/queues/q").unwrap();
        for wrong in ["q", "projects/p/locations/l/queues/", "projects/p/locations/l/queues/q/x"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            check("q").unwrap_err().remedy(),
            Some("write `projects/../locations/../queues/..`")
        );
    }
}
