//! Google Cloud's metadata server: who a program on Google Cloud is, and the tokens that prove it.
//!
//! <https://cloud.google.com/run/docs/container-contract#metadata-server>

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::Server;

/// What every request and every answer has.
const FLAVOR: (&str, &str) = ("Metadata-Flavor", "Google");

/// The metadata server of a program that runs as one service account.
#[derive(Debug)]
pub struct Metadata {
    account: Arc<Account>,
    server: Server,
}

#[derive(Debug)]
struct Account {
    email: String,
    /// Seconds that a token is said to be valid.
    valid_for: u32,
    tokens: Mutex<Tokens>,
    /// The statuses of the next answers about the account's identity; 200 for the usual answer.
    outage: Mutex<VecDeque<u16>>,
}

#[derive(Debug, Default)]
struct Tokens {
    current: String,
    /// The scopes of each token that was handed out.
    asked: Vec<String>,
}

impl Metadata {
    /// Serves an account whose token is `token`, valid for `valid_for` seconds. Google's clients
    /// fetch another one 240 seconds before a token expires.
    pub async fn of(email: &str, token: &str, valid_for: u32) -> Self {
        let tokens = Tokens { current: token.to_owned(), asked: Vec::new() };
        let account = Account {
            email: email.to_owned(),
            valid_for,
            tokens: Mutex::new(tokens),
            outage: Mutex::default(),
        };
        let account = Arc::new(account);
        let base = "/computeMetadata/v1/instance/service-accounts/default";
        let router = Router::new()
            .route(&format!("{base}/"), get(describe))
            .route(&format!("{base}/token"), get(token_of))
            .route(&format!("{base}/identity"), get(identity))
            .fallback(|| async { StatusCode::NOT_FOUND })
            .with_state(Arc::clone(&account));
        Self { account, server: Server::start(router).await }
    }

    /// Its host and port: the value of `GCE_METADATA_HOST`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.server.port())
    }

    /// Hands out another token from now on.
    pub fn renew(&self, token: &str) {
        token.clone_into(&mut self.account.tokens().current);
    }

    /// Answers the next questions about the account's identity with these statuses; 200 stands for the
    /// usual answer.
    pub fn answer_identity(&self, statuses: impl IntoIterator<Item = u16>) {
        let mut outage = self.account.outage.lock().unwrap_or_else(PoisonError::into_inner);
        outage.extend(statuses);
    }

    /// The scopes of each token that was handed out.
    pub fn asked(&self) -> Vec<String> {
        self.account.tokens().asked.clone()
    }
}

impl Account {
    fn tokens(&self) -> std::sync::MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A query's parameters.
type Parameters = Query<std::collections::HashMap<String, String>>;

async fn describe(State(account): State<Arc<Account>>, headers: HeaderMap) -> Response {
    let about = json!({
        "aliases": ["default"],
        "email": account.email,
        "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
    });
    answer(&headers, about.to_string(), "application/json")
}

async fn token_of(
    State(account): State<Arc<Account>>,
    Query(parameters): Parameters,
    headers: HeaderMap,
) -> Response {
    let token = {
        let mut tokens = account.tokens();
        tokens.asked.push(parameters.get("scopes").cloned().unwrap_or_default());
        tokens.current.clone()
    };
    let token = json!({
        "access_token": token, "expires_in": account.valid_for, "token_type": "Bearer",
    });
    answer(&headers, token.to_string(), "application/json")
}

async fn identity(
    State(account): State<Arc<Account>>,
    Query(parameters): Parameters,
    headers: HeaderMap,
) -> Response {
    let status = account.outage.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    if let Some(status) = status.filter(|status| *status != 200) {
        return StatusCode::from_u16(status).expect("a status").into_response();
    }
    let Some(audience) = parameters.get("audience") else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut claims = json!({
        "aud": audience,
        "exp": chrono::Utc::now().timestamp() + 3600,
        "iss": "https://accounts.google.com",
        "sub": "1",
    });
    // <https://cloud.google.com/compute/docs/instances/verifying-instance-identity#token_format>
    if parameters.get("format").is_some_and(|format| format == "full") {
        claims["email"] = account.email.clone().into();
        claims["email_verified"] = true.into();
    }
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(json!({"alg": "RS256", "kid": "1", "typ": "JWT"}));
    let token = format!("{header}.{}.{}", part(claims), URL_SAFE_NO_PAD.encode("signature"));
    answer(&headers, token, "text/html")
}

/// Answers a caller that names itself as a client of this server.
/// <https://cloud.google.com/compute/docs/metadata/querying-metadata#parts-of-a-request>
fn answer(headers: &HeaderMap, body: String, kind: &'static str) -> Response {
    let (name, value) = FLAVOR;
    if headers.get(name).is_none_or(|found| found != value) {
        return StatusCode::FORBIDDEN.into_response();
    }
    ([(name, value), ("Content-Type", kind)], body).into_response()
}
