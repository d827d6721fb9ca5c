//! A Dataflow that remembers what it was asked for.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{Method, StatusCode, Uri};
use serde_json::{Value, json};
use sluice_runtime::google::Endpoints;
use sluice_runtime::google::dataflow::DataflowSettings;
use tokio::net::TcpListener;

use super::BigQueryTarget;
use super::recorder::Recorder;

/// A Dataflow that does no work: a job ends as the test says.
#[derive(Debug, Clone, Default)]
pub(super) struct Service(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Names and states of the jobs, in the order of their launches.
    jobs: Vec<(String, &'static str)>,
    launches: usize,
    cancelled: usize,
    /// Whether lists lack the jobs that are there.
    hides_jobs: bool,
    /// Whether the answer to the next launch is lost.
    loses_answer: bool,
    /// The status of the answer to the next launch, which starts nothing.
    refuses: Option<u16>,
}

impl Service {
    fn answer(&self, method: &Method, uri: &Uri, body: &[u8]) -> (StatusCode, Value) {
        let mut state = self.0.lock().unwrap();
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let place = "/v1b3/projects/shop/locations/eu/";
        let path = uri.path().strip_prefix(place).expect("the location of the settings");
        let ok = |answer| (StatusCode::OK, answer);
        match (method.as_str(), path) {
            ("POST", "flexTemplates:launch") => {
                state.launches += 1;
                if let Some(status) = state.refuses.take() {
                    let status = StatusCode::from_u16(status).unwrap();
                    return (status, json!({"error": {"message": "no template"}}));
                }
                let name = body["launchParameter"]["jobName"].as_str().unwrap().to_owned();
                let is_at_work = |job: &(String, &str)| job.0 == name && job.1.ends_with("RUNNING");
                if state.jobs.iter().any(is_at_work) {
                    return (StatusCode::CONFLICT, json!({"error": {"message": "already active"}}));
                }
                state.jobs.push((name, "JOB_STATE_RUNNING"));
                if std::mem::take(&mut state.loses_answer) {
                    return (StatusCode::SERVICE_UNAVAILABLE, json!({}));
                }
                ok(json!({"job": {"id": "id"}}))
            }
            ("GET", "jobs") => {
                let query = uri.query().unwrap_or_default();
                let name = query.strip_prefix("name=").expect("jobs are looked for by name");
                let hides = state.hides_jobs;
                let jobs = state.jobs.iter().enumerate().filter(|(_, job)| !hides && job.0 == name);
                let jobs: Vec<Value> = jobs
                    .map(|(at, job)| json!({"id": at.to_string(), "name": job.0, "currentState": job.1}))
                    .collect();
                ok(if jobs.is_empty() { json!({}) } else { json!({"jobs": jobs}) })
            }
            ("GET", _) => ok(json!({"jobMessages": [
                {"messageText": "Traceback:\n  line 7\nFailure: check run: rows are missing\n\nhint: nothing was loaded\n"},
                {"messageText": "Workflow failed."},
            ]})),
            ("PUT", path) => {
                assert_eq!(body, json!({"requestedState": "JOB_STATE_CANCELLED"}));
                let at: usize = path.strip_prefix("jobs/").unwrap().parse().unwrap();
                state.jobs[at].1 = "JOB_STATE_CANCELLED";
                state.cancelled += 1;
                ok(json!({}))
            }
            other => panic!("Dataflow has no {other:?}"),
        }
    }

    /// The target that has BigQuery by `recorder`, and this Dataflow.
    pub(super) async fn serve(
        &self,
        recorder: &Recorder,
        change: impl FnOnce(&mut DataflowSettings),
    ) -> BigQueryTarget {
        let this = self.clone();
        let router = Router::new().fallback(move |method: Method, uri: Uri, body: Bytes| {
            let (status, answer) = this.answer(&method, &uri, &body);
            async move { (status, answer.to_string()) }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let endpoints: Endpoints =
            serde_json::from_value(json!({"sluice_dataflow_endpoint": url})).unwrap();
        let mut settings =
            DataflowSettings::new("gs://lake/sluice.json", "projects/shop/locations/eu").unwrap();
        change(&mut settings);
        recorder.serve().await.with_dataflow(&endpoints.dataflow(), settings).unwrap()
    }

    pub(super) fn ends(&self, state: &'static str) {
        self.0.lock().unwrap().jobs.last_mut().unwrap().1 = state;
    }

    pub(super) fn jobs(&self) -> Vec<String> {
        self.0.lock().unwrap().jobs.iter().map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.0.lock().unwrap();
        (state.launches, state.cancelled)
    }

    /// Loses the answer to the next launch.
    pub(super) fn loses_answer(&self) {
        self.0.lock().unwrap().loses_answer = true;
    }

    /// Answers the next launch with this status, and starts nothing.
    pub(super) fn refuses(&self, status: u16) {
        self.0.lock().unwrap().refuses = Some(status);
    }

    /// Sets whether lists lack the jobs that are there.
    pub(super) fn hides_jobs(&self, hides: bool) {
        self.0.lock().unwrap().hides_jobs = hides;
    }

    /// Forgets all jobs.
    pub(super) fn forgets(&self) {
        self.0.lock().unwrap().jobs.clear();
    }
}
