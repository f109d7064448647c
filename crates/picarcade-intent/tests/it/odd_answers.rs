//! Every client against the corpus of odd answers in `tests/odd_answers`.

use std::path::Path;
use std::time::Duration;

use picarcade_intent::{Provider, ProviderErrorKind};
use picarcade_testkit::{Coding, MockProvider, Reply};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{KEY, ask, providers, request};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    text: Option<String>,
    status: Option<u16>,
    #[serde(default)]
    headers: serde_json::Map<String, Value>,
    coding: Option<String>,
    body: Option<Value>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    answer: Option<String>,
    error: Option<String>,
    cost: Option<Value>,
    retry_after: Option<f64>,
}

fn answer(prompt: &str) -> Value {
    json!({"prompt_type": "EDIT_IMAGE", "enhanced_prompt": prompt, "confidence": 0.9, "reasoning": "because"})
}

/// Puts the two answers into a text.
fn fill(text: &str) -> String {
    text.replace("$FINAL", &answer("final").to_string()).replace("$DRAFT", &answer("draft").to_string())
}

fn fill_all(value: Value) -> Value {
    match value {
        Value::String(text) if text == "$FINAL_OBJECT" => answer("final"),
        Value::String(text) if text == "$DRAFT_OBJECT" => answer("draft"),
        Value::String(text) => fill(&text).into(),
        Value::Array(values) => values.into_iter().map(fill_all).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, fill_all(value))).collect(),
        other => other,
    }
}

/// Puts the two answers into strings of a body that is written as text.
fn fill_raw(body: &str) -> String {
    let quoted = |prompt| Value::from(answer(prompt).to_string()).to_string();
    body.replace("\"$FINAL\"", &quoted("final")).replace("\"$DRAFT\"", &quoted("draft"))
}

impl Case {
    fn reply(&self) -> Reply {
        let reply = match (&self.text, self.body.clone()) {
            (Some(text), None) => Reply::Prose(fill(text)),
            (None, Some(body)) => Reply::Status {
                code: self.status.unwrap_or(200),
                headers: self
                    .headers
                    .iter()
                    .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                    .collect(),
                body: match body {
                    Value::String(body) => fill_raw(&body),
                    body => fill_all(body).to_string(),
                },
            },
            _ => panic!("{}: a case has a text or a body", self.name),
        };
        match self.coding.as_deref() {
            None => reply,
            Some("gzip") => reply.encoded(Coding::Gzip),
            Some("deflate") => reply.encoded(Coding::Deflate),
            Some("br") => reply.encoded(Coding::Brotli),
            Some(other) => panic!("{}: unknown coding {other}", self.name),
        }
    }

    async fn check(&self, mock: &MockProvider, provider: &dyn Provider) {
        let name = format!("{}, {}", provider.name(), self.name);
        let (calls, request) = (mock.count(), request("my private words", "i"));
        mock.push(self.reply());
        let result = ask(provider, &request).await;
        assert_eq!(mock.count(), calls + 1, "{name}: one call");
        let estimate = provider.estimate_micros(&request);
        let expect = &self.expect;
        let cost = match &result {
            Ok(answer) => {
                assert_eq!(Some(&answer.enhanced_prompt), expect.answer.as_ref(), "{name}");
                Some(answer.cost_micros)
            }
            Err(error) => {
                let kind = match error.kind {
                    ProviderErrorKind::Unusable(reason) => format!("unusable:{}", reason.as_str()),
                    kind => kind.as_str().to_owned(),
                };
                let expected = expect.error.as_deref().unwrap_or_else(|| panic!("{name}: {error:?}"));
                assert_eq!(kind, expected, "{name}: {error:?}");
                assert_eq!(
                    error.retry_after,
                    expect.retry_after.map(Duration::from_secs_f64),
                    "{name}: {error:?}"
                );
                let shown = format!("{error} {error:?}");
                assert!(!shown.contains(KEY) && !shown.contains("private"), "{name}: {shown}");
                error.cost_micros
            }
        };
        match &expect.cost {
            None => {}
            Some(Value::String(word)) if word == "estimate" => assert_eq!(cost, Some(estimate), "{name}"),
            Some(Value::String(word)) if word == "unknown" => assert_eq!(cost, None, "{name}"),
            Some(number) => assert_eq!(cost, Some(number.as_u64().unwrap()), "{name}"),
        }
    }
}

fn corpus(file: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/odd_answers").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

async fn run(file: &str, names: &[&str]) {
    let mock = MockProvider::start().await.unwrap();
    let cases = corpus(file);
    // A case of one API has the prices of one model.
    let mut clients = providers(&mock);
    if names.len() == 1 {
        clients.retain(|client| names.contains(&client.name()) && client.model() != "claude-haiku-5-5");
    }
    assert!(!clients.is_empty());
    for client in &clients {
        for case in &cases {
            case.check(&mock, &**client).await;
        }
    }
}

#[tokio::test]
async fn the_last_complete_answer_in_a_text_counts() {
    run("texts.json", &[]).await;
}

#[tokio::test]
async fn errors_in_a_body_have_the_kind_of_errors_by_status() {
    run("responses.json", &[]).await;
}

#[tokio::test]
async fn odd_anthropic_messages_are_read() {
    run("anthropic.json", &["anthropic"]).await;
}

#[tokio::test]
async fn odd_openai_completions_are_read() {
    run("openai.json", &["openai"]).await;
}

#[tokio::test]
async fn odd_replicate_predictions_are_read() {
    run("replicate.json", &["replicate"]).await;
}

#[tokio::test]
async fn every_call_accepts_compressed_answers_and_bounds_them() {
    let mock = MockProvider::start().await.unwrap();
    for provider in providers(&mock) {
        for coding in [Coding::Gzip, Coding::Deflate, Coding::Brotli] {
            mock.push(Reply::Answer(picarcade_testkit::Answer::default()).encoded(coding));
            let answer = ask(&*provider, &request("a fox", "")).await;
            assert!(answer.is_ok(), "{} {coding:?}: {answer:?}", provider.name());
            let bomb = Reply::Status { code: 200, headers: Vec::new(), body: " ".repeat(16 << 20) };
            mock.push(bomb.encoded(coding));
            let error = ask(&*provider, &request("a fox", "")).await.unwrap_err();
            assert_eq!(error.detail, "too_large", "{} {coding:?}", provider.name());
        }
    }
    for sent in mock.requests() {
        assert_eq!(sent.header("accept-encoding"), Some("gzip, deflate, br"));
    }
}
