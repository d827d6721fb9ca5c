//! The documents of requests.

use super::{Bucket, Created, RunStore};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::request::{Request, Reservation};

impl Bucket {
    /// Reserves a run for the request that `key` tells from others, or finds the run that the same
    /// request led to before.
    pub async fn reserve(&self, key: &str, reservation: &Reservation) -> Result<Reservation> {
        let path = Layout::reservation(&self.prefix, key);
        match self.create(&path, reservation).await? {
            Created::First => Ok(reservation.clone()),
            Created::Lost => {
                let found = self.read(&path, Reservation::VERSION).await?;
                found.ok_or_else(|| Error::transient(format!("read `{path}`: it is gone")))
            }
        }
    }
}

impl RunStore {
    /// Keeps what was asked for.
    pub async fn create_request(&self, request: &Request) -> Result<Created> {
        self.create(&self.layout.request(), request).await
    }

    /// What was asked for; nothing for a run that was not asked of a planner.
    pub async fn request(&self) -> Result<Option<Request>> {
        self.read(&self.layout.request(), Request::VERSION).await
    }
}
