//! A server that speaks S3's protocol.

use std::process::{Command, Stdio};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use reqwest::{Client, Url};

use super::{Server, answers, variables};
use crate::needs::{skip, variable};
use crate::ports::free_port;

/// Name of the bucket that every server has.
pub const BUCKET: &str = "drop";

/// A server with one empty bucket. Dropping the value stops the server, which keeps all in memory.
///
/// The server is moto's. It accepts any credentials.
#[derive(Debug)]
pub struct Moto {
    url: String,
    _server: Server,
}

impl Moto {
    /// Starts a server. Reports a skip and returns `None` if Python is missing.
    pub async fn start() -> Option<Self> {
        let Some(python) = variable("TEST_PYTHON") else {
            skip("moto's server (TEST_PYTHON)");
            return None;
        };
        let port = free_port();
        let server = Command::new(python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto's server starts");
        let this = Self { url: format!("http://127.0.0.1:{port}"), _server: Server(server) };
        answers("moto's server", &this.url).await;
        this.make_bucket(BUCKET).await;
        Some(this)
    }

    /// What a program reads the server's buckets with.
    pub fn environment(&self) -> Vec<(String, String)> {
        variables(&[
            ("AWS_ENDPOINT_URL", &self.url),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
        ])
    }

    /// Makes another bucket.
    pub async fn make_bucket(&self, name: &str) {
        self.put_at(&[name], Vec::new()).await;
    }

    /// Puts an object of any name into the bucket, also one that ends in a slash.
    pub async fn put(&self, name: &str, bytes: impl Into<Vec<u8>>) {
        let segments: Vec<&str> = [BUCKET].into_iter().chain(name.split('/')).collect();
        self.put_at(&segments, bytes.into()).await;
    }

    /// The bucket as an object store.
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        let mut builder = AmazonS3Builder::new().with_allow_http(true).with_bucket_name(BUCKET);
        for (name, value) in self.environment() {
            let key = name.to_ascii_lowercase().parse().expect("a setting of S3");
            builder = builder.with_config(key, value);
        }
        Arc::new(builder.build().expect("settings of S3"))
    }

    async fn put_at(&self, segments: &[&str], bytes: Vec<u8>) {
        let mut url = Url::parse(&self.url).expect("a URL");
        url.path_segments_mut().expect("a URL with a path").pop_if_empty().extend(segments);
        let answer = Client::new().put(url).body(bytes).send().await.expect("moto answers");
        assert!(answer.status().is_success(), "{}", answer.status());
    }
}

#[cfg(test)]
mod tests {
    use object_store::path::Path;
    use object_store::{Error, ObjectStoreExt as _};

    use super::super::tests::holds_objects;
    use super::*;

    #[tokio::test]
    async fn a_bucket_holds_objects() {
        let Some(moto) = Moto::start().await else { return };
        let store = moto.store();
        holds_objects(&store).await;
        moto.put("folder/", "").await;
        moto.put("in/put é%.csv", "1").await;
        let meta = store.head(&Path::parse("in/put é%.csv").expect("a path")).await;
        assert_eq!(meta.expect("an object").size, 1);
        let absent = store.head(&Path::from("folder")).await;
        assert!(matches!(absent, Err(Error::NotFound { .. })), "{absent:?}");
    }
}
