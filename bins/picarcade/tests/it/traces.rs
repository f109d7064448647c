//! Traces: the spans that a collector receives, and the harmlessness of a dead collector.

use picarcade_testkit::{Answer, Fault, FaultProxy, MockProvider, Reply};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::otlp::{Export, Span, collect};
use crate::service::{Service, in_time};

const TRACE: [u8; 16] =
    [0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36];
const PARENT: [u8; 8] = [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7];

async fn process(service: &Service, prompt: &str) -> Value {
    let request = service
        .request(Method::POST, "/api/v2/process")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .header("x-user-id", "secret-ann");
    let answer = request.json(&json!({"prompt": prompt, "active_image": true})).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

/// Starts a service that exports to this collector only when it stops.
async fn exporting(listener: &TcpListener, more: &[(&str, &str)]) -> Service {
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut environment = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
        ("OTEL_SERVICE_NAME", "fox-service"),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
    ];
    environment.extend(more);
    Service::start(&environment).await
}

/// Stops the service, and returns what it exports.
async fn exported(mut service: Service, listener: TcpListener) -> Export {
    service.signal("TERM");
    let export = in_time("the spans", collect(listener)).await;
    assert_eq!(service.ended().await.code(), Some(0));
    export
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Returns these attributes of a span.
fn attributes<'a>(span: &'a Span, names: &[&str]) -> Vec<&'a str> {
    names.iter().map(|name| span.attributes.get(*name).map_or("", String::as_str)).collect()
}

#[tokio::test]
async fn a_request_becomes_a_child_span_of_the_client_without_data_of_the_user() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let service = exporting(&listener, &[("RATE_LIMIT_REQUESTS_PER_MINUTE", "1")]).await;
    process(&service, "make the secret fox red").await;
    let denied = service.request(Method::POST, "/api/v2/classify-only").header("x-user-id", "secret-ann");
    let denied = denied.json(&json!({"prompt": "a secret fox"})).send().await.unwrap();
    assert_eq!(denied.status(), 429);
    let export = exported(service, listener).await;
    assert!(export.raw.starts_with(b"POST /v1/traces HTTP/1.1\r\n"));
    assert!(has(&export.raw, b"fox-service"));
    assert!(!has(&export.raw, b"secret"), "{:?}", export.spans);
    let [answered, denied] = &export.spans[..] else { panic!("{:?}", export.spans) };
    assert_eq!((&answered.trace[..], &answered.parent[..], answered.kind), (&TRACE[..], &PARENT[..], 2));
    assert_eq!(answered.name, "POST /api/v2/process");
    let names = [
        "http.route",
        "http.response.status_code",
        "picarcade.limits",
        "picarcade.source",
        "picarcade.prompt_type",
        "picarcade.cache.intent",
        "picarcade.cache.enhancement",
        "picarcade.cache.parameters",
    ];
    assert_eq!(
        attributes(answered, &names),
        ["/api/v2/process", "200", "admitted", "local", "EDIT_IMAGE", "miss", "miss", "miss"]
    );
    assert_eq!(attributes(denied, &names[..4]), ["/api/v2/classify-only", "429", "denied", ""]);
    assert!(denied.parent.is_empty() && !denied.failed && !answered.failed);
}

#[tokio::test]
async fn each_ai_call_becomes_a_child_span_of_the_request_that_made_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mock = MockProvider::start().await.unwrap();
    mock.answer_with(Answer::of("EDIT_IMAGE"));
    let url = mock.url();
    let environment = [("ANTHROPIC_API_KEY", "secret-key"), ("ANTHROPIC_BASE_URL", &*url)];
    let service = exporting(&listener, &environment).await;
    process(&service, "a secret fox").await;
    process(&service, "a secret fox").await;
    // The call is retried, because the first failure may be temporary.
    mock.push(Reply::ServerError);
    process(&service, "a secret hare").await;
    mock.push(Reply::Refusal);
    assert_eq!(process(&service, "a secret boar").await["degraded"], json!(["llm_unusable"]));
    let export = exported(service, listener).await;
    assert!(!has(&export.raw, b"secret"), "{:?}", export.spans);
    let requests: Vec<_> = export.spans.iter().filter(|span| span.kind == 2).collect();
    let calls: Vec<_> = export.spans.iter().filter(|span| span.kind == 3).collect();
    assert_eq!((requests.len(), calls.len()), (4, 4), "{:?}", export.spans);
    let below = |request: usize| {
        let of = |call: &&&Span| call.parent == requests[request].id && call.trace == TRACE;
        calls.iter().filter(of).collect::<Vec<_>>()
    };
    let source =
        |request: usize| attributes(requests[request], &["picarcade.source", "picarcade.cache.intent"]);
    assert_eq!((source(0), below(0).len()), (vec!["llm", "miss"], 1));
    assert_eq!((source(1), below(1).len()), (vec!["llm", "l1"], 0));
    assert_eq!((source(2), below(2).len()), (vec!["llm", "miss"], 2));
    let names = ["gen_ai.operation.name", "gen_ai.provider.name", "error.type", "http.response.status_code"];
    let model = &below(0)[0].attributes["gen_ai.request.model"];
    for (call, failed, expected) in [
        (below(0)[0], false, ["chat", "anthropic", "", ""]),
        (below(2)[0], true, ["chat", "anthropic", "server", "500"]),
        (below(2)[1], false, ["chat", "anthropic", "", ""]),
        (below(3)[0], true, ["chat", "anthropic", "unusable", "200"]),
    ] {
        assert_eq!((attributes(call, &names), call.failed), (expected.to_vec(), failed), "{call:?}");
        assert_eq!(call.name, format!("chat {model}"));
        // Every answer of the provider is counted and paid for, useful or not.
        let paid = expected[2] != "server";
        for name in ["gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "picarcade.cost_micros"] {
            let number = call.attributes.get(name).map_or(0, |number| number.parse::<u64>().unwrap());
            assert_eq!(number > 0, paid, "{name}: {call:?}");
        }
    }
    assert_eq!(
        attributes(requests[3], &["picarcade.source", "picarcade.degraded"]),
        ["local", "llm_unusable"]
    );
}

#[tokio::test]
async fn a_dead_collector_affects_no_request_and_logs_one_line() {
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = FaultProxy::start(target.local_addr().unwrap()).await.unwrap();
    proxy.set(Fault::Cut).await;
    let endpoint = format!("http://{}", proxy.addr());
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "10"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "4"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2"),
    ];
    let mut service = Service::start(&environment).await;
    for _ in 0..50 {
        process(&service, "a secret fox").await;
    }
    service.signal("TERM");
    assert_eq!(service.ended().await.code(), Some(0));
    let recorded = service.log().iter().filter(|line| line.contains("traces cannot be exported")).count();
    assert_eq!(recorded, 1, "{:#?}", service.log());
}
