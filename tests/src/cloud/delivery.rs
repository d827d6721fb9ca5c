//! Calls that Google makes: delivered at least once, and not always on time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use serde_json::json;

/// The pause before a failed call is repeated; it doubles each time up to [`LONGEST`]. Google's
/// pauses are longer, which would slow the tests down.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// What happens to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It never arrives.
    Lost,
    /// It arrives this much later.
    Late(Duration),
    /// It arrives twice, at the same time.
    Twice,
}

/// The fates of future deliveries.
#[derive(Debug, Clone, Default)]
pub struct Weather {
    rules: Arc<Mutex<Vec<(String, Fate)>>>,
}

impl Weather {
    /// From now on, deliveries whose name holds `part` meet this fate.
    pub fn set(&self, part: &str, fate: Fate) {
        self.rules.lock().expect("no thread panicked").push((part.to_owned(), fate));
    }

    /// From now on, every delivery arrives once and on time.
    pub fn clear(&self) {
        self.rules.lock().expect("no thread panicked").clear();
    }

    /// Waits until the delivery `name` is due, and returns how many copies of it arrive.
    pub(crate) async fn copies(&self, name: &str) -> usize {
        let fate = {
            let rules = self.rules.lock().expect("no thread panicked");
            rules.iter().rev().find(|(part, _)| name.contains(part)).map(|(_, fate)| *fate)
        };
        match fate {
            None => 1,
            Some(Fate::Lost) => 0,
            Some(Fate::Twice) => 2,
            Some(Fate::Late(late)) => {
                tokio::time::sleep(late).await;
                1
            }
        }
    }
}

/// Where services are on this machine that are called by other URLs, as names and load balancers
/// bring a call to them elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Addresses(Vec<(String, String)>);

impl Addresses {
    /// The service that is called at the URL `service` is at `here`.
    #[must_use]
    pub fn with(mut self, service: &str, here: &str) -> Self {
        self.0.push((service.to_owned(), here.to_owned()));
        self
    }

    /// Where a call of a URL arrives.
    pub fn of(&self, url: &str) -> String {
        let found = self.0.iter().find_map(|(service, here)| {
            let path = url.strip_prefix(service).filter(|path| path.starts_with('/'))?;
            Some(format!("{here}{path}"))
        });
        found.unwrap_or_else(|| url.to_owned())
    }
}

/// The pause before try number `retries`, counted from 1.
pub(crate) fn pause(retries: u32) -> Duration {
    SHORTEST.saturating_mul(1 << retries.saturating_sub(1).min(10)).min(LONGEST)
}

/// The header that tells a service who calls. As on Cloud Run, the token was already checked, and
/// its signature was removed.
pub fn bearer(email: &str, audience: &str) -> String {
    let now = Utc::now().timestamp();
    let part = |part: serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let header = part(json!({"alg": "RS256", "kid": "test", "typ": "JWT"}));
    let claims = part(json!({
        "aud": audience,
        "azp": "100000000000000000000",
        "email": email,
        "email_verified": true,
        "exp": now + 3600,
        "iat": now,
        "iss": "https://accounts.google.com",
        "sub": "100000000000000000000",
    }));
    format!("Bearer {header}.{claims}.SIGNATURE_REMOVED_BY_GOOGLE")
}
