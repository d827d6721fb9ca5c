//! A BigQuery that keeps tables, labels, etags and jobs, and fails the test if two jobs write to a
//! table at a time, or a run replaces the rows of a later one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use serde_json::{Value, json};
use sluice_runtime::google::Endpoints;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::super::BigQueryTarget;
use super::answers::ends_soon;
use super::line::{Fault, Line, LineState};

/// The server.
#[derive(Debug, Clone, Default)]
pub(super) struct Warehouse(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// By name.
    tables: BTreeMap<String, Value>,
    /// By id.
    jobs: BTreeMap<String, Job>,
    /// Requests so far: the server's clock.
    now: u64,
    /// Requests that a job takes.
    duration: u64,
    /// How the next jobs end; they do not write.
    failures: Vec<Value>,
    /// What was wrong.
    faults: Vec<String>,
    changes: u64,
}

#[derive(Debug)]
struct Job {
    body: Value,
    starts: u64,
    ends: u64,
    status: Option<Value>,
}

impl Warehouse {
    /// Forgets everything. Jobs take so many requests.
    pub(super) fn begin(&self, duration: u64) {
        *self.0.lock().unwrap() = State { duration, ..State::default() };
    }

    /// A connection of a loader.
    pub(super) async fn connect(&self) -> Line {
        let (state, died) = (Arc::new(Mutex::new(LineState::default())), Arc::new(Notify::new()));
        let (calls, dead, this) = (Arc::clone(&state), Arc::clone(&died), self.clone());
        let router = Router::new().fallback(
            move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
                let (this, calls, dead) = (this.clone(), Arc::clone(&calls), Arc::clone(&dead));
                async move {
                    let (fault, pause) = calls.lock().unwrap().next();
                    if pause > 0 {
                        tokio::time::sleep(Duration::from_micros(pause * 10)).await;
                    }
                    let lost = || (StatusCode::SERVICE_UNAVAILABLE, String::new());
                    let die = async || {
                        dead.notify_one();
                        std::future::pending::<()>().await;
                    };
                    match fault {
                        Some(Fault::FailBefore) => return lost(),
                        Some(Fault::DieBefore) => die().await,
                        _ => {}
                    }
                    let etag = headers.get(header::IF_MATCH).and_then(|etag| etag.to_str().ok());
                    let (status, answer) = this.answer(&method, uri.path(), etag, &body);
                    let fatal = calls.lock().unwrap().fatal();
                    if fatal.is_some_and(|table| this.tables().iter().any(|made| made == table)) {
                        die().await;
                    }
                    match fault {
                        Some(Fault::FailAfter) => return lost(),
                        Some(Fault::DieAfter) => die().await,
                        _ => {}
                    }
                    (status, answer.to_string())
                }
            },
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let endpoints: Endpoints =
            serde_json::from_value(json!({"sluice_bigquery_endpoint": url})).unwrap();
        let target = BigQueryTarget::new(&endpoints.bigquery()).await.unwrap();
        Line { target, state, died }
    }

    /// Makes a table, as a person would.
    pub(super) fn stands(&self, name: &str) {
        let columns = json!({"fields": [{"name": "id", "type": "INTEGER"}]});
        self.0.lock().unwrap().put(name, json!({"schema": columns}));
    }

    /// Deletes a table, as a person would.
    pub(super) fn drop_table(&self, name: &str) {
        self.0.lock().unwrap().tables.remove(name);
    }

    /// The next job ends with this error, and does not write.
    pub(super) fn next_job_fails(&self, reason: &str) {
        self.0.lock().unwrap().failures.push(ending(reason));
    }

    /// The runs whose rows a table has, the newest last.
    pub(super) fn shows(&self, name: &str) -> Option<Vec<String>> {
        let mut state = self.0.lock().unwrap();
        state.now += 1000;
        state.work();
        assert_eq!(state.faults, Vec::<String>::new());
        let rows = state.tables.get(name)?["rows"].as_array().cloned().unwrap_or_default();
        Some(rows.iter().map(|run| run.as_str().unwrap().to_owned()).collect())
    }

    pub(super) fn tables(&self) -> Vec<String> {
        self.0.lock().unwrap().tables.keys().cloned().collect()
    }

    /// The label of a table or of its stand-in, for a test to change.
    pub(super) fn change_label(&self, key: &str, change: impl Fn(&str) -> String) {
        let mut state = self.0.lock().unwrap();
        for table in state.tables.values_mut() {
            if let Some(old) = table["labels"][key].as_str() {
                table["labels"][key] = change(old).into();
            }
        }
    }

    /// Names of the columns of a table.
    pub(super) fn schema(&self, name: &str) -> Vec<String> {
        let state = self.0.lock().unwrap();
        let fields = state.tables[name]["schema"]["fields"].as_array().unwrap();
        fields.iter().map(|field| field["name"].as_str().unwrap().to_owned()).collect()
    }

    pub(super) fn job_ids(&self) -> Vec<String> {
        self.0.lock().unwrap().jobs.keys().cloned().collect()
    }

    fn answer(
        &self,
        method: &Method,
        path: &str,
        etag: Option<&str>,
        body: &[u8],
    ) -> (StatusCode, Value) {
        let mut state = self.0.lock().unwrap();
        state.now += 1;
        state.work();
        let path = path.strip_prefix("/bigquery/v2/projects/shop").unwrap_or(path);
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let table = path.strip_prefix("/datasets/sales/tables/").map(str::to_owned);
        match (method.as_str(), path, table) {
            ("GET", "/datasets/sales", _) => (
                StatusCode::OK,
                json!({"datasetReference":
                {"projectId": "shop", "datasetId": "sales"}, "location": "EU"}),
            ),
            ("GET", path, None) => {
                let found = path.strip_prefix("/jobs/").and_then(|id| state.jobs.get(id));
                found.map_or_else(|| refusal(404, "notFound"), |job| (StatusCode::OK, job.report()))
            }
            ("POST", "/jobs", _) => state.start(body),
            ("GET", _, Some(name)) => match state.tables.get(&name) {
                Some(table) => (StatusCode::OK, table.clone()),
                None => refusal(404, "notFound"),
            },
            ("POST", _, _) => {
                let name = body["tableReference"]["tableId"].as_str().unwrap().to_owned();
                if state.tables.contains_key(&name) {
                    return refusal(409, "duplicate");
                }
                state.put(&name, body.clone());
                (StatusCode::OK, body)
            }
            ("PATCH", _, Some(name)) => {
                let Some(mut table) = state.tables.get(&name).cloned() else {
                    return refusal(404, "notFound");
                };
                if etag.is_some_and(|etag| table["etag"] != etag) {
                    return refusal(412, "conditionNotMet");
                }
                for (key, value) in body.as_object().unwrap() {
                    match value.as_object().filter(|_| key == "labels") {
                        Some(labels) => {
                            for (label, value) in labels {
                                table["labels"][label] = value.clone();
                            }
                        }
                        None => table[key] = value.clone(),
                    }
                }
                if ends_soon(&body) {
                    state.tables.remove(&name);
                } else {
                    state.put(&name, table.clone());
                }
                (StatusCode::OK, table)
            }
            ("DELETE", _, Some(name)) => {
                state.tables.remove(&name);
                (StatusCode::NO_CONTENT, Value::Null)
            }
            other => panic!("{other:?}"),
        }
    }
}

impl State {
    fn put(&mut self, name: &str, mut table: Value) {
        self.changes += 1;
        if table.get("creationTime").is_none() {
            table["creationTime"] = self.now.to_string().into();
        }
        table["etag"] = self.changes.to_string().into();
        self.tables.insert(name.to_owned(), table);
    }

    fn start(&mut self, body: Value) -> (StatusCode, Value) {
        let id = body["jobReference"]["jobId"].as_str().unwrap().to_owned();
        if self.jobs.contains_key(&id) {
            return refusal(409, "duplicate");
        }
        let (starts, ends) = (self.now, self.now + self.duration);
        let mut job = Job { body, starts, ends, status: None };
        let targets = job.writes_to();
        for target in &targets {
            let busy = |other: &Job| other.status.is_none() && other.writes_to().contains(target);
            if self.jobs.values().any(busy) {
                self.faults.push(format!("two jobs write to `{target}`, the second is {id}"));
            }
        }
        if !targets.is_empty() {
            let is_lost = job.sources().iter().any(|source| !self.tables.contains_key(*source));
            job.status = if is_lost { Some(ending("notFound")) } else { self.failures.pop() };
        }
        let report = job.report();
        self.jobs.insert(id, job);
        (StatusCode::OK, report)
    }

    /// Ends the jobs whose time has come.
    fn work(&mut self) {
        let due: Vec<String> = self
            .jobs
            .iter()
            .filter(|(_, job)| job.status.is_none() && job.ends <= self.now)
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            let job = self.jobs.get_mut(&id).unwrap();
            job.status = Some(json!({"state": "DONE"}));
            let run = job.body["configuration"]["labels"]["sluice_run"].clone();
            let schema = job.schema();
            let is_copy = job.body["configuration"]["copy"].is_object();
            let source = job.sources().first().map(|source| (*source).to_owned());
            // A job that fills a staging table makes it, if it is gone.
            for name in job.destinations().into_iter().map(str::to_owned).collect::<Vec<_>>() {
                if name.starts_with("sluice_") && !self.tables.contains_key(&name) {
                    self.put(&name, json!({}));
                }
            }
            self.write(&id, &run, &schema, source.filter(|_| is_copy).as_deref());
        }
    }

    /// Writes the rows of a run to the tables of its job. A copy may bring the labels of its source.
    fn write(&mut self, id: &str, run: &Value, schema: &Value, source: Option<&str>) {
        let job = &self.jobs[id];
        let names = job.writes_to().into_iter().map(|name| (name.to_owned(), job.adds(name)));
        for (name, adds) in names.collect::<Vec<_>>() {
            let found = self.tables.get(&name).cloned();
            let mut table = found.unwrap_or_else(|| json!({"schema": schema}));
            let rows = table["rows"].as_array().cloned().unwrap_or_default();
            if adds {
                table["rows"] = rows.into_iter().chain([run.clone()]).collect();
            } else {
                if let Some(newer) = rows.iter().find(|old| old.as_str() > run.as_str()) {
                    self.faults.push(format!("{run} replaced {newer}"));
                }
                table["rows"] = json!([run]);
                if let Some(source) = source.and_then(|name| self.tables.get(name)) {
                    table["labels"] = source["labels"].clone();
                }
            }
            self.put(&name, table);
        }
    }
}

impl Job {
    fn configuration(&self) -> &Value {
        let configuration = &self.body["configuration"];
        ["load", "query", "copy"]
            .iter()
            .map(|kind| &configuration[kind])
            .find(|one| !one.is_null())
            .unwrap()
    }

    /// The table that it names as its destination, or those that it writes to by statements.
    fn destinations(&self) -> Vec<&str> {
        let named = self.configuration()["destinationTable"]["tableId"].as_str();
        if let Some(named) = named {
            return vec![named];
        }
        let written = |statement: &'_ str| {
            let verbs = ["INSERT INTO ", "MERGE ", "TRUNCATE TABLE "];
            verbs.iter().any(|verb| statement.starts_with(verb))
        };
        let statements = self.query().split("; ").filter(|statement| written(statement));
        let mut tables: Vec<&str> =
            statements.filter_map(|statement| statement.split('`').nth(5)).collect();
        tables.dedup();
        tables
    }

    fn query(&self) -> &str {
        self.configuration()["query"].as_str().unwrap_or_default()
    }

    /// The tables of the test that it writes to.
    fn writes_to(&self) -> Vec<&str> {
        let mut tables = self.destinations();
        tables.retain(|table| !table.starts_with("sluice_"));
        tables
    }

    /// The staging tables that it reads.
    fn sources(&self) -> Vec<&str> {
        let copied = self.configuration()["sourceTables"].as_array().into_iter().flatten();
        let copied = copied.filter_map(|table| table["tableId"].as_str());
        let read = self.query().split('`').filter(|name| name.starts_with("sluice_"));
        copied.chain(read).collect()
    }

    /// Whether it keeps the rows that a table has.
    fn adds(&self, table: &str) -> bool {
        match self.configuration()["writeDisposition"].as_str() {
            Some(disposition) => disposition == "WRITE_APPEND",
            None => !self.query().contains(&format!("TRUNCATE TABLE `shop`.`sales`.`{table}`")),
        }
    }

    /// The columns of a table that it makes.
    fn schema(&self) -> Value {
        let named = self.configuration()["schema"].clone();
        let mut columns = vec![json!({"name": "id", "type": "INTEGER"})];
        if self.query().contains("PARSE_JSON") {
            columns.push(json!({"name": "doc", "type": "JSON"}));
        }
        if named.is_null() { json!({"fields": columns}) } else { named }
    }

    fn report(&self) -> Value {
        let mut report = self.body.clone();
        report["status"] = self.status.clone().unwrap_or(json!({"state": "RUNNING"}));
        let starts = self.starts.to_string();
        report["statistics"] = json!({"creationTime": starts});
        // It does not count the rows of copies and statements.
        if report["configuration"]["load"].is_object() {
            report["statistics"]["load"] = json!({"outputRows": "3"});
        }
        report
    }
}

/// How a job ends that fails for a reason.
fn ending(reason: &str) -> Value {
    json!({"state": "DONE", "errorResult": {"reason": reason, "message": "no"}})
}

fn refusal(code: u16, reason: &str) -> (StatusCode, Value) {
    let errors = json!([{"reason": reason}]);
    let body = json!({"error": {"code": code, "message": "no", "errors": errors}});
    (StatusCode::from_u16(code).unwrap(), body)
}
