//! Pub/Sub: announcing that a run has ended.

use async_trait::async_trait;
use google_cloud_pubsub::client::Publisher;
use google_cloud_pubsub::error::PublishError;
use google_cloud_pubsub::model::Message;
use sluice_contracts::documents::RunEvent;
use sluice_contracts::error::Doing as _;
use sluice_contracts::ports::Announcer;
use sluice_contracts::{Error, Kind, Result};

use super::Endpoints;
use super::refusal::{Remedy, check_name, kind_of, repeated, unhindered};

const REMEDY: Remedy = Remedy {
    denied: "grant this service's identity `roles/pubsub.publisher` on the topic",
    missing: "look at `SLUICE_TOPIC`: it is `projects/P/topics/T`",
};

/// A topic of Pub/Sub.
///
/// A message's data is the event as JSON; its attributes `event`, `run` and `job` are there for
/// subscriptions to filter by.
#[derive(Debug, Clone)]
pub struct PubSub {
    topic: String,
    publisher: Publisher,
}

impl PubSub {
    /// `topic`, a name like `projects/P/topics/T`.
    pub async fn new(endpoints: &Endpoints, topic: &str) -> Result<Self> {
        check_name(topic, &["topics"], "SLUICE_TOPIC")?;
        let endpoint = endpoints.pubsub();
        let publisher = Publisher::builder(topic)
            .with_endpoint(endpoint.url())
            .with_credentials(endpoint.credentials()?)
            .with_retry_policy(repeated())
            .with_retry_throttler(unhindered())
            .build()
            .await
            .doing(Kind::Denied, || "make a client of Pub/Sub")?;
        Ok(Self { topic: topic.to_owned(), publisher })
    }
}

#[async_trait]
impl Announcer for PubSub {
    async fn announce(&self, event: &RunEvent) -> Result<()> {
        let what = || format!("publish to `{}` the end of run `{}`", self.topic, event.run);
        let data = serde_json::to_vec(event).doing(Kind::Bug, what)?;
        let attributes = [
            ("event", event.event.name().to_owned()),
            ("run", event.run.to_string()),
            ("job", event.job.clone()),
        ];
        let message = Message::new().set_data(data).set_attributes(attributes);
        match self.publisher.publish(message).await {
            Ok(_) => Ok(()),
            Err(failed) => {
                let kind = match &failed {
                    PublishError::Rpc(refused) => kind_of(refused),
                    _ => Kind::Transient,
                };
                Err(REMEDY.hint(Error::new(kind, what()).because(failed)))
            }
        }
    }
}
