//! A BigQuery that does no work, and remembers what it was asked for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use serde_json::{Value, json};
use sluice_runtime::google::Endpoints;
use tokio::net::TcpListener;

use super::super::BigQueryTarget;
use super::answers::{ends_soon, one_value, refusal};
use super::discovery::require_known;
use super::endings::{done, usual_end};

/// When a request breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breaks {
    /// It is not carried out.
    Before,
    /// It is carried out, and its answer is lost.
    After,
}

/// What it knows.
#[derive(Debug, Default)]
struct State {
    /// Tables and jobs by the path that they are found at.
    known: BTreeMap<String, Value>,
    /// How jobs of a kind end: `load`, `copy` or `query`.
    ending_of: Option<(&'static str, Value)>,
    /// How the next jobs end: their status and statistics.
    endings: VecDeque<Value>,
    /// Number of checks of jobs that find nothing, as if they came before the job.
    blind: usize,
    /// Number of deletions of tables that fail.
    keeps: usize,
    /// Requests until the next one that breaks, how many break then, and when.
    breaks: Option<(usize, usize, Breaks)>,
    has_broken: bool,
    /// Rows that a query counts.
    counts: Option<u64>,
    /// Rows that it counts in tables whose names end with this.
    counts_of: Option<(&'static str, u64)>,
    /// Rows that a query writes which keeps the newest of each key.
    kept: Option<u64>,
    /// The answer to a list of row access policies; there are none, if absent.
    policies: Option<(StatusCode, Value)>,
    /// Everything that changes something, in order.
    asked: Vec<Value>,
    /// The paths of everything that was only looked at.
    looked: Vec<String>,
}

/// The recorder.
#[derive(Debug, Clone, Default)]
pub(super) struct Recorder(Arc<Mutex<State>>);

impl Recorder {
    /// Listens, and is the BigQuery of the returned target.
    pub(super) async fn serve(&self) -> BigQueryTarget {
        let recorder = self.clone();
        let router = Router::new().fallback(
            move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
                let etag = headers.get(header::IF_MATCH).and_then(|etag| etag.to_str().ok());
                let carry_out = || recorder.answer(&method, uri.path(), etag, &body);
                let broken = || refusal(StatusCode::SERVICE_UNAVAILABLE, "backendError");
                let (status, answer) = match recorder.breaks_now() {
                    Some(Breaks::Before) => broken(),
                    Some(Breaks::After) => {
                        carry_out();
                        broken()
                    }
                    None => carry_out(),
                };
                async move { (status, answer.to_string()) }
            },
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let endpoints: Endpoints = serde_json::from_value(json!({
            "sluice_bigquery_endpoint": url,
            "storage_emulator_host": url,
        }))
        .unwrap();
        let target = BigQueryTarget::new(&endpoints.bigquery()).await.unwrap();
        target.with_storage(&endpoints.storage()).unwrap()
    }

    /// Makes the table `orders` exist as this document describes it.
    pub(super) fn stands(&self, table: Value) {
        self.0.lock().unwrap().known.insert("/datasets/sales/tables/orders".into(), table);
    }

    /// Makes a table of this name exist.
    pub(super) fn knows(&self, name: &str, table: Value) {
        let mut state = self.0.lock().unwrap();
        state.known.insert(format!("/datasets/sales/tables/{name}"), table);
    }

    /// Makes a table of this name be gone.
    pub(super) fn lacks(&self, name: &str) {
        self.0.lock().unwrap().known.remove(&format!("/datasets/sales/tables/{name}"));
    }

    /// Makes a bucket exist, as Cloud Storage describes it.
    pub(super) fn has_bucket(&self, name: &str, bucket: Value) {
        self.0.lock().unwrap().known.insert(format!("/storage/v1/b/{name}"), bucket);
    }

    /// Makes a job of this name be done.
    pub(super) fn has_done(&self, id: &str) {
        self.0.lock().unwrap().known.insert(format!("/jobs/{id}"), done(1));
    }

    /// Requests so far, by their kind.
    pub(super) fn requests(&self) -> [(&'static str, usize); 6] {
        let state = self.0.lock().unwrap();
        let made = |kind: &str, what: &str| {
            let made = format!("{kind} {what}");
            let is_made = |asked: &&Value| match asked {
                Value::String(asked) => asked.starts_with(&made),
                asked => asked.as_object().unwrap().keys().all(|asked| asked.starts_with(&made)),
            };
            state.asked.iter().filter(is_made).count()
        };
        let looked = |what: &str| state.looked.iter().filter(|path| path.starts_with(what)).count();
        let (tables, jobs) = (looked("/datasets/sales/tables"), looked("/jobs"));
        let (patched, started) = (made("PATCH", "/datasets/sales/tables"), made("POST", "/jobs"));
        [
            ("GET datasets", state.looked.len() - tables - jobs),
            ("GET jobs", jobs),
            ("GET tables", tables),
            ("PATCH tables", patched),
            ("POST jobs", started),
            ("others", state.asked.len() - patched - started),
        ]
    }

    /// Ends the next job this way.
    pub(super) fn ends(&self, ending: Value) {
        self.0.lock().unwrap().endings.push_back(ending);
    }

    /// Ends the jobs of a kind this way.
    pub(super) fn ends_all_of(&self, kind: &'static str, ending: Value) {
        self.0.lock().unwrap().ending_of = Some((kind, ending));
    }

    /// Ends the jobs as they usually end.
    pub(super) fn ends_as_usual(&self) {
        self.0.lock().unwrap().ending_of = None;
    }

    /// Answers lists of row access policies.
    pub(super) fn has_policies(&self, status: StatusCode, answer: Value) {
        self.0.lock().unwrap().policies = Some((status, answer));
    }

    /// Makes queries count so many rows, in the place of 3.
    pub(super) fn counts(&self, rows: u64) {
        self.0.lock().unwrap().counts = Some(rows);
    }

    /// Makes queries count so many rows in tables whose names end with this.
    pub(super) fn counts_of(&self, end: &'static str, rows: u64) {
        self.0.lock().unwrap().counts_of = Some((end, rows));
    }

    /// Makes queries keep so many rows that choose the newest of each key, and one key have a tie.
    pub(super) fn keeps_rows(&self, rows: u64) {
        let mut state = self.0.lock().unwrap();
        (state.kept, state.counts) = (Some(rows), Some(rows));
    }

    /// Makes the next checks of jobs find nothing.
    pub(super) fn hides_jobs(&self, looks: usize) {
        self.0.lock().unwrap().blind = looks;
    }

    /// Makes the next deletions of tables fail.
    pub(super) fn keeps_tables(&self, deletions: usize) {
        self.0.lock().unwrap().keeps = deletions;
    }

    /// Changes how a job has ended.
    pub(super) fn now_ends(&self, id: &str, ending: &Value) {
        let mut state = self.0.lock().unwrap();
        let job = state.known.get_mut(&format!("/jobs/{id}")).unwrap();
        merge(job, ending);
        let job = job.clone();
        state.make_table_of(&job);
    }

    /// Breaks some requests, after a number of others.
    pub(super) fn breaks(&self, after: usize, times: usize, when: Breaks) {
        self.0.lock().unwrap().breaks = Some((after, times, when));
    }

    fn breaks_now(&self) -> Option<Breaks> {
        let mut state = self.0.lock().unwrap();
        match &mut state.breaks {
            Some((after, ..)) if *after > 0 => *after -= 1,
            Some((_, times, when)) if *times > 0 => {
                let when = *when;
                *times -= 1;
                state.has_broken = true;
                return Some(when);
            }
            _ => {}
        }
        None
    }

    /// Whether a request was broken.
    pub(super) fn has_broken(&self) -> bool {
        self.0.lock().unwrap().has_broken
    }

    /// Names of the tables that exist.
    pub(super) fn tables(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        let name = |path: &String| path.strip_prefix("/datasets/sales/tables/").map(Into::into);
        state.known.keys().filter_map(name).collect()
    }

    /// What it was asked to do, in order, without what only makes and takes claims. Fails if
    /// BigQuery does not know some of it.
    pub(super) fn asked(&self) -> Value {
        let asked = self.0.lock().unwrap().asked.clone();
        for (request, body) in asked.iter().filter_map(Value::as_object).flatten() {
            require_known(request, body);
        }
        let of_a_claim = |asked: &Value| {
            let text = asked.to_string();
            let keeps = text.contains(r#""expirationTime":null"#) || text.contains("sluice_made");
            // A copy loses the claim that its source has.
            let text = text.replace(r#""sluice_writer":null"#, "");
            (text.contains("sluice_writer") && !keeps)
                || text.contains("sluice_fence")
                || text.contains("/sluice_claim_")
        };
        asked.into_iter().filter(|asked| !of_a_claim(asked)).collect::<Vec<Value>>().into()
    }

    /// How often something below a path was looked at.
    pub(super) fn gets(&self, below: &str) -> usize {
        let state = self.0.lock().unwrap();
        state.looked.iter().filter(|path| path.starts_with(below)).count()
    }

    /// The ids of all jobs.
    pub(super) fn jobs(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        state.known.keys().filter_map(|path| path.strip_prefix("/jobs/")).map(Into::into).collect()
    }

    fn answer(
        &self,
        method: &Method,
        path: &str,
        etag: Option<&str>,
        body: &[u8],
    ) -> (StatusCode, Value) {
        let mut state = self.0.lock().unwrap();
        let path = path.strip_prefix("/bigquery/v2/projects/shop").unwrap_or(path);
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        if (method.as_str(), path) == ("POST", "/queries") {
            require_known("POST /queries", &body);
            let query = body["query"].as_str().unwrap_or_default();
            if query.contains("MAX(`ties`)") {
                return (StatusCode::OK, one_value(1));
            }
            let of_end = state.counts_of.filter(|(end, _)| query.ends_with(&format!("{end}`")));
            let count = of_end.map(|(_, rows)| rows).or(state.counts).unwrap_or(3);
            return (StatusCode::OK, one_value(count));
        }
        if method != Method::GET {
            let asked = format!("{method} {path}");
            state.asked.push(match body {
                Value::Null => json!(asked),
                ref body => json!({asked: body}),
            });
        }
        if method == Method::GET {
            state.looked.push(path.to_owned());
        }
        match (method.as_str(), path) {
            ("GET", "/datasets/sales") => {
                let reference = json!({"projectId": "shop", "datasetId": "sales"});
                (StatusCode::OK, json!({"datasetReference": reference, "location": "EU"}))
            }
            ("GET", path) if path.starts_with("/jobs/") && state.blind > 0 => {
                state.blind -= 1;
                refusal(StatusCode::NOT_FOUND, "notFound")
            }
            ("GET", path) if path.ends_with("/rowAccessPolicies") => {
                state.policies.clone().unwrap_or((StatusCode::OK, json!({})))
            }
            ("GET", path) => match state.known.get_mut(path) {
                Some(document) => {
                    document.as_object_mut().unwrap().entry("etag").or_insert("0".into());
                    (StatusCode::OK, document.clone())
                }
                None => refusal(StatusCode::NOT_FOUND, "notFound"),
            },
            ("POST", "/jobs") => {
                let id = body["jobReference"]["jobId"].as_str().unwrap_or_default();
                let path = format!("/jobs/{id}");
                if state.known.contains_key(&path) {
                    return refusal(StatusCode::CONFLICT, "duplicate");
                }
                let mut job = body;
                let usual = match &state.ending_of {
                    Some((kind, ending)) if job["configuration"][*kind].is_object() => {
                        ending.clone()
                    }
                    _ => usual_end(&job, state.kept),
                };
                merge(&mut job, &state.endings.pop_front().unwrap_or(usual));
                if job["statistics"]["creationTime"].is_null() {
                    job["statistics"]["creationTime"] = "1000".into();
                }
                state.make_table_of(&job);
                state.known.insert(path, job.clone());
                (StatusCode::OK, job)
            }
            ("POST", path) => {
                let id = body["tableReference"]["tableId"].as_str().unwrap_or_default();
                let path = format!("{path}/{id}");
                if state.known.contains_key(&path) {
                    return refusal(StatusCode::CONFLICT, "duplicate");
                }
                state.known.insert(path, body.clone());
                (StatusCode::OK, body)
            }
            ("PATCH", path) => {
                let mut table = state.known.get(path).cloned().unwrap_or_default();
                let old = table["etag"].as_str().unwrap_or("0");
                if etag.is_some_and(|etag| etag != old) {
                    return refusal(StatusCode::PRECONDITION_FAILED, "conditionNotMet");
                }
                let new = old.parse::<u32>().unwrap() + 1;
                merge(&mut table, &body);
                table["etag"] = new.to_string().into();
                if ends_soon(&body) {
                    state.known.remove(path);
                } else {
                    state.known.insert(path.to_owned(), table.clone());
                }
                (StatusCode::OK, table)
            }
            _ if state.keeps > 0 => {
                state.keeps -= 1;
                refusal(StatusCode::SERVICE_UNAVAILABLE, "backendError")
            }
            (_, path) => {
                state.known.remove(path);
                (StatusCode::NO_CONTENT, Value::Null)
            }
        }
    }
}

impl State {
    /// A job that is done has made its table.
    fn make_table_of(&mut self, job: &Value) {
        let copied = &job["configuration"]["copy"]["sourceTables"][0]["tableId"];
        let copied = copied.as_str().and_then(|name| name.split('@').next());
        let of_source = copied.map(|name| format!("/datasets/sales/tables/{name}"));
        let made = of_source.and_then(|path| self.known.get(&path).cloned());
        let mut made = made.unwrap_or_else(|| json!({}));
        made["creationTime"] = "1000".into();
        let status = &job["status"];
        let kinds = ["load", "copy", "query"].map(|kind| &job["configuration"][kind]);
        let into = kinds.iter().find_map(|kind| kind["destinationTable"]["tableId"].as_str());
        if status["state"] == "DONE"
            && status["errorResult"].is_null()
            && let Some(into) = into
        {
            let path = format!("/datasets/sales/tables/{into}");
            self.known.entry(path).or_insert(made);
        }
    }
}

fn merge(into: &mut Value, more: &Value) {
    for (key, value) in more.as_object().into_iter().flatten() {
        match value {
            Value::Object(_) if key == "labels" && into[key].is_object() => {
                merge(&mut into[key], value);
            }
            value => into[key] = value.clone(),
        }
    }
}
