//! The documents of a run's jobs of Dataflow.

use super::{Created, RunStore};
use crate::documents::{DataflowAttempt, DataflowLaunch, DataflowOrder, DataflowResult};
use crate::error::Result;
use crate::layout::is_dataflow_document;

impl RunStore {
    /// Says what a job is to do. If two programs say it, the first decides.
    pub async fn create_dataflow_order(
        &self,
        attempt: DataflowAttempt,
        order: &DataflowOrder,
    ) -> Result<Created> {
        self.create(&self.layout.dataflow_order(attempt), order).await
    }

    /// URL of the order.
    pub fn dataflow_order_url(&self, attempt: DataflowAttempt) -> String {
        self.url_of(&self.layout.dataflow_order(attempt))
    }

    /// URL of the folder of a job, with a `/` at its end.
    pub fn dataflow_folder_url(&self, attempt: DataflowAttempt) -> String {
        format!("{}/", self.url_of(&self.layout.dataflow_job(attempt)))
    }

    /// Claims the launch of a job: who is first launches it.
    pub async fn create_dataflow_launch(
        &self,
        attempt: DataflowAttempt,
        launch: &DataflowLaunch,
    ) -> Result<Created> {
        self.create(&self.layout.dataflow_launch(attempt), launch).await
    }

    /// The newest attempt at the same rows that was launched, if any was, with its launch. They are
    /// numbered without gaps.
    pub async fn newest_dataflow_launch(
        &self,
        first: DataflowAttempt,
    ) -> Result<Option<(DataflowAttempt, DataflowLaunch)>> {
        let mut newest = None;
        for number in first.number.. {
            let attempt = DataflowAttempt { number, ..first };
            let path = self.layout.dataflow_launch(attempt);
            match self.read(&path, DataflowLaunch::VERSION).await? {
                Some(launch) => newest = Some((attempt, launch)),
                None => break,
            }
        }
        Ok(newest)
    }

    /// What a job has done, once its staging table is whole.
    pub async fn dataflow_result(
        &self,
        attempt: DataflowAttempt,
    ) -> Result<Option<DataflowResult>> {
        self.read(&self.layout.dataflow_result(attempt), DataflowResult::VERSION).await
    }

    /// Deletes the files that jobs have made of a table's rows, and keeps the documents.
    pub async fn delete_dataflow_files(&self, table: u32) -> Result<()> {
        let mut files = self.list(&self.layout.dataflow(table)).await?;
        files.retain(|file| !is_dataflow_document(file));
        self.delete_all(files).await
    }
}
