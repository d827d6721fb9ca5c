//! The documents of requests.

use super::{Bucket, Created, RunStore};
use crate::documents::{Request, Reservation};
use crate::error::{Error, Result};
use crate::layout::Layout;

impl Bucket {
    /// The text of a job file, where this is a folder of them. `name` has to be a plain one.
    pub async fn job_file(&self, name: &str) -> Result<Option<String>> {
        let path = Layout::job_file(&self.prefix, name);
        let Some(bytes) = self.bytes(&path).await? else { return Ok(None) };
        let text = String::from_utf8(bytes.into());
        text.map(Some).map_err(|_| Error::invalid(format!("read `{path}`: it is not UTF-8")))
    }

    /// The run that the request of that key led to, if it came before.
    pub async fn reservation(&self, key: &str) -> Result<Option<Reservation>> {
        self.read(&Layout::reservation(&self.prefix, key), Reservation::VERSION).await
    }

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
