use std::time::Duration;

use picarcade_testkit::{Answer, Dialect, MockProvider, OutputShape, PredictionEnd, Reply, eventually};
use serde_json::{Value, json};

use crate::http::{Response, send};

const ANTHROPIC: &[(&str, &str)] = &[("x-api-key", "k"), ("anthropic-version", "2023-06-01")];
const BEARER: &[(&str, &str)] = &[("authorization", "Bearer k")];
const WAIT: &[(&str, &str)] = &[("authorization", "Bearer k"), ("prefer", "wait")];

fn message() -> Value {
    json!({
        "model": "claude", "max_tokens": 500,
        "system": [{"type": "text", "text": "classify", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": "a purple sky"}],
        "tools": [{"name": "answer", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "answer"},
    })
}

fn completion() -> Value {
    json!({"model": "gpt", "messages": [{"role": "user", "content": "a purple sky"}]})
}

async fn anthropic(provider: &MockProvider) -> std::io::Result<Response> {
    send(provider.addr(), "POST", "/v1/messages", ANTHROPIC, &message()).await
}

async fn openai(provider: &MockProvider) -> std::io::Result<Response> {
    send(provider.addr(), "POST", "/v1/chat/completions", BEARER, &completion()).await
}

async fn replicate(provider: &MockProvider, headers: &[(&str, &str)]) -> std::io::Result<Response> {
    let body = json!({"input": {"prompt": "a purple sky"}});
    send(provider.addr(), "POST", "/v1/models/anthropic/claude/predictions", headers, &body).await
}

#[tokio::test]
async fn anthropic_answers_by_the_forced_tool() {
    let provider = MockProvider::start().await.unwrap();
    provider.answer_with(Answer::of("EDIT_IMAGE"));
    let answer = anthropic(&provider).await.unwrap();
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!(body["stop_reason"], "tool_use");
    assert_eq!(body["content"][0]["name"], "answer");
    assert_eq!(body["content"][0]["input"]["prompt_type"], "EDIT_IMAGE");
    assert!(body["usage"]["output_tokens"].as_u64().unwrap() > 0);
    assert!(answer.head.contains("request-id: req_"), "{}", answer.head);
}

#[tokio::test]
async fn anthropic_answers_by_a_schema() {
    let provider = MockProvider::start().await.unwrap();
    let mut body = message();
    body.as_object_mut().unwrap().remove("tools");
    body.as_object_mut().unwrap().remove("tool_choice");
    body["output_config"] = json!({"format": {"type": "json_schema", "schema": {"type": "object"}}});
    let answer = send(provider.addr(), "POST", "/v1/messages", ANTHROPIC, &body).await.unwrap().json();
    assert_eq!(answer["stop_reason"], "end_turn");
    let text: Value = serde_json::from_str(answer["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text["prompt_type"], "NEW_IMAGE");
}

#[tokio::test]
async fn the_prompt_cache_is_written_once_and_read_later() {
    let provider = MockProvider::start().await.unwrap();
    let first = anthropic(&provider).await.unwrap().json();
    let second = anthropic(&provider).await.unwrap().json();
    assert!(first["usage"]["cache_creation_input_tokens"].as_u64().unwrap() > 0);
    assert_eq!(first["usage"]["cache_read_input_tokens"], 0);
    assert_eq!(second["usage"]["cache_creation_input_tokens"], 0);
    assert_eq!(second["usage"]["cache_read_input_tokens"], first["usage"]["cache_creation_input_tokens"]);
}

#[tokio::test]
async fn openai_answers_in_the_message() {
    let provider = MockProvider::start().await.unwrap();
    let body = openai(&provider).await.unwrap().json();
    let text = body["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap()["prompt_type"], "NEW_IMAGE");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert!(body["usage"]["total_tokens"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn replicate_waits_or_is_polled() {
    let provider = MockProvider::start().await.unwrap();
    let waited = replicate(&provider, WAIT).await.unwrap();
    assert_eq!(waited.status, 201);
    assert_eq!(waited.json()["status"], "succeeded");
    assert!(waited.json()["output"].is_array());

    provider.output_shape(OutputShape::Text);
    let created = replicate(&provider, BEARER).await.unwrap().json();
    assert_eq!(created["status"], "starting");
    let url = created["urls"]["get"].as_str().unwrap().to_owned();
    let path = url.strip_prefix(&provider.url()).unwrap();
    let poll = || send(provider.addr(), "GET", path, BEARER, &Value::Null);
    assert_eq!(poll().await.unwrap().json()["status"], "processing");
    let done = poll().await.unwrap().json();
    assert_eq!(done["status"], "succeeded");
    let answer: Value = serde_json::from_str(done["output"].as_str().unwrap()).unwrap();
    assert_eq!(answer["prompt_type"], "NEW_IMAGE");
    assert_eq!(provider.count(), 2);
    assert_eq!(provider.requests().len(), 4);
}

#[tokio::test]
async fn a_prediction_can_stay_fail_and_be_cancelled() {
    let provider = MockProvider::start().await.unwrap();
    provider.push(Reply::Pending(1));
    let created = replicate(&provider, WAIT).await.unwrap().json();
    assert_eq!(created["status"], "starting");
    let path = format!("/v1/predictions/{}", created["id"].as_str().unwrap());
    let cancelled =
        send(provider.addr(), "POST", &format!("{path}/cancel"), BEARER, &Value::Null).await.unwrap();
    assert_eq!(cancelled.json()["status"], "canceled");
    for (end, word) in [
        (PredictionEnd::Failed, "failed"),
        (PredictionEnd::Canceled, "canceled"),
        (PredictionEnd::Aborted, "aborted"),
    ] {
        provider.push(Reply::Ended(end));
        assert_eq!(replicate(&provider, WAIT).await.unwrap().json()["status"], word);
    }
    let unknown = send(provider.addr(), "GET", "/v1/predictions/none", BEARER, &Value::Null).await.unwrap();
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn the_script_comes_before_the_standing_reply_and_that_before_the_answer() {
    let provider = MockProvider::start().await.unwrap();
    provider.always(Reply::Overloaded);
    provider.push(Reply::RateLimited { retry_after: Some(Duration::from_millis(1500)) });
    provider.push(Reply::Answer(Answer::of("NEW_VIDEO")));
    let limited = anthropic(&provider).await.unwrap();
    assert_eq!(limited.status, 429);
    assert!(limited.head.contains("retry-after: 2"), "{}", limited.head);
    assert_eq!(anthropic(&provider).await.unwrap().json()["content"][0]["input"]["prompt_type"], "NEW_VIDEO");
    assert_eq!(anthropic(&provider).await.unwrap().status, 529);
    assert_eq!(anthropic(&provider).await.unwrap().status, 529);
    provider.recover();
    assert_eq!(anthropic(&provider).await.unwrap().status, 200);
}

#[tokio::test]
async fn every_failure_in_the_words_of_each_api() {
    let provider = MockProvider::start().await.unwrap();
    let cases: [(Reply, [u16; 3]); 6] = [
        (Reply::ServerError, [500, 500, 500]),
        (Reply::Overloaded, [529, 503, 503]),
        (Reply::RateLimited { retry_after: None }, [429, 429, 429]),
        (Reply::SpendLimit, [429, 429, 402]),
        (Reply::Unauthorized, [401, 401, 401]),
        (
            Reply::Status {
                code: 418,
                headers: vec![("x-a".to_owned(), "b".to_owned())],
                body: "{}".to_owned(),
            },
            [418; 3],
        ),
    ];
    for (reply, [first, second, third]) in cases {
        provider.always(reply.clone());
        let answer = anthropic(&provider).await.unwrap();
        assert_eq!(answer.status, first, "{reply:?}");
        if first != 418 {
            assert_eq!(answer.json()["type"], "error");
        }
        assert_eq!(openai(&provider).await.unwrap().status, second, "{reply:?}");
        assert_eq!(replicate(&provider, WAIT).await.unwrap().status, third, "{reply:?}");
    }
    provider.always(Reply::SpendLimit);
    assert_eq!(openai(&provider).await.unwrap().json()["error"]["code"], "insufficient_quota");
}

#[tokio::test]
async fn unusable_answers() {
    let provider = MockProvider::start().await.unwrap();
    provider.push(Reply::NotJson);
    let page = anthropic(&provider).await.unwrap();
    assert!(page.status == 200 && page.body.starts_with(b"<html>"));

    provider.push(Reply::WrongEnum);
    assert_eq!(
        anthropic(&provider).await.unwrap().json()["content"][0]["input"]["prompt_type"],
        "MAKE_COFFEE"
    );

    provider.push(Reply::Refusal);
    assert_eq!(anthropic(&provider).await.unwrap().json()["stop_reason"], "refusal");
    provider.push(Reply::Refusal);
    assert!(openai(&provider).await.unwrap().json()["choices"][0]["message"]["refusal"].is_string());
    provider.push(Reply::Refusal);
    assert_eq!(replicate(&provider, WAIT).await.unwrap().json()["status"], "failed");

    provider.push(Reply::Truncated);
    assert_eq!(anthropic(&provider).await.unwrap().json()["stop_reason"], "max_tokens");
    provider.push(Reply::Truncated);
    let cut = openai(&provider).await.unwrap().json();
    assert_eq!(cut["choices"][0]["finish_reason"], "length");
    let text = cut["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(serde_json::from_str::<Value>(text).is_err());

    provider.push(Reply::Prose("Sure! Here you go.".to_owned()));
    assert_eq!(anthropic(&provider).await.unwrap().json()["content"][0]["text"], "Sure! Here you go.");
    provider.push(Reply::Json(json!({"confidence": "high"})));
    assert_eq!(anthropic(&provider).await.unwrap().json()["content"][0]["input"]["confidence"], "high");
}

#[tokio::test]
async fn torn_connections() {
    let provider = MockProvider::start().await.unwrap();
    provider.push(Reply::Reset);
    let reset = anthropic(&provider).await.err().expect("a reset connection");
    assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
    provider.push(Reply::HalfBody);
    let half = anthropic(&provider).await.err().expect("half a body");
    assert_eq!(half.kind(), std::io::ErrorKind::UnexpectedEof);
    assert_eq!(anthropic(&provider).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_hanging_call_ends_with_its_caller() {
    let provider = MockProvider::start().await.unwrap();
    provider.push(Reply::Hang);
    let mut stream = tokio::net::TcpStream::connect(provider.addr()).await.unwrap();
    let body = message().to_string();
    let text = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: m\r\nx-api-key: k\r\nanthropic-version: 1\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    tokio::io::AsyncWriteExt::write_all(&mut stream, text.as_bytes()).await.unwrap();
    provider.arrived(1).await;
    assert_eq!((provider.in_flight(), provider.peak()), (1, 1));
    drop(stream);
    eventually("the call ends with its caller", async || provider.in_flight() == 0).await;
}

#[tokio::test]
async fn a_huge_answer_is_a_correct_one() {
    let provider = MockProvider::start().await.unwrap();
    provider.push(Reply::Huge(3_000_000));
    let answer = anthropic(&provider).await.unwrap();
    assert_eq!(answer.json()["content"][0]["input"]["enhanced_prompt"].as_str().unwrap().len(), 3_000_000);
    provider.push(Reply::Huge(100_000));
    let answer = openai(&provider).await.unwrap().json();
    assert!(answer["choices"][0]["message"]["content"].as_str().unwrap().len() > 100_000);
}

#[tokio::test]
async fn a_slow_answer_comes() {
    let provider = MockProvider::start().await.unwrap();
    provider.push(Reply::ServerError.after(Duration::from_millis(80)));
    let start = std::time::Instant::now();
    assert_eq!(anthropic(&provider).await.unwrap().status, 500);
    assert!(start.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn malformed_calls_are_refused_and_use_nothing_up() {
    let provider = MockProvider::start().await.unwrap();
    provider.push(Reply::Answer(Answer::of("VIDEO_EDIT")));
    let address = provider.addr();
    let post = |path, headers, body| async move {
        send(address, "POST", path, headers, &body).await.unwrap().status
    };
    assert_eq!(post("/v1/messages", &[], message()).await, 401);
    assert_eq!(post("/v1/messages", &ANTHROPIC[..1], message()).await, 400);
    for field in ["model", "max_tokens", "messages", "tools"] {
        let mut body = message();
        body.as_object_mut().unwrap().remove(field);
        assert_eq!(post("/v1/messages", ANTHROPIC, body).await, 400, "{field}");
    }
    assert_eq!(post("/v1/chat/completions", &[], completion()).await, 401);
    assert_eq!(post("/v1/chat/completions", BEARER, json!({"model": "m", "messages": []})).await, 400);
    assert_eq!(post("/v1/predictions", BEARER, json!({"input": {}})).await, 422);
    assert_eq!(post("/v1/elsewhere", BEARER, json!({})).await, 404);
    assert_eq!(send(address, "GET", "/v1/messages", ANTHROPIC, &Value::Null).await.unwrap().status, 405);
    assert_eq!(provider.count(), 0);
    assert_eq!(
        anthropic(&provider).await.unwrap().json()["content"][0]["input"]["prompt_type"],
        "VIDEO_EDIT"
    );
}

#[tokio::test]
async fn the_journal_has_it_all_and_answers_can_depend_on_the_request() {
    let provider = MockProvider::start().await.unwrap();
    provider
        .answer_with(|request: &picarcade_testkit::Request| Answer::default().enhanced(request.user_text()));
    let answer = anthropic(&provider).await.unwrap().json();
    assert_eq!(answer["content"][0]["input"]["enhanced_prompt"], "a purple sky");
    openai(&provider).await.unwrap();
    let journal = provider.requests();
    assert_eq!(journal[0].path, "/v1/messages");
    assert_eq!(journal[0].header("x-api-key"), Some("k"));
    assert_eq!(journal[0].body, message());
    assert_eq!(journal[1].dialect, Some(Dialect::OpenAi));
    assert!(journal[0].at <= journal[1].at);
}

#[tokio::test]
async fn dropped_means_gone() {
    let provider = MockProvider::start().await.unwrap();
    let address = provider.addr();
    drop(provider);
    eventually("nothing listens", async || std::net::TcpStream::connect(address).is_err()).await;
}
