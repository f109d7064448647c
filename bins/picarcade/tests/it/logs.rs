//! The log: JSON without a terminal, a bounded number of lines, no secret and no word of a user,
//! even if everything fails.

use picarcade_testkit::{Fault, FaultProxy, MockProvider, Reply};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::database::{migrated, shared};
use crate::failing_database::UNLIMITED;
use crate::service::{Service, in_time, picarcade};
use crate::terminal::terminal;

#[tokio::test]
async fn many_failures_leave_few_lines_without_users_or_keys() {
    let mock = MockProvider::start().await.unwrap();
    let body = "secret-ai-key said: my secret prompt".to_owned();
    mock.always(Reply::Status { code: 500, headers: vec![], body });
    let mock_url = mock.url();
    let server = shared().await;
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let through = proxy.through(&migrated(server).await);
    let password = through.split([':', '@']).nth(2).unwrap();
    let mut environment = vec![
        ("REDIS_URL", "redis://:secret-redis@127.0.0.1:1"),
        ("DATABASE_URL", &*through),
        ("ANTHROPIC_API_KEY", "secret-ai-key"),
        ("ANTHROPIC_BASE_URL", &mock_url),
        ("PICARCADE_API_KEYS", "web:secret-web-app-key"),
        ("PICARCADE_ADMIN_TOKEN", "secret-admin"),
        ("PICARCADE_JWKS_URL", "http://user:secret-jwks@127.0.0.1:1/keys"),
    ];
    environment.extend(UNLIMITED);
    let mut service = Service::start(&environment).await;
    proxy.set(Fault::Cut).await;
    let send = async |method: Method, path: String, body: Value, key: &str| {
        let request =
            service.request(method, &path).header("x-api-key", key).header("x-user-id", "secret-ann");
        request.json(&body).send().await.unwrap().status().as_u16()
    };
    let asked = &service;
    let rounds = (0..100).map(|round| {
        let prompt = json!({"prompt": format!("my secret prompt {round}"), "active_image": true, "reserve": round % 2 == 0});
        let send = &send;
        async move {
            send(Method::POST, "/api/v2/process".into(), prompt.clone(), "secret-web-app-key").await;
            send(Method::POST, "/api/v2/process".into(), prompt, "secret-wrong").await;
            send(Method::PUT, format!("/api/v2/sessions/secret-{round}"), json!({}), "secret-web-app-key").await;
            send(Method::GET, "/api/v2/stats".into(), json!({}), "secret-web-app-key").await;
            send(Method::GET, format!("/secret-path/{round}"), json!({}), "secret-web-app-key").await;
            let token = "eyJhbGciOiJFUzI1NiIsImtpZCI6InNlY3JldCJ9.e30.c2VjcmV0";
            let request = asked.request(Method::GET, "/api/v2/usage").bearer_auth(token);
            assert_eq!(request.send().await.unwrap().status(), 503);
        }
    });
    futures_util::future::join_all(rounds).await;
    service.signal("TERM");
    assert_eq!(service.ended().await.code(), Some(0));
    let log = service.log();
    assert!(log.len() < service.log_bound(), "{} lines: {log:#?}", log.len());
    let mut left_out = 0;
    for line in &log {
        assert!(!line.contains("secret") && !line.contains(password), "{line}");
        let record: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        assert!(record["level"].is_string() && record["timestamp"].is_string(), "{line}");
        left_out += record["lines"].as_u64().unwrap_or(0);
    }
    assert!(left_out > 0, "suppressed lines are counted: {log:#?}");
    let messages: Vec<Value> =
        log.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["message"].clone()).collect();
    assert_eq!(messages.last(), Some(&json!("stopped")), "{messages:?}");
}

#[tokio::test]
async fn on_a_terminal_the_log_is_text_with_one_line_for_a_request() {
    let (terminal, mut lines) = terminal();
    let directory = TempDir::new().unwrap();
    let environment = [
        ("RUST_LOG", "picarcade=debug"),
        ("PICARCADE_API_KEYS", "web:secret-web-app-key"),
        ("REDIS_URL", "redis://:secret-redis@127.0.0.1:1"),
    ];
    let mut command = picarcade(&directory, &environment);
    command.args(["serve", "--listen", "127.0.0.1:0"]).stderr(terminal);
    let mut child = command.spawn().unwrap();
    // The terminal must end with the service.
    drop(command);
    let mut log = Vec::new();
    let url = loop {
        let line = in_time("it listens", lines.recv()).await.unwrap_or_else(|| panic!("{log:#?}"));
        log.push(line.clone());
        if let Some((_, rest)) = line.split_once("listening address=") {
            break format!("http://{}", rest.split(' ').next().unwrap());
        }
    };
    let client = reqwest::Client::new();
    for index in 0..5 {
        let request = client.post(format!("{url}/api/v2/process")).header("x-api-key", "secret-web-app-key");
        let request = request.header("x-user-id", "secret-ann").header("x-request-id", format!("id-{index}"));
        let body = json!({"prompt": "my secret prompt", "session_id": "secret-session"});
        assert_eq!(request.json(&body).send().await.unwrap().status(), 200);
    }
    let id = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
    in_time("it ends", child.wait()).await.unwrap();
    while let Some(line) = in_time("the last line", lines.recv()).await {
        log.push(line);
    }
    for line in &log {
        assert!(!line.contains("secret") && serde_json::from_str::<Value>(line).is_err(), "{line}");
        let level = ["DEBUG", "INFO", "WARN", "ERROR"].iter().any(|level| line.contains(level));
        assert!(level && line.starts_with(|first: char| first.is_ascii_digit()), "{line}");
    }
    for index in 0..5 {
        let of = |line: &&String| line.contains(&format!("id-{index}"));
        assert_eq!(log.iter().filter(of).count(), 1, "{log:#?}");
    }
    assert!(log.last().unwrap().ends_with("stopped"), "{log:#?}");
}

#[tokio::test]
async fn a_successful_request_leaves_at_most_one_line() {
    let mut service = Service::start(&[]).await;
    let before = service.log().len();
    for index in 0..50 {
        service.process(json!({"prompt": format!("fox {index}")})).await;
    }
    service.signal("TERM");
    service.ended().await;
    // The stop writes two more lines.
    assert!(service.log().len() - before <= 52, "{:#?}", service.log());
    assert!(!service.log().join("").contains("fox"));
}
