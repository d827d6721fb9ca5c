//! Buckets of the clouds, and web servers.
//!
//! Each cloud's credentials are found where its own tools find them first: in the environment,
//! and from the machine's own identity.
//!
//! - Google Cloud: application default credentials.
//! - S3: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` (`AWS_SESSION_TOKEN`), a web identity
//!   (`AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ROLE_ARN`), a container's or an instance's role. The files
//!   of `aws configure` (`~/.aws`), `AWS_PROFILE` and single sign-on are not read:
//!   `aws configure export-credentials --format env` prints theirs. `AWS_SKIP_SIGNATURE=true` reads
//!   public buckets. The region is `AWS_REGION` or `AWS_DEFAULT_REGION`, else `us-east-1`;
//!   `AWS_ENDPOINT_URL_S3` and `AWS_ENDPOINT_URL` name another service, such as Cloudflare R2 or a
//!   server of your own.
//! - Azure: `AZURE_STORAGE_ACCOUNT_KEY`, `AZURE_STORAGE_SAS_TOKEN`, a service principal
//!   (`AZURE_CLIENT_ID`, `AZURE_TENANT_ID`, `AZURE_CLIENT_SECRET` or
//!   `AZURE_FEDERATED_TOKEN_FILE`), a managed identity, or with `AZURE_USE_AZURE_CLI=true` that of
//!   `az login`. `AZURE_STORAGE_ACCOUNT_NAME` names the account, unless the URL does.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::http::HttpBuilder;
use object_store::{
    BackoffConfig, ClientConfigKey, ClientOptions, CredentialProvider, Error as StoreError,
    ObjectStore, RetryConfig,
};
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Error, Kind, Result};
use sluice_runtime::google::Endpoints;
use sluice_runtime::storage::open_bucket;
use url::Url;

use super::super::address::{Address, StoreKind};
use super::super::web::Connector;
use super::failure::NoCredentials;

/// Time for which a call that fails is repeated.
const PATIENCE: Duration = Duration::from_mins(1);
/// Time for which credentials are looked for. A machine without an identity may drop the question.
const SEARCH: Duration = Duration::from_secs(5);
/// Longest wait for an answer, or for its next bytes.
const SILENCE: &str = "30s";
/// Longest time for a whole answer. A large file takes long, so [`SILENCE`] is what ends a call.
const ANSWER: &str = "1day";

/// Opens a bucket, or the store of a web server.
pub(super) fn open(address: &Address) -> Result<Arc<dyn ObjectStore>> {
    match address.kind() {
        // Opened by `super`.
        StoreKind::Folder => Err(Error::bug("open a folder as a bucket")),
        StoreKind::CloudStorage => Ok(open_bucket(address.root())?.store),
        StoreKind::S3 { bucket } => open_s3(bucket),
        StoreKind::Azure { container } => open_azure(address.root(), container.as_deref()),
        StoreKind::Web { url, is_plain } => open_web(url, *is_plain),
    }
}

/// Whether the environment names an endpoint without encryption.
pub(super) fn is_plain_http(kind: &StoreKind) -> bool {
    match kind {
        StoreKind::Folder => false,
        StoreKind::CloudStorage => {
            Endpoints::from_env().is_ok_and(|endpoints| is_http(endpoints.storage().url()))
        }
        StoreKind::S3 { .. } => s3_endpoint(&AmazonS3Builder::from_env()).is_some_and(is_http),
        StoreKind::Azure { .. } => {
            let builder = MicrosoftAzureBuilder::from_env();
            let set = |key| builder.get_config_value(&key);
            // The emulator is called over HTTP, unless one more variable says otherwise.
            set(AzureConfigKey::Endpoint).is_some_and(is_http)
                || set(AzureConfigKey::UseEmulator).is_some_and(|is_used| is_used == "true")
        }
        StoreKind::Web { url, .. } => url.scheme() == "http",
    }
}

fn is_http(url: impl AsRef<str>) -> bool {
    url.as_ref().get(..7).is_some_and(|start| start.eq_ignore_ascii_case("http://"))
}

/// The endpoint that replaces Amazon's.
fn s3_endpoint(builder: &AmazonS3Builder) -> Option<String> {
    let set = |key| builder.get_config_value(&key);
    set(AmazonS3ConfigKey::S3Endpoint).or_else(|| set(AmazonS3ConfigKey::Endpoint))
}

fn open_s3(bucket: &str) -> Result<Arc<dyn ObjectStore>> {
    let doing = || "read the settings of S3 in the environment (`AWS_...`)";
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
    for (key, value) in client_settings() {
        builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
    }
    if s3_endpoint(&builder).is_some_and(is_http) {
        builder = builder.with_allow_http(true);
    }
    let searching = builder.clone().with_retry(retries(SEARCH)).build();
    let found = Arc::clone(searching.doing(Kind::Invalid, doing)?.credentials());
    let builder = builder.with_credentials(Arc::new(Identity { found }));
    let store = builder.with_retry(retries(PATIENCE)).build().doing(Kind::Invalid, doing)?;
    Ok(Arc::new(store))
}

fn open_azure(root: &str, container: Option<&str>) -> Result<Arc<dyn ObjectStore>> {
    let doing = || "read the settings of Azure in the environment (`AZURE_...`)";
    let explained = |built: object_store::Result<_>| {
        built.doing(Kind::Invalid, doing).map_err(|error| {
            error.hint("set `AZURE_STORAGE_ACCOUNT_NAME` to the name of the storage account")
        })
    };
    let mut builder = MicrosoftAzureBuilder::from_env();
    builder = match container {
        Some(container) => builder.with_container_name(container),
        None => builder.with_url(root),
    };
    for (key, value) in client_settings() {
        builder = builder.with_config(AzureConfigKey::Client(key), value);
    }
    if builder.get_config_value(&AzureConfigKey::Endpoint).is_some_and(is_http) {
        builder = builder.with_allow_http(true);
    }
    let searching = explained(builder.clone().with_retry(retries(SEARCH)).build())?;
    let found = Arc::clone(searching.credentials());
    let builder = builder.with_credentials(Arc::new(Identity { found }));
    Ok(Arc::new(explained(builder.with_retry(retries(PATIENCE)).build())?))
}

fn open_web(url: &Url, is_plain: bool) -> Result<Arc<dyn ObjectStore>> {
    let mut options = ClientOptions::new().with_allow_http(url.scheme() == "http");
    for (key, value) in client_settings() {
        options = options.with_config(key, value);
    }
    let connector = Connector::new((!is_plain).then(|| url.clone()));
    let store = HttpBuilder::new()
        .with_url(url.origin().ascii_serialization())
        .with_client_options(options)
        .with_http_connector(connector)
        .with_retry(retries(PATIENCE))
        .build()
        .doing(Kind::Invalid, || "make a client of web servers")?;
    Ok(Arc::new(store))
}

fn client_settings() -> [(ClientConfigKey, &'static str); 2] {
    [(ClientConfigKey::Timeout, ANSWER), (ClientConfigKey::ReadTimeout, SILENCE)]
}

fn retries(time: Duration) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: if time <= SEARCH { 2 } else { 60 },
        retry_timeout: time,
    }
}

/// Finds the credentials that sign requests. An error here is permanent, unless the service that gives the
/// credentials fails.
struct Identity<C> {
    found: Arc<dyn CredentialProvider<Credential = C>>,
}

impl<C> fmt::Debug for Identity<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

#[async_trait]
impl<C: fmt::Debug + Send + Sync + 'static> CredentialProvider for Identity<C> {
    type Credential = C;

    async fn get_credential(&self) -> object_store::Result<Arc<C>> {
        self.found.get_credential().await.map_err(|source| {
            if source.to_string().contains("status code: 5") {
                return source;
            }
            let source = NoCredentials(source).into();
            StoreError::Unauthenticated { path: String::new(), source }
        })
    }
}
