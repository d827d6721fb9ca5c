use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use serde_json::json;
use tokio::net::TcpListener;

use super::*;

/// A server that answers `POST /runs` with `answer`.
async fn serving(answer: fn(HeaderMap) -> Response) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/runs", post(move |headers| async move { answer(headers) }));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

async fn submit(url: &str) -> Result<Document> {
    let planner = Planner::answering_within(url, None, Duration::from_millis(500))?;
    planner.submit(&Document::new()).await
}

async fn refused(answer: fn(HeaderMap) -> Response) -> (Kind, String) {
    let error = submit(&serving(answer).await).await.unwrap_err();
    (error.kind(), format!("{}\n{}", error.chain(), error.remedy().unwrap_or_default()))
}

fn problem(status: u16, kind: &str) -> Response {
    let body = json!({"status": status, "kind": kind, "detail": "read job `x`", "hint": "do it"});
    let json = [(header::CONTENT_TYPE, "application/problem+json")];
    (StatusCode::from_u16(status).unwrap(), json, body.to_string()).into_response()
}

#[tokio::test]
async fn a_problem_becomes_our_error_with_its_hint() {
    let said = "read job `x`\ndo it".to_owned();
    assert_eq!(refused(|_| problem(422, "data")).await, (Kind::Invalid, said.clone()));
    assert_eq!(refused(|_| problem(404, "not_found")).await, (Kind::Invalid, said.clone()));
    assert_eq!(refused(|_| problem(403, "denied")).await, (Kind::Denied, said.clone()));
    assert_eq!(refused(|_| problem(503, "transient")).await, (Kind::Transient, said.clone()));
    assert_eq!(refused(|_| problem(500, "bug")).await, (Kind::Bug, said));
}

#[tokio::test]
async fn who_answers_before_the_planner_or_instead_of_it_is_told_from_it() {
    let (kind, said) = refused(|_| StatusCode::FORBIDDEN.into_response()).await;
    assert_eq!(kind, Kind::Denied);
    assert!(said.contains("roles/run.invoker"), "{said}");
    let (kind, said) = refused(|_| StatusCode::UNAUTHORIZED.into_response()).await;
    assert_eq!(kind, Kind::Denied);
    assert!(said.contains("roles/run.invoker"), "{said}");
    let (kind, said) = refused(|_| "<html>".into_response()).await;
    assert_eq!(kind, Kind::Data);
    assert!(said.contains("not one JSON object"), "{said}");
    let (kind, said) = refused(|_| Redirect::to("/login").into_response()).await;
    assert_eq!(kind, Kind::Data);
    assert!(said.contains("303 See Other\nlook at the planner's URL"), "{said}");
    let (kind, said) = refused(|_| (StatusCode::NOT_FOUND, "<html>").into_response()).await;
    assert_eq!(kind, Kind::Invalid);
    assert!(said.contains("look at the planner's URL"), "{said}");
    let (kind, _) = refused(|_| StatusCode::BAD_GATEWAY.into_response()).await;
    assert_eq!(kind, Kind::Transient);
}

#[tokio::test]
async fn silence_is_not_waited_for_without_end() {
    // It accepts connections and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let error = submit(&url).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Transient);
    assert!(error.chain().contains("timed out"), "{}", error.chain());
    drop(listener);
    let error = submit(&url).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Transient);
    assert!(error.chain().contains("refused"), "{}", error.chain());
    assert!(error.remedy().unwrap().contains("can reach it"), "{error:?}");
}

#[tokio::test]
async fn no_token_crosses_the_network_in_the_open() {
    let url = serving(|headers| {
        let seen = headers.contains_key(header::AUTHORIZATION);
        json!({"run": seen.to_string()}).to_string().into_response()
    })
    .await;
    let token = Some(HeaderValue::from_static("Bearer s3cret"));
    let planner = Planner::answering_within(&url, token.clone(), ANSWER).unwrap();
    assert_eq!(planner.submit(&Document::new()).await.unwrap()["run"], "false");
    let planner = Planner::answering_within("https://planner.example", token, ANSWER).unwrap();
    assert!(matches!(&planner.caller, Caller::Token(token) if token == "Bearer s3cret"));
}

#[test]
fn a_url_with_a_password_is_refused_and_not_repeated() {
    for url in [
        "https://etl:s3cret@planner.example",
        "https://planner.example/?s3cret",
        "s3cret",
        "ftp://s3cret",
    ] {
        let error = checked(url).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(!error.chain().contains("s3cret"), "{}", error.chain());
    }
    assert_eq!(checked("https://planner.example/a/").unwrap(), "https://planner.example/a");
}
