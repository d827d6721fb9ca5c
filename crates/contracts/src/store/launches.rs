//! The documents of a run's launches.

use super::{Created, RunStore};
use crate::documents::{Claim, Order};
use crate::error::Result;

impl RunStore {
    /// Orders a launch. If two programs order the same one, the first decides its contents.
    pub async fn create_order(&self, order: &Order) -> Result<Created> {
        self.create(&self.layout.order(order.launch), order).await
    }

    /// What was ordered for a launch.
    pub async fn order(&self, launch: u32) -> Result<Option<Order>> {
        self.read(&self.layout.order(launch), Order::VERSION).await
    }

    /// Records which execution carries a launch out.
    pub async fn create_claim(&self, claim: &Claim) -> Result<Created> {
        self.create(&self.layout.claim(claim.launch), claim).await
    }

    /// The execution that carries a launch out, if it is known.
    pub async fn claim(&self, launch: u32) -> Result<Option<Claim>> {
        self.read(&self.layout.claim(launch), Claim::VERSION).await
    }

    /// The newest launch that was ordered or claimed, if any was. They are numbered without gaps.
    pub async fn newest_launch(&self) -> Result<Option<u32>> {
        let mut newest = None;
        for launch in 0.. {
            if !self.exists(&self.layout.order(launch)).await?
                && !self.exists(&self.layout.claim(launch)).await?
            {
                break;
            }
            newest = Some(launch);
        }
        Ok(newest)
    }
}
