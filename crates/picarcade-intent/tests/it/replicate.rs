//! Replicate predictions: waiting, polling, and their ends.

use std::time::Duration;

use picarcade_intent::{Matrix, Provider, ProviderErrorKind, Replicate, Unusable};
use picarcade_testkit::{Answer, MockProvider, OutputShape, PredictionEnd, Reply};
use serde_json::json;

use crate::support::{LONG, ask, key, last_body, request};

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
async fn a_slow_prediction_is_polled_at_the_configured_url() {
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
    let error = provider.classify(&request, feasible, Duration::from_millis(950)).await.unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::Timeout);
    let sent = &mock.requests()[0];
    assert_eq!((sent.header("prefer"), sent.header("cancel-after")), (Some("wait=1"), Some("5s")));

    // The API gets a deadline that it accepts even if the time-out of the caller is longer.
    mock.recover();
    provider.classify(&request, feasible, Duration::MAX).await.unwrap();
    let sent = mock.requests().into_iter().rfind(|sent| sent.path.ends_with("/predictions")).unwrap();
    assert_eq!((sent.header("prefer"), sent.header("cancel-after")), (Some("wait=15"), Some("3600s")));
}

#[tokio::test]
async fn every_final_state_has_its_meaning_and_price() {
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
    for output in [json!(null), json!([]), json!(7), json!(["{\"a\"", 1])] {
        let body = json!({"id": "a", "status": "succeeded", "output": output}).to_string();
        mock.push(Reply::Status { code: 201, headers: Vec::new(), body });
        let error = ask(&provider, &request).await.unwrap_err();
        assert_eq!(error.kind, ProviderErrorKind::Unusable(Unusable::Missing), "{output}");
    }
}

#[tokio::test]
async fn no_failed_poll_abandons_a_prediction() {
    let (mock, provider) = mock().await;
    let request = request("slow it down", "v");
    let status = |code, body: &str| Reply::Status { code, headers: Vec::new(), body: body.to_owned() };
    let other = json!({"id": "another", "status": "failed", "error": "not ours"}).to_string();
    let headers = vec![("retry-after-ms".to_owned(), "1".to_owned())];
    let busy = Reply::Status { code: 429, headers, body: String::new() };
    for fault in [
        status(404, "{\"detail\": \"not found\"}"),
        Reply::NotJson,
        Reply::ServerError,
        Reply::Reset,
        Reply::HalfBody,
        Reply::HalfChunked,
        Reply::Unauthorized,
        status(502, "<html>"),
        status(200, "{}"),
        status(200, "{\"status\": \"succ"),
        status(200, "{\"error\": \"Overloaded\"}"),
        status(200, &other),
        busy,
    ] {
        mock.push(Reply::Pending(2));
        let calls = mock.count();
        for _ in 0..2 {
            mock.push_poll(fault.clone());
        }
        let answer = ask(&provider, &request).await;
        assert!(answer.is_ok(), "{fault:?}: {answer:?}");
        assert_eq!(mock.count(), calls + 1, "one paid call");
    }
}

#[tokio::test]
async fn a_poll_without_an_answer_does_not_use_up_the_deadline() {
    let (mock, provider) = mock().await;
    mock.push(Reply::Pending(1));
    mock.push_poll(Reply::Hang);
    assert!(ask(&provider, &request("slow it down", "v")).await.is_ok());
}

#[tokio::test]
async fn a_running_prediction_is_canceled_at_the_deadline_and_when_the_call_is_dropped() {
    let (mock, provider) = mock().await;
    let request = request("slow it down", "v");
    let feasible = Matrix::embedded().feasible(request.facts);
    let cancelled = |count: usize| {
        let mock = &mock;
        async move {
            let cancels = || mock.requests().iter().filter(|sent| sent.path.ends_with("/cancel")).count();
            while cancels() < count {
                tokio::task::yield_now().await;
            }
        }
    };
    mock.push(Reply::Pending(u32::MAX));
    let error = provider.classify(&request, feasible, Duration::from_secs(1)).await.unwrap_err();
    assert_eq!((error.kind, error.cost_micros), (ProviderErrorKind::Timeout, None), "charged as possible");
    tokio::time::timeout(LONG, cancelled(1)).await.expect("the prediction is cancelled");

    mock.push(Reply::Pending(u32::MAX));
    let calls = mock.count();
    let call = tokio::spawn({
        let (provider, request) = (provider.clone(), request.clone());
        async move { ask(&provider, &request).await }
    });
    let polled = async {
        mock.arrived(calls + 1).await;
        let last_is_poll = || mock.requests().last().is_some_and(|sent| sent.method == "GET");
        while !last_is_poll() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, polled).await.expect("the prediction is polled");
    call.abort();
    tokio::time::timeout(LONG, cancelled(2)).await.expect("the prediction is cancelled");
    let cancel = mock.requests().into_iter().rfind(|sent| sent.path.ends_with("/cancel")).unwrap();
    assert_eq!(
        (&*cancel.method, cancel.header("authorization")),
        ("POST", Some("Bearer sk-very-secret-key"))
    );
}

#[tokio::test]
async fn an_ended_prediction_is_not_canceled() {
    let (mock, provider) = mock().await;
    for reply in [Reply::Pending(0), Reply::Pending(2), Reply::Ended(PredictionEnd::Failed)] {
        mock.push(reply);
        let _ = ask(&provider, &request("slow it down", "v")).await;
    }
    assert!(mock.requests().iter().all(|sent| !sent.path.ends_with("/cancel")));
}

#[tokio::test]
async fn the_wait_of_a_throttled_call_is_read_from_the_body() {
    let (mock, provider) = mock().await;
    let body = json!({"detail": "Request was throttled.", "status": 429, "retry_after": 6}).to_string();
    mock.push(Reply::Status { code: 429, headers: Vec::new(), body });
    let error = ask(&provider, &request("slow it down", "v")).await.unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::RateLimited);
    assert_eq!(error.retry_after, Some(Duration::from_secs(6)));
}

#[tokio::test]
async fn a_version_is_sent_in_the_body() {
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
