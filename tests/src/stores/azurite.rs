//! A server that speaks the protocol of Azure's blobs.

use std::process::{Command, Stdio};
use std::sync::Arc;

use axum::http::header::CONTENT_LENGTH;
use object_store::azure::{
    AzureAccessKey, AzureAuthorizer, AzureCredential, MicrosoftAzureBuilder,
};
use object_store::client::{HttpConnector as _, HttpRequest, HttpRequestBody, ReqwestConnector};
use object_store::{ClientOptions, ObjectStore};

use super::{Server, answers, variables};
use crate::needs::{skip, variable};
use crate::ports::free_port;

/// Name of the container that every server has.
pub const CONTAINER: &str = "drop";

/// The account that every server has.
const ACCOUNT: &str = "devstoreaccount1";
/// That account's key, which is documented.
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A server with one empty container. Dropping the value stops the server, which keeps all in
/// memory.
///
/// The server is Azurite. As the service itself, it has no ranges that count from an object's end.
#[derive(Debug)]
pub struct Azurite {
    url: String,
    _server: Server,
}

impl Azurite {
    /// Starts a server. Reports a skip and returns `None` if the program is missing.
    pub async fn start() -> Option<Self> {
        let Some(program) = variable("TEST_AZURITE") else {
            skip("Azurite (TEST_AZURITE)");
            return None;
        };
        let port = free_port();
        let server = Command::new(program)
            .args(["--silent", "--skipApiVersionCheck", "--disableTelemetry"])
            .args(["--inMemoryPersistence", "--blobHost", "127.0.0.1"])
            .args(["--blobPort", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Azurite starts");
        let this = Self { url: format!("http://127.0.0.1:{port}"), _server: Server(server) };
        answers("Azurite", &this.url).await;
        this.make_container(CONTAINER).await;
        Some(this)
    }

    /// What a program reads the server's containers with, in its emulator's way.
    pub fn environment(&self) -> Vec<(String, String)> {
        variables(&[
            ("AZURE_STORAGE_USE_EMULATOR", "true"),
            ("AZURITE_BLOB_STORAGE_URL", &self.url),
        ])
    }

    /// Makes another container.
    pub async fn make_container(&self, name: &str) {
        let client = ReqwestConnector::default();
        let options = ClientOptions::new().with_allow_http(true);
        let client = client.connect(&options).expect("an HTTP client");
        let mut request = http_request(&format!("{}/{ACCOUNT}/{name}?restype=container", self.url));
        let key = AzureAccessKey::try_new(KEY).expect("a key");
        let credential = AzureCredential::AccessKey(key);
        AzureAuthorizer::new(&credential, ACCOUNT)
            .try_authorize(&mut request)
            .expect("a signed request");
        let answer = client.execute(request).await.expect("Azurite answers");
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    /// The container as an object store.
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        // The builder would read the emulator's address from this program's environment.
        let store = MicrosoftAzureBuilder::new()
            .with_allow_http(true)
            .with_account(ACCOUNT)
            .with_access_key(KEY)
            .with_endpoint(format!("{}/{ACCOUNT}", self.url))
            .with_container_name(CONTAINER)
            .build();
        Arc::new(store.expect("settings of Azure"))
    }
}

/// A request that makes what its URL names.
fn http_request(url: &str) -> HttpRequest {
    let request = axum::http::Request::put(url).header(CONTENT_LENGTH, "0");
    request.body(HttpRequestBody::empty()).expect("a request")
}

#[cfg(test)]
mod tests {
    use super::super::tests::holds_objects;
    use super::*;

    #[tokio::test]
    async fn a_container_holds_objects() {
        let Some(azurite) = Azurite::start().await else { return };
        holds_objects(&azurite.store()).await;
        azurite.make_container("other").await;
    }
}
