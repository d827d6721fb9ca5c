//! Rows of a table as streams: the Storage Read API.
//!
//! <https://cloud.google.com/bigquery/docs/reference/storage>

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use gcp_bigquery_client::google::cloud::bigquery::storage::v1 as api;
use prost_types::Timestamp;
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Error, Kind, Result};
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, ClientTlsConfig};
use tonic::{Code, Request, Status, Streaming};

use super::{AccessTokens, TableId};
use crate::google::Endpoint;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(30);
/// How long the start of a read session may take.
const START: Duration = Duration::from_mins(2);
/// The largest message that is taken. BigQuery's rows have up to 100 MiB.
const LONGEST_MESSAGE: usize = 256 << 20;
/// How often an idle connection is tried, and how long the answer to that may take.
const ALIVE: Duration = Duration::from_secs(30);
/// How long BigQuery may send nothing of a stream.
const SILENCE: Duration = Duration::from_mins(5);
/// How often a stream is opened again that breaks without a row.
const MOST_BREAKS: u32 = 5;

/// A client of the Storage Read API.
#[derive(Clone)]
pub struct ReadClient {
    client: api::big_query_read_client::BigQueryReadClient<Channel>,
    tokens: AccessTokens,
}

impl fmt::Debug for ReadClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadClient").finish_non_exhaustive()
    }
}

/// What is read of a table.
#[derive(Debug, Clone, Copy)]
pub struct ReadRequest<'a> {
    /// The project that pays.
    pub project: &'a str,
    /// The table.
    pub table: &'a TableId,
    /// The moment; now, if absent.
    pub at: Option<DateTime<Utc>>,
    /// The columns; all if empty.
    pub columns: &'a [String],
    /// A condition that BigQuery applies before it sends a row.
    pub filter: Option<&'a str>,
    /// Most streams.
    pub streams: u32,
}

impl ReadRequest<'_> {
    /// The same as the API writes it.
    fn request(&self) -> api::CreateReadSessionRequest {
        let modifiers = self.at.map(|at| api::read_session::TableModifiers {
            snapshot_time: Some(Timestamp {
                seconds: at.timestamp(),
                nanos: i32::try_from(at.timestamp_subsec_nanos()).unwrap_or_default(),
            }),
        });
        let session = api::ReadSession {
            table: session_table(self.table),
            data_format: api::DataFormat::Arrow.into(),
            table_modifiers: modifiers,
            read_options: Some(api::read_session::TableReadOptions {
                selected_fields: self.columns.to_vec(),
                row_restriction: self.filter.unwrap_or_default().to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        api::CreateReadSessionRequest {
            parent: format!("projects/{}", self.project),
            read_session: Some(session),
            max_stream_count: i32::try_from(self.streams).unwrap_or(i32::MAX),
            preferred_min_stream_count: 0,
        }
    }
}

/// The rows of a table as streams, which are disjoint and have all of them. BigQuery keeps a read session
/// for some hours.
#[derive(Debug, Clone)]
pub struct ReadSession {
    /// The columns, as a message of Arrow's format.
    pub schema: Vec<u8>,
    /// Names of the streams.
    pub streams: Vec<String>,
}

/// A batch of rows, as a message of Arrow's format.
#[derive(Debug)]
pub struct RowBlock {
    /// The columns, where this is the first batch of a stream that was opened.
    pub schema: Option<Vec<u8>>,
    /// The message; empty where only the columns came.
    pub batch: Vec<u8>,
}

impl ReadClient {
    /// A client of BigQuery at `endpoint`. Makes no call yet.
    pub fn new(endpoint: &Endpoint) -> Result<Self> {
        let what = || "make a client of BigQuery's Storage Read API";
        let channel = Channel::from_shared(endpoint.url().to_owned()).doing(Kind::Invalid, what)?;
        let channel = channel
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(ALIVE)
            .keep_alive_timeout(ALIVE)
            .keep_alive_while_idle(true);
        let channel = if endpoint.url().starts_with("https://") {
            let tls = ClientTlsConfig::new().with_native_roots();
            channel.tls_config(tls).doing(Kind::Invalid, what)?
        } else {
            channel
        };
        let client = api::big_query_read_client::BigQueryReadClient::new(channel.connect_lazy());
        let client = client.max_decoding_message_size(LONGEST_MESSAGE);
        Ok(Self { client, tokens: AccessTokens(endpoint.credentials()?) })
    }

    /// Starts a read session. It costs nothing until its streams are read.
    ///
    /// # Errors
    /// `Invalid` for a condition that the API does not take.
    pub async fn session(&self, wanted: &ReadRequest<'_>) -> Result<ReadSession> {
        let table = wanted.table;
        let mut request = Request::new(wanted.request());
        request.set_timeout(START);
        let request = self.signed(request, "read_session.table", &session_table(table)).await?;
        let what = || format!("start to read table `{table}`");
        let started = self.client.clone().create_read_session(request).await;
        let session = started.map_err(|status| error(&status, what()))?.into_inner();
        let Some(api::read_session::Schema::ArrowSchema(schema)) = session.schema else {
            return Err(Error::bug(format!("{}: BigQuery did not say its columns", what())));
        };
        Ok(ReadSession {
            schema: schema.serialized_schema,
            streams: session.streams.into_iter().map(|stream| stream.name).collect(),
        })
    }

    /// The rows of a stream, from its beginning.
    pub fn rows(&self, stream: &str) -> StreamRows {
        StreamRows {
            client: self.clone(),
            stream: stream.to_owned(),
            offset: 0,
            breaks: 0,
            open: None,
        }
    }

    /// A request with a token, and with what BigQuery routes it by.
    async fn signed<T>(
        &self,
        mut request: Request<T>,
        key: &str,
        value: &str,
    ) -> Result<Request<T>> {
        let token = self.tokens.token().await?;
        let what = || "sign a request to BigQuery";
        let metadata = request.metadata_mut();
        if !token.is_empty() {
            let token = MetadataValue::try_from(format!("Bearer {token}"));
            metadata.insert("authorization", token.doing(Kind::Denied, what)?);
        }
        let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        let routed = MetadataValue::try_from(format!("{key}={encoded}"));
        metadata.insert("x-goog-request-params", routed.doing(Kind::Bug, what)?);
        Ok(request)
    }
}

/// A table as the API writes it.
fn session_table(table: &TableId) -> String {
    format!("projects/{}/datasets/{}/tables/{}", table.project, table.dataset, table.table)
}

/// The rows of one stream. A stream that breaks is opened again where it broke, as BigQuery's
/// documentation asks its readers to.
pub struct StreamRows {
    client: ReadClient,
    stream: String,
    /// Rows received so far.
    offset: i64,
    /// Breaks since the last row.
    breaks: u32,
    open: Option<Streaming<api::ReadRowsResponse>>,
}

impl fmt::Debug for StreamRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamRows").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl StreamRows {
    /// The next rows; `None` after the last.
    ///
    /// # Errors
    /// `Transient` if the stream breaks again and again; `Data` if BigQuery does not keep it any more.
    pub async fn next(&mut self) -> Result<Option<RowBlock>> {
        loop {
            match self.received().await? {
                Ok(Some(response)) => {
                    let Some(block) = self.block(response)? else { continue };
                    return Ok(Some(block));
                }
                Ok(None) => return Ok(None),
                Err(status) => {
                    self.open = None;
                    self.breaks += 1;
                    // What BigQuery says of a row may hold a value of it.
                    let status = Status::new(status.code(), "");
                    let failure = error(&status, format!("read stream `{}`", self.stream));
                    if !failure.is_transient() || self.breaks > MOST_BREAKS {
                        return Err(failure);
                    }
                    tracing::info!("a stream of BigQuery broke, and is opened again: {failure}");
                    tokio::time::sleep(Duration::from_millis(100) * self.breaks).await;
                }
            }
        }
    }

    async fn received(
        &mut self,
    ) -> Result<std::result::Result<Option<api::ReadRowsResponse>, Status>> {
        if let Some(open) = &mut self.open {
            return Ok(in_time(open.message()).await);
        }
        let request =
            api::ReadRowsRequest { read_stream: self.stream.clone(), offset: self.offset };
        let request =
            self.client.signed(Request::new(request), "read_stream", &self.stream).await?;
        let mut client = self.client.client.clone();
        Ok(match in_time(client.read_rows(request)).await {
            Ok(response) => in_time(self.open.insert(response.into_inner()).message()).await,
            Err(status) => Err(status),
        })
    }

    /// The rows of a response, if it has any.
    fn block(&mut self, response: api::ReadRowsResponse) -> Result<Option<RowBlock>> {
        let batch = match response.rows {
            Some(api::read_rows_response::Rows::ArrowRecordBatch(batch)) => {
                batch.serialized_record_batch
            }
            Some(api::read_rows_response::Rows::AvroRows(_)) => {
                return Err(Error::bug("read a stream of BigQuery: it is not in Arrow's format"));
            }
            None => Vec::new(),
        };
        if response.row_count > 0 {
            self.breaks = 0;
        }
        self.offset += response.row_count;
        let schema = match response.schema {
            Some(api::read_rows_response::Schema::ArrowSchema(schema)) => {
                Some(schema.serialized_schema)
            }
            _ => None,
        };
        let is_empty = batch.is_empty() && schema.is_none();
        Ok((!is_empty).then_some(RowBlock { schema, batch }))
    }
}

/// What a call answers, unless it takes too long.
async fn in_time<T>(
    call: impl Future<Output = std::result::Result<T, Status>>,
) -> std::result::Result<T, Status> {
    match tokio::time::timeout(SILENCE, call).await {
        Ok(answer) => answer,
        Err(_) => Err(Status::unavailable("it sends nothing")),
    }
}

/// A failed call, classified by who must act on it.
/// <https://cloud.google.com/bigquery/docs/reference/storage/rpc/google.cloud.bigquery.storage.v1>
fn error(status: &Status, what: String) -> Error {
    let kind = match status.code() {
        Code::PermissionDenied | Code::Unauthenticated => Kind::Denied,
        Code::NotFound => Kind::NotFound,
        Code::InvalidArgument | Code::OutOfRange | Code::Unimplemented => Kind::Invalid,
        // The read session has expired.
        Code::FailedPrecondition => Kind::Data,
        _ => Kind::Transient,
    };
    let mut said = format!("BigQuery answered {:?}", status.code());
    if !status.message().is_empty() {
        said.push_str(": ");
        said.push_str(status.message());
    }
    let error = Error::new(kind, what).because(said);
    match kind {
        Kind::Denied => error.hint(
            "grant this identity `roles/bigquery.readSessionUser` on the project that pays, and \
             `roles/bigquery.dataViewer` on the dataset",
        ),
        Kind::NotFound | Kind::Data => error.hint(
            "BigQuery keeps a session for some hours, and earlier states of a table for some days: \
             start the run again",
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_asks_for_the_moment_the_columns_and_the_rows_of_the_plan() {
        let table = TableId::new("shop", "sales", "orders").unwrap();
        let columns = ["id".to_owned()];
        let request = ReadRequest {
            project: "ours",
            table: &table,
            at: DateTime::from_timestamp_millis(1_790_000_000_123),
            columns: &columns,
            filter: Some("id > 3"),
            streams: 7,
        };
        let asked = request.request();
        assert_eq!((asked.parent.as_str(), asked.max_stream_count), ("projects/ours", 7));
        let session = asked.read_session.unwrap();
        assert_eq!(session.table, "projects/shop/datasets/sales/tables/orders");
        assert_eq!(session.data_format(), api::DataFormat::Arrow);
        let moment = session.table_modifiers.unwrap().snapshot_time.unwrap();
        assert_eq!((moment.seconds, moment.nanos), (1_790_000_000, 123_000_000));
        let options = session.read_options.unwrap();
        assert_eq!(
            (options.selected_fields, options.row_restriction.as_str()),
            (vec!["id".to_owned()], "id > 3")
        );
    }

    #[test]
    fn what_may_pass_is_told_from_what_stays() {
        let kind = |code| error(&Status::new(code, "no"), "read".to_owned()).kind();
        for (code, expected) in [
            (Code::Unavailable, Kind::Transient),
            (Code::Internal, Kind::Transient),
            (Code::ResourceExhausted, Kind::Transient),
            (Code::PermissionDenied, Kind::Denied),
            (Code::NotFound, Kind::NotFound),
            (Code::InvalidArgument, Kind::Invalid),
            (Code::FailedPrecondition, Kind::Data),
        ] {
            assert_eq!(kind(code), expected, "{code:?}");
        }
    }
}
