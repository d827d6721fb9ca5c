//! Carrying a launch out: one execution reads its tasks, whichever program ordered it.

use chrono::Utc;
use sluice_contracts::documents::{Claim, Order, TaskKind};
use sluice_contracts::ports::Executions;
use sluice_contracts::store::{Created, RunStore};
use sluice_contracts::{Error, Result};

/// Orders a launch and starts an execution of `kind` for it, or finds the one that carries it out already.
///
/// Safe to be killed at any point and to be called again, and by any number of callers at once:
/// there is one order, the first, and one claim. A start whose answer was lost leaves an execution
/// whose name no program knows; its own tasks claim the launch if it is unclaimed, or end quietly.
///
/// # Errors
/// Those of the store and of [`Executions::start`]; `Bug` where the order has no tasks.
pub async fn carry_out(
    store: &RunStore,
    executions: &dyn Executions,
    kind: &TaskKind,
    order: Order,
) -> Result<Claim> {
    let launch = order.launch;
    let doing = |error: Error| error.during(format!("launch {launch} of run `{}`", store.run()));
    let order = adopt(store, order).await.map_err(doing)?;
    if let Some(claim) = store.claim(launch).await.map_err(doing)? {
        return Ok(claim);
    }
    let ours = start(store, executions, kind, &order).await.map_err(doing)?;
    // If this fails the execution is not cancelled: its tasks create the claim instead.
    match store.create_claim(&ours).await.map_err(doing)? {
        Created::First => Ok(ours),
        Created::Lost => {
            let claim = store.claim(launch).await.map_err(doing)?.ok_or_else(|| {
                Error::transient(format!("read the claim of launch {launch}: it is gone"))
            })?;
            cancel_duplicate(executions, &ours, &claim).await;
            Ok(claim)
        }
    }
}

/// The order that counts: this one, or the one that existed before it.
async fn adopt(store: &RunStore, order: Order) -> Result<Order> {
    match store.create_order(&order).await? {
        Created::First => Ok(order),
        Created::Lost => store.order(order.launch).await?.ok_or_else(|| {
            Error::transient(format!("read the order of launch {}: it is gone", order.launch))
        }),
    }
}

async fn start(
    store: &RunStore,
    executions: &dyn Executions,
    kind: &TaskKind,
    order: &Order,
) -> Result<Claim> {
    let task_count = u32::try_from(order.tasks.len()).unwrap_or(u32::MAX);
    if task_count == 0 {
        return Err(Error::bug("start an execution: its order has no tasks"));
    }
    let execution = executions.start(kind, &store.manifest_url(), order.launch, task_count).await?;
    tracing::info!(
        run = %store.run(),
        launch = order.launch,
        execution,
        tasks = task_count,
        reason = order.reason,
        "started an execution"
    );
    Ok(Claim { version: Claim::VERSION, launch: order.launch, execution, at: Utc::now() })
}

/// Cancels our execution if another one carries the launch out. Its tasks would end by themselves,
/// but would have to start first.
async fn cancel_duplicate(executions: &dyn Executions, ours: &Claim, claim: &Claim) {
    // Its own task may have claimed the launch before us.
    if claim.execution == ours.execution {
        return;
    }
    let execution = &ours.execution;
    match executions.cancel(execution).await {
        Ok(()) => tracing::info!(execution, "cancelled an execution that is not needed"),
        Err(error) => {
            let error = error.chain();
            tracing::warn!(execution, error, "could not cancel an execution that is not needed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use object_store::memory::InMemory;
    use sluice_contracts::documents::RunId;
    use sluice_contracts::ports::{ExecutionState, TaskTerms};
    use sluice_contracts::store::Bucket;

    use super::*;

    const USUAL: TaskKind = TaskKind { task_size: None, delay_execution: false };

    /// What a start loses: nothing, its request or its answer.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Lost {
        Nothing,
        Request,
        Answer,
    }

    /// A platform that remembers what was started and cancelled.
    #[derive(Debug)]
    struct Platform {
        lost: Mutex<Lost>,
        started: Mutex<Vec<u32>>,
        cancelled: Mutex<Vec<String>>,
        /// Number of callers that have to be waiting before any of them gets an answer.
        together: tokio::sync::Barrier,
        /// A run whose launch an execution's own task claims before the answer to its start.
        quick: Option<RunStore>,
    }

    impl Platform {
        fn new(together: usize) -> Self {
            Self {
                lost: Mutex::new(Lost::Nothing),
                started: Mutex::default(),
                cancelled: Mutex::default(),
                together: tokio::sync::Barrier::new(together),
                quick: None,
            }
        }

        fn started(&self) -> Vec<u32> {
            self.started.lock().unwrap().clone()
        }

        fn cancelled(&self) -> Vec<String> {
            self.cancelled.lock().unwrap().clone()
        }
    }

    #[async_trait]
    impl Executions for Platform {
        async fn start(
            &self,
            _: &TaskKind,
            manifest_url: &str,
            launch: u32,
            task_count: u32,
        ) -> Result<String> {
            assert!(manifest_url.ends_with("/manifest.json"), "{manifest_url}");
            let lost = std::mem::replace(&mut *self.lost.lock().unwrap(), Lost::Nothing);
            if lost == Lost::Request {
                return Err(Error::transient("start an execution"));
            }
            let name = {
                let mut started = self.started.lock().unwrap();
                started.push(task_count);
                format!("execution-{}", started.len())
            };
            self.together.wait().await;
            if let Some(store) = &self.quick {
                store.create_claim(&claim(launch, &name)).await.unwrap();
            }
            match lost {
                Lost::Answer => Err(Error::transient("start an execution")),
                _ => Ok(name),
            }
        }

        async fn state(&self, _: &str) -> Result<Option<ExecutionState>> {
            Ok(None)
        }

        fn check(&self, _: &TaskKind) -> Result<()> {
            Ok(())
        }

        async fn tasks(&self, _: &TaskKind) -> Result<TaskTerms> {
            Ok(TaskTerms { parallelism: None, size: None })
        }

        async fn cancel(&self, execution: &str) -> Result<()> {
            self.cancelled.lock().unwrap().push(execution.to_owned());
            Ok(())
        }
    }

    fn claim(launch: u32, execution: &str) -> Claim {
        let at = chrono::DateTime::UNIX_EPOCH;
        Claim { version: Claim::VERSION, launch, execution: execution.to_owned(), at }
    }

    fn order(tasks: &[u32]) -> Order {
        Order {
            version: Order::VERSION,
            launch: 0,
            tasks: tasks.to_vec(),
            reason: "the run begins".to_owned(),
            at: Utc::now(),
        }
    }

    fn store() -> RunStore {
        let store = Arc::new(InMemory::new());
        let bucket = Bucket { store, prefix: "lake".into(), url: "gs://bucket/lake".to_owned() };
        RunStore::new(bucket, RunId::generate())
    }

    #[tokio::test]
    async fn called_again_it_finds_the_claim_and_starts_nothing() {
        let (store, platform) = (store(), Platform::new(1));
        let first = carry_out(&store, &platform, &USUAL, order(&[0, 1, 2])).await.unwrap();
        let again = carry_out(&store, &platform, &USUAL, order(&[0])).await.unwrap();
        assert_eq!(first, again);
        assert_eq!(platform.started(), [3]);
        assert_eq!(store.order(0).await.unwrap().unwrap().tasks, [0, 1, 2]);
    }

    #[tokio::test]
    async fn of_two_at_once_one_claims_and_the_other_cancels_its_own() {
        let (store, platform) = (store(), Platform::new(2));
        let (one, two) = tokio::join!(
            carry_out(&store, &platform, &USUAL, order(&[0, 1])),
            carry_out(&store, &platform, &USUAL, order(&[0, 1])),
        );
        let claim = one.unwrap();
        assert_eq!(claim.execution, two.unwrap().execution);
        assert_eq!(platform.started(), [2, 2]);
        let [cancelled] = &platform.cancelled()[..] else { panic!("{platform:?}") };
        assert_ne!(*cancelled, claim.execution);
        assert_eq!(store.claim(0).await.unwrap(), Some(claim));
    }

    #[tokio::test]
    async fn a_lost_request_is_made_again_with_the_first_order() {
        let (store, platform) = (store(), Platform::new(1));
        *platform.lost.lock().unwrap() = Lost::Request;
        let error = carry_out(&store, &platform, &USUAL, order(&[4, 7])).await.unwrap_err();
        assert!(error.is_transient());
        carry_out(&store, &platform, &USUAL, order(&[0, 1, 2])).await.unwrap();
        assert_eq!(platform.started(), [2]);
    }

    #[tokio::test]
    async fn an_execution_whose_name_was_lost_may_claim_the_launch_itself() {
        let (store, mut platform) = (store(), Platform::new(1));
        platform.quick = Some(store.clone());
        *platform.lost.lock().unwrap() = Lost::Answer;
        carry_out(&store, &platform, &USUAL, order(&[0])).await.unwrap_err();
        let claim = carry_out(&store, &platform, &USUAL, order(&[0])).await.unwrap();
        assert_eq!(claim.execution, "execution-1");
        assert_eq!(platform.started(), [1]);
    }

    #[tokio::test]
    async fn an_execution_whose_own_task_was_quicker_is_not_cancelled() {
        let (store, mut platform) = (store(), Platform::new(1));
        platform.quick = Some(store.clone());
        let claimed = carry_out(&store, &platform, &USUAL, order(&[0])).await.unwrap();
        assert_eq!(claimed, claim(0, "execution-1"));
        assert!(platform.cancelled().is_empty(), "{platform:?}");
    }

    #[tokio::test]
    async fn an_order_without_tasks_starts_nothing() {
        let (store, platform) = (store(), Platform::new(1));
        carry_out(&store, &platform, &USUAL, order(&[])).await.unwrap_err();
        assert!(platform.started().is_empty());
    }
}
