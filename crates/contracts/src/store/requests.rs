//! The documents of requests.

use super::{Bucket, Created, RunStore};
use crate::documents::{Request, Reservation};
use crate::error::{Error, Result};
use crate::layout::Layout;

impl Bucket {
    /// The text of a job file, if this bucket is a folder of them. `name` must be a plain file name
    /// without `.yaml`.
    pub async fn job_file(&self, name: &str) -> Result<Option<String>> {
        let path = Layout::job_file(&self.prefix, name);
        let Some(bytes) = self.bytes(&path).await? else { return Ok(None) };
        let text = String::from_utf8(bytes.into());
        text.map(Some).map_err(|_| Error::invalid(format!("read `{path}`: it is not UTF-8")))
    }

    /// The run that the request of that key led to, or the newest retry of it, and the number of
    /// that retry (0 for the request itself); `None` if it never arrived.
    pub async fn newest_reservation(&self, key: &str) -> Result<Option<(u32, Reservation)>> {
        let mut newest = None;
        for retry in 0.. {
            let path = Layout::reservation(&self.prefix, key, retry);
            let Some(found) = self.read(&path, Reservation::VERSION).await? else { break };
            newest = Some((retry, found));
        }
        Ok(newest)
    }

    /// Reserves a run for the request that `key` identifies (0) or a retry of it, or finds the run
    /// that the same one led to before.
    pub async fn reserve(
        &self,
        key: &str,
        retry: u32,
        reservation: &Reservation,
    ) -> Result<Reservation> {
        let path = Layout::reservation(&self.prefix, key, retry);
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
    /// Records the request for the run.
    pub async fn create_request(&self, request: &Request) -> Result<Created> {
        self.create(&self.layout.request(), request).await
    }

    /// The request for the run; `None` if no planner was asked for it.
    pub async fn request(&self) -> Result<Option<Request>> {
        self.read(&self.layout.request(), Request::VERSION).await
    }
}
