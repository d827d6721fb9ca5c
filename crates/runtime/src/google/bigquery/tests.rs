//! The two clients below the calls.

use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::*;
use crate::google::Endpoints;

#[tokio::test]
async fn both_clients_speak_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let endpoints: Endpoints =
        serde_json::from_value(json!({"sluice_bigquery_endpoint": "127.0.0.1:1"})).unwrap();
    // The credentials of plain `http`, because this machine may have no others.
    let mut client = BigQueryClient::new(&endpoints.bigquery()).await.unwrap();
    client.url = url.clone();
    client.typed = ClientBuilder::new()
        .with_client(reqwest_of_bigquery::Client::new())
        .with_v2_base_url(url)
        .build_from_authenticator(Arc::new(client.tokens.clone()))
        .await
        .unwrap();
    let hello = tokio::spawn(async move {
        let mut first = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            first.push(stream.read_u8().await.unwrap());
        }
        first
    });
    let id = TableId::new("shop", "sales", "orders").unwrap();
    assert_eq!(client.location(&id).await.unwrap_err().kind(), Kind::Transient);
    assert_eq!(client.table(&id).await.unwrap_err().kind(), Kind::Transient);
    // A TLS handshake begins with this byte.
    assert_eq!(hello.await.unwrap(), [0x16, 0x16]);
}
