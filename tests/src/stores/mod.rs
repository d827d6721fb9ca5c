//! Servers that hold files: stand-ins for the clouds that are not Google's, and a web server.
//!
//! Each tells the environment that a program needs to read its files.

pub mod azurite;
pub mod moto;
pub mod web;

use std::process::Child;
use std::time::Duration;

/// A server that is stopped when the value is dropped.
#[derive(Debug)]
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Waits until a server answers.
async fn answers(name: &str, url: &str) {
    let client = reqwest::Client::new();
    for _ in 0..600 {
        if client.get(url).send().await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{name} did not answer within a minute");
}

/// Variables of an environment.
fn variables(set: &[(&str, &str)]) -> Vec<(String, String)> {
    set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::TryStreamExt as _;
    use object_store::path::Path;
    use object_store::{ObjectStore, ObjectStoreExt as _};

    /// Names that need escapes somewhere on the way.
    pub(super) const NAMES: &[&str] =
        &["in/a.csv", "in/a b.csv", "in/100%25.csv", "in/a+b=c&d.csv", "in/ü[1]{2}.csv"];

    /// Puts objects of all those names, and finds and reads them again.
    pub(super) async fn holds_objects(store: &Arc<dyn ObjectStore>) {
        for name in NAMES {
            let path = Path::parse(name).expect("a path");
            store.put(&path, (*name).into()).await.expect("an object is put");
        }
        let listed: Vec<_> =
            store.list(Some(&Path::from("in"))).try_collect().await.expect("a listing");
        let mut found: Vec<&str> = listed.iter().map(|meta| meta.location.as_ref()).collect();
        found.sort_unstable();
        let mut names = NAMES.to_vec();
        names.sort_unstable();
        assert_eq!(found, names);
        for name in NAMES {
            let path = Path::parse(name).expect("a path");
            let bytes = store.get_range(&path, 1..4).await.expect("a range");
            assert_eq!(bytes, name.as_bytes()[1..4]);
        }
    }
}
