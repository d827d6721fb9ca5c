//! Identifying the caller by the identity token of a request.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use google_cloud_auth::credentials::idtoken::verifier::{Builder, Verifier};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Error, Kind, Result};

use super::Problem;
use crate::list;

/// What Cloud Run puts in place of a signature that it has verified.
const REMOVED: &str = "SIGNATURE_REMOVED_BY_GOOGLE";
/// The audience of the tokens that `gcloud auth print-identity-token` makes for people, who cannot
/// choose another. Cloud Run accepts them for every service.
const GCLOUD: &str = "32555940559.apps.googleusercontent.com";
/// What `SLUICE_CALLERS` says where every caller may call, and no token is asked for.
const ANYBODY: &str = "anybody";
/// Who issues identity tokens.
const ISSUERS: &[&str] = &["https://accounts.google.com", "accounts.google.com"];
/// How far two clocks may differ.
const SKEW: Duration = Duration::seconds(10);

/// Who may call a service.
///
/// Cloud Run checks its callers itself (`roles/run.invoker`), and hands their tokens on without
/// the signature. Such a token's claims are checked here; another token's signature is verified
/// first, by Google's published keys.
#[derive(Debug, Clone)]
pub struct Callers {
    rules: Arc<Rules>,
}

/// Who sent a request: an extension of every request that [`Callers::guard`] lets through.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    email: Option<String>,
}

impl Caller {
    /// The caller with this email.
    pub fn new(email: Option<String>) -> Self {
        Self { email }
    }

    /// The email in the caller's token; `None` for a caller without a token, or with one that names
    /// no email.
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }
}

#[derive(Debug)]
struct Rules {
    /// The service's own URL.
    audience: String,
    /// Emails of the callers that may call; if absent, every caller that the platform lets through.
    emails: Option<Vec<String>>,
    /// Whether a platform in front of the service verifies signatures and removes them.
    behind_platform: bool,
    verifier: Verifier,
}

/// The environment that says who may call.
#[derive(Debug, Default, Deserialize)]
struct Settings {
    /// Emails; absent if the variable is not set.
    #[serde(default, deserialize_with = "emails")]
    sluice_callers: Option<Vec<String>>,
    /// Name of the service, set by Cloud Run.
    /// <https://cloud.google.com/run/docs/container-contract#services-env-vars>
    k_service: Option<String>,
}

fn emails<'de, D: Deserializer<'de>>(variable: D) -> Result<Option<Vec<String>>, D::Error> {
    list::deserialize(variable).map(Some)
}

impl Callers {
    /// Reads `SLUICE_CALLERS`. `audience` is the URL that the service is called by.
    pub fn from_env(audience: &str) -> Result<Self> {
        let settings = envy::from_env().doing(Kind::Invalid, || "read who may call")?;
        Self::new(audience, &settings)
    }

    fn new(audience: &str, settings: &Settings) -> Result<Self> {
        let audience = audience.trim_end_matches('/').to_owned();
        let behind_platform = settings.k_service.is_some();
        let emails = match settings.sluice_callers.as_deref() {
            None if !behind_platform => {
                return Err(Error::invalid(
                    "read `SLUICE_CALLERS`: it is not set, and no platform checks who calls",
                )
                .hint(format!(
                    "list the emails that may call, with commas between them, or write \
                     `{ANYBODY}` where the network lets nobody else through"
                )));
            }
            Some([]) => {
                return Err(Error::invalid("read `SLUICE_CALLERS`: it names nobody").hint(
                    "list the emails that may call, with commas between them; on Cloud Run, \
                     without the variable, every caller that the platform lets through may call",
                ));
            }
            None => None,
            Some([only]) if only == ANYBODY => None,
            Some(emails) => Some(emails.to_vec()),
        };
        let verifier = Builder::new([audience.clone()]).build();
        Ok(Self { rules: Arc::new(Rules { audience, emails, behind_platform, verifier }) })
    }

    /// Lets only these callers through to `router`; the others are answered with a problem.
    pub fn guard(self, router: Router) -> Router {
        router.layer(from_fn_with_state(self, let_through))
    }

    /// The email of the caller; `None` if the request brings no token and needs none.
    ///
    /// # Errors
    /// `Denied` for a caller that may not call; `Transient` if the keys that would verify a
    /// signature could not be fetched. Errors contain no part of the token but its claims.
    async fn identify(&self, headers: &HeaderMap) -> Result<Option<String>> {
        let Some(token) = token(headers) else {
            return match self.rules.emails {
                None => Ok(None),
                Some(_) => Err(denied("the request brings no identity token")
                    .hint("send one: `Authorization: Bearer $(gcloud auth print-identity-token)`")),
            };
        };
        let claims = match token.rsplit_once('.') {
            Some((rest, REMOVED)) if self.rules.behind_platform => self.check_claims(rest)?,
            Some((_, REMOVED)) => {
                return Err(denied(
                    "the identity token has no signature, and no platform stands \
                                   before this service that can have verified it",
                ));
            }
            _ => self.verify(token).await?,
        };
        self.check_email(claims)
    }

    async fn verify(&self, token: &str) -> Result<Claims> {
        let verified = self.rules.verifier.verify(token).await.map_err(|source| {
            if source.is_load_cert() {
                return Error::transient("fetch the keys that identity tokens are signed with")
                    .because(source);
            }
            denied("the identity token is not valid").because(source).hint(format!(
                "ask for one whose audience is `{}`: \
                 `gcloud auth print-identity-token --audiences=...`",
                self.rules.audience
            ))
        })?;
        serde_json::from_value(Value::Object(verified))
            .map_err(|_| denied("the identity token has no claims that can be read"))
    }

    /// Reads a token whose signature a platform has verified, and checks its claims.
    fn check_claims(&self, token: &str) -> Result<Claims> {
        let claims = token.split_once('.').and_then(|(_, payload)| {
            let payload = BASE64_URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
            serde_json::from_slice::<Claims>(&payload).ok()
        });
        let claims =
            claims.ok_or_else(|| denied("the identity token has no claims that can be read"))?;
        if !ISSUERS.contains(&claims.iss.as_str()) {
            return Err(denied("the identity token is not from Google"));
        }
        let audience = claims.aud.trim_end_matches('/');
        if !self.is_meant(audience) && audience != GCLOUD {
            let what = format!("the identity token is for `{audience}`");
            return Err(denied(&what)
                .hint(format!("ask for one whose audience is `{}`", self.rules.audience)));
        }
        let expires = DateTime::from_timestamp(claims.exp, 0).unwrap_or_default();
        if expires + SKEW < Utc::now() {
            return Err(denied("the identity token has expired").hint("ask for a new one"));
        }
        Ok(claims)
    }

    /// Whether a token is for this service: for its URL, or for an address of it, which is what
    /// Cloud Scheduler and Pub/Sub ask for where nobody tells them an audience.
    ///
    /// <https://cloud.google.com/scheduler/docs/http-target-auth>
    /// <https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions>
    fn is_meant(&self, audience: &str) -> bool {
        let below = audience.strip_prefix(self.rules.audience.as_str());
        below.is_some_and(|below| below.is_empty() || below.starts_with(['/', '?']))
    }

    fn check_email(&self, claims: Claims) -> Result<Option<String>> {
        let Some(allowed) = &self.rules.emails else {
            return Ok(claims.email.filter(|_| claims.email_verified));
        };
        match claims.email {
            Some(email) if claims.email_verified && allowed.contains(&email) => Ok(Some(email)),
            Some(email) => Err(denied(&format!("`{email}` may not call"))
                .hint("add it to the service's `SLUICE_CALLERS`")),
            None => Err(denied("the identity token names no email")
                .hint("request the service account's token with its email included")),
        }
    }
}

/// The claims of an identity token that are checked.
/// <https://cloud.google.com/docs/authentication/token-types#id-contents>
#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    exp: i64,
    email: Option<String>,
    #[serde(default)]
    email_verified: bool,
}

async fn let_through(State(callers): State<Callers>, mut request: Request, next: Next) -> Response {
    match callers.identify(request.headers()).await {
        Ok(email) => {
            if let Some(caller) = &email {
                tracing::debug!(caller, "identified the caller");
            }
            request.extensions_mut().insert(Caller::new(email));
            next.run(request).await
        }
        Err(error) => Problem(error).into_response(),
    }
}

fn denied(why: &str) -> Error {
    Error::new(Kind::Denied, format!("identify the caller: {why}"))
}

/// The token of a request. If both headers are present, Cloud Run checks only the first.
/// <https://cloud.google.com/run/docs/authenticating/service-to-service>
fn token(headers: &HeaderMap) -> Option<&str> {
    let own = headers.get("x-serverless-authorization");
    let value = own.or_else(|| headers.get(header::AUTHORIZATION))?.to_str().ok()?;
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use serde_json::json;

    use super::*;

    const URL: &str = "https://planner.example";
    const TASKS: &str = "tasks@shop.iam.gserviceaccount.com";

    fn settings(callers: Option<&str>, service: Option<&str>) -> Settings {
        let callers = callers.map(|callers| ("SLUICE_CALLERS".to_owned(), callers.to_owned()));
        let service = service.map(|service| ("K_SERVICE".to_owned(), service.to_owned()));
        envy::from_iter(callers.into_iter().chain(service)).unwrap()
    }

    fn callers(emails: Option<&str>, behind_platform: bool) -> Callers {
        let open = (!behind_platform).then_some(ANYBODY);
        let service = behind_platform.then_some("planner");
        let settings = settings(emails.or(open), service);
        Callers::new(&format!("{URL}/"), &settings).unwrap()
    }

    fn claims() -> Value {
        json!({
            "iss": "https://accounts.google.com",
            "aud": URL,
            "exp": Utc::now().timestamp() + 600,
            "email": TASKS,
            "email_verified": true,
        })
    }

    fn token_of(claims: &Value, signature: &str) -> HeaderMap {
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let head = encode(&json!({"alg": "RS256", "kid": "1", "typ": "JWT"}));
        let token = format!("Bearer {head}.{}.{signature}", encode(claims));
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, token.parse().unwrap());
        headers
    }

    async fn answer(callers: &Callers, headers: &HeaderMap) -> String {
        match callers.identify(headers).await {
            Ok(caller) => caller.unwrap_or_else(|| "nobody".to_owned()),
            Err(error) => {
                assert_eq!(error.kind(), Kind::Denied);
                error.to_string().replace("identify the caller: ", "")
            }
        }
    }

    #[tokio::test]
    async fn a_token_that_the_platform_verified_is_held_against_its_claims() {
        let callers = callers(Some(&format!("other@shop.example, {TASKS}")), true);
        let with = |key: &str, value: Value| {
            let mut claims = claims();
            claims[key] = value;
            token_of(&claims, REMOVED)
        };
        let past = Utc::now().timestamp() - 60;
        for (key, value, expected) in [
            ("iat", json!(1), TASKS),
            ("aud", json!(format!("{URL}/")), TASKS),
            ("aud", json!(GCLOUD), TASKS),
            ("aud", json!(format!("{URL}/runs")), TASKS),
            ("aud", json!(format!("{URL}/pubsub?token=1")), TASKS),
            ("aud", json!("https://x"), "the identity token is for `https://x`"),
            (
                "aud",
                json!(format!("{URL}.evil.example/runs")),
                &format!("the identity token is for `{URL}.evil.example/runs`"),
            ),
            ("aud", json!(7), "the identity token has no claims that can be read"),
            ("exp", json!(past), "the identity token has expired"),
            ("iss", json!("https://evil.example"), "the identity token is not from Google"),
            ("email", json!("x@shop.example"), "`x@shop.example` may not call"),
            ("email", Value::Null, "the identity token names no email"),
            ("email_verified", json!(false), &format!("`{TASKS}` may not call")),
        ] {
            assert_eq!(answer(&callers, &with(key, value)).await, expected, "{key}");
        }
    }

    #[tokio::test]
    async fn only_a_platform_can_have_removed_a_signature() {
        let headers = token_of(&claims(), REMOVED);
        for emails in [None, Some(TASKS)] {
            let said = answer(&callers(emails, false), &headers).await;
            assert!(said.starts_with("the identity token has no signature"), "{said}");
        }
    }

    #[tokio::test]
    async fn without_a_token_only_an_open_list_lets_through() {
        let nothing = HeaderMap::new();
        assert_eq!(answer(&callers(None, true), &nothing).await, "nobody");
        let said = answer(&callers(Some(TASKS), true), &nothing).await;
        assert_eq!(said, "the request brings no identity token");
    }

    #[tokio::test]
    async fn garbage_is_refused_and_not_repeated() {
        let secret = "Bearer s3cret.s3cret.s3cret";
        for value in [secret, "Bearer s3cret", &format!("Bearer a.%%%.{REMOVED}")] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            let error = callers(None, true).identify(&headers).await.unwrap_err();
            assert!(!error.chain().contains("s3cret"), "{}", error.chain());
        }
    }

    #[test]
    fn the_header_of_the_platform_comes_first() {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer theirs"));
        assert_eq!(token(&headers), Some("theirs"));
        headers
            .insert("x-serverless-authorization", HeaderValue::from_static("bearer the-platforms"));
        assert_eq!(token(&headers), Some("the-platforms"));
        headers.insert("x-serverless-authorization", HeaderValue::from_static("Basic abc"));
        assert_eq!(token(&headers), None);
    }

    #[test]
    fn a_list_that_names_nobody_is_refused() {
        for nobody in [" , ", ""] {
            let error = Callers::new(URL, &settings(Some(nobody), None)).unwrap_err();
            assert!(error.to_string().contains("names nobody"), "{error:?}");
        }
    }

    #[test]
    fn a_service_that_nothing_protects_does_not_start_unless_it_is_told_to() {
        let error = Callers::new(URL, &settings(None, None)).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().contains("it is not set"), "{error:?}");
        for (callers, service) in
            [(None, Some("planner")), (Some(ANYBODY), None), (Some(TASKS), None)]
        {
            assert!(Callers::new(URL, &settings(callers, service)).is_ok());
        }
    }
}
