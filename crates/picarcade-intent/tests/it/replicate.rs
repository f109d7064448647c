//! Replicate predictions: waiting, polling, and the ways to end.

use std::time::Duration;

use picarcade_intent::{Matrix, Provider, ProviderErrorKind, Replicate, Unusable};
use picarcade_testkit::{Answer, MockProvider, OutputShape, PredictionEnd, Reply};
use serde_json::json;

use crate::support::{ask, key, last_body, request};

async fn mock() -> (MockProvider, Replicate) {
    let mock = MockProvider::start().await.unwrap();
    mock.answer_with(Answer::of("VIDEO_EDIT"));
    let provider = Replicate::builder(key()).base_url(mock.url()).build().unwrap();
    (mock, provider)
}

#[tokio::test]
async fn a_waiting_prediction_is_answered_at_once() {
    let (mock, provider) = mock().await;
    for shape in [OutputShape::Pieces, OutputShape::Text] {
        mock.output_shape(shape);
        let request = request("slow it down", "v");
        let answer = ask(&provider, &request).await.unwrap();
        assert_eq!(answer.prompt_type.as_str(), "VIDEO_EDIT");
        assert!(answer.cost_micros > 0 && answer.cost_micros <= provider.estimate_micros(&request));
    }
    insta::assert_json_snapshot!(last_body(&mock));
    let sent = mock.requests().pop().unwrap();
    assert_eq!(sent.path, "/v1/models/anthropic/claude-4.5-haiku/predictions");
    assert_eq!(sent.header("prefer"), Some("wait=15"));
    assert_eq!(sent.header("cancel-after"), Some("31s"));
    assert_eq!(sent.header("authorization"), Some("Bearer sk-very-secret-key"));
}

#[tokio::test]
async fn a_slow_prediction_is_polled_at_our_own_address() {
    let (mock, provider) = mock().await;
    mock.push(Reply::Pending(3));
    assert!(ask(&provider, &request("slow it down", "v")).await.is_ok());
    let polls: Vec<_> = mock.requests().into_iter().filter(|request| request.method == "GET").collect();
    assert_eq!(polls.len(), 3);
    assert_eq!(mock.count(), 1, "one paid call");

    let body =
        json!({"id": "x/../../evil", "status": "processing", "urls": {"get": "http://203.0.113.1/steal"}});
    mock.push(Reply::Status { code: 201, headers: Vec::new(), body: body.to_string() });
    let error = ask(&provider, &request("slow it down", "v")).await.unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::Unusable(Unusable::Malformed));
}

#[tokio::test]
async fn polling_ends_at_the_deadline() {
    let (mock, provider) = mock().await;
    mock.push(Reply::Pending(u32::MAX));
    let request = request("slow it down", "v");
    let feasible = Matrix::embedded().feasible(request.facts);
    let error = provider.classify(&request, feasible, Duration::from_millis(400)).await.unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::Timeout);
    let sent = &mock.requests()[0];
    assert_eq!((sent.header("prefer"), sent.header("cancel-after")), (Some("wait=1"), Some("5s")));

    // Somebody who has all the time in the world still tells the API a deadline that it takes.
    mock.recover();
    provider.classify(&request, feasible, Duration::MAX).await.unwrap();
    let sent = mock.requests().pop().unwrap();
    assert_eq!((sent.header("prefer"), sent.header("cancel-after")), (Some("wait=15"), Some("3600s")));
}

#[tokio::test]
async fn every_end_has_its_meaning_and_price() {
    let (mock, provider) = mock().await;
    let request = request("slow it down", "v");
    let estimate = provider.estimate_micros(&request);
    for (end, kind, cost) in [
        (PredictionEnd::Failed, ProviderErrorKind::Server, None),
        (PredictionEnd::Canceled, ProviderErrorKind::Timeout, Some(estimate)),
        (PredictionEnd::Aborted, ProviderErrorKind::Overloaded, Some(0)),
    ] {
        mock.push(Reply::Ended(end));
        let error = ask(&provider, &request).await.unwrap_err();
        assert_eq!((error.kind, error.cost_micros), (kind, cost), "{end:?}");
        assert!(error.is_transient());
    }
    mock.push(Reply::Refusal);
    let error = ask(&provider, &request).await.unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::Unusable(Unusable::Refusal));
    for output in [json!(null), json!([]), json!({"a": 1}), json!(["{\"a\"", 1])] {
        let body = json!({"id": "a", "status": "succeeded", "output": output}).to_string();
        mock.push(Reply::Status { code: 201, headers: Vec::new(), body });
        let error = ask(&provider, &request).await.unwrap_err();
        assert_eq!(error.kind, ProviderErrorKind::Unusable(Unusable::Missing), "{output}");
    }
}

#[tokio::test]
async fn a_poll_that_fails_does_not_unbill_the_prediction() {
    let (mock, provider) = mock().await;
    let body = json!({"id": "nobody-knows-it", "status": "starting"}).to_string();
    mock.push(Reply::Status { code: 201, headers: Vec::new(), body });
    let request = request("slow it down", "v");
    let error = ask(&provider, &request).await.unwrap_err();
    assert_eq!((error.status, error.cost_micros), (Some(404), Some(provider.estimate_micros(&request))));
}

#[tokio::test]
async fn a_poll_that_fails_for_now_is_repeated_and_the_prediction_is_not() {
    let (mock, provider) = mock().await;
    let request = request("slow it down", "v");
    let busy = Reply::RateLimited { retry_after: Some(Duration::ZERO) };
    mock.push(Reply::Pending(2));
    for fault in [Reply::ServerError, Reply::Reset, busy] {
        mock.push_poll(fault);
    }
    let answer = ask(&provider, &request).await.unwrap();
    assert_eq!(answer.prompt_type.as_str(), "VIDEO_EDIT");
    assert_eq!(mock.count(), 1, "one paid call");

    mock.push(Reply::Pending(u32::MAX));
    for _ in 0..4 {
        mock.push_poll(Reply::ServerError);
    }
    let error = ask(&provider, &request).await.unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::Server);
    assert_eq!(error.cost_micros, Some(provider.estimate_micros(&request)), "it is billed all the same");
}

#[tokio::test]
async fn throttling_says_when_to_come_back_in_the_body() {
    let (mock, provider) = mock().await;
    let body = json!({"detail": "Request was throttled.", "status": 429, "retry_after": 6}).to_string();
    mock.push(Reply::Status { code: 429, headers: Vec::new(), body });
    let error = ask(&provider, &request("slow it down", "v")).await.unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::RateLimited);
    assert_eq!(error.retry_after, Some(Duration::from_secs(6)));
}

#[tokio::test]
async fn a_version_goes_into_the_body() {
    let (mock, _) = mock().await;
    let model = "acme/writer:0123abcd";
    let provider = Replicate::builder(key()).base_url(mock.url()).model(model).build().unwrap();
    ask(&provider, &request("slow it down", "v")).await.unwrap();
    let sent = mock.requests().pop().unwrap();
    assert_eq!((&*sent.path, sent.body["version"].as_str()), ("/v1/predictions", Some("0123abcd")));
    for wrong in ["writer", "acme/../x", "acme/", "/x", "acme/writer:", "a b/c", "acme/writer/x"] {
        assert!(Replicate::builder(key()).model(wrong).build().is_err(), "{wrong}");
    }
}
