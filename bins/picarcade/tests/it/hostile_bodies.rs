//! Bodies that are meant to cost more than their size, and odd bodies that must affect nothing
//! else.

use std::fmt::Write;

use picarcade_testkit::RedisServer;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::service::{Service, connected, in_time};

async fn send(service: &Service, method: Method, path: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
    let request = service.request(method, path).header("content-type", "application/json").body(body);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn pointers(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect()
}

/// Returns a list of this many levels.
fn deep(levels: usize) -> String {
    "[".repeat(levels) + &"]".repeat(levels)
}

#[tokio::test]
async fn an_odd_request_of_a_batch_affects_no_other_and_process_agrees() {
    let service = Service::start(&[]).await;
    let deep = deep(300);
    let wrong_list =
        format!(r#"{{"prompt": "x", "context": {{"uploaded_images": [{}1]}}}}"#, "1,".repeat(9000));
    let cases: Vec<(Vec<u8>, u16, &str)> = vec![
        (r#"{"prompt": "a red fox"}"#.into(), 200, ""),
        (r#"{"prompt": "a red fox", "odd": 1e999}"#.into(), 200, ""),
        (r#"{"prompt": "a red fox", "context": {"odd": -1e999}}"#.into(), 200, ""),
        (format!(r#"{{"prompt": "a red fox", "odd": {deep}}}"#).into(), 200, ""),
        (r#"{"prompt": "a red fox", "odd": "\ud800", "\udc00": 1}"#.into(), 200, ""),
        (r#"{"prompt": 1, "prompt": "a red fox", "odd": 1, "odd": 2}"#.into(), 200, ""),
        (r#"{"prompt": 1e999}"#.into(), 422, "/prompt"),
        (r#"{"prompt": "\ud800"}"#.into(), 422, "/prompt"),
        (format!(r#"{{"prompt": "x", "active_image": {deep}}}"#).into(), 422, "/active_image"),
        (format!(r#"{{"prompt": "x", "context": {deep}}}"#).into(), 422, "/context"),
        (r#"{"prompt": "x", "user_id": 7}"#.into(), 422, "/user_id"),
        (wrong_list.into(), 422, "/context/uploaded_images/0"),
        ("1e999".into(), 422, ""),
        (deep.clone().into(), 422, ""),
        (b"{\"prompt\": \"\xff\xfe\"}".into(), 400, ""),
        (b"{\"prompt\": \"a red fox\", \"odd\": \"\xe4\xb8\"}".into(), 400, ""),
        (format!(r#"{{"prompt": "x", "odd": "{}"}}"#, "y".repeat(70_000)).into(), 413, ""),
        (r#"{"prompt": "a red fox"}"#.into(), 200, ""),
    ];
    let list = [
        b"[".to_vec(),
        cases.iter().map(|case| case.0.clone()).collect::<Vec<_>>().join(&b','),
        b"]".to_vec(),
    ];
    let object = [br#"{"odd": 1e999, "\ud800": [], "requests": "#.to_vec(), list.concat(), b"}".to_vec()];
    for body in [list.concat(), object.concat()] {
        let (status, answer) = send(&service, Method::POST, "/api/v2/batch", body).await;
        assert_eq!(status, 200, "{answer}");
        for ((item, status, pointer), result) in cases.iter().zip(answer["results"].as_array().unwrap()) {
            let item = String::from_utf8_lossy(item);
            if *status == 200 {
                assert_eq!(result["success"], true, "{item:.99}: {result}");
            } else {
                assert_eq!(result["status"], *status, "{item:.99}: {result}");
                assert_eq!(pointers(result).first().copied().unwrap_or_default(), *pointer, "{item:.99}");
            }
        }
    }
    for (item, status, pointer) in cases {
        let name = String::from_utf8_lossy(&item).into_owned();
        let (found, answer) = send(&service, Method::POST, "/api/v2/process", item).await;
        assert_eq!(found, status, "{name:.99}: {answer}");
        assert_eq!(pointers(&answer).first().copied().unwrap_or_default(), pointer, "{name:.99}");
    }
}

#[tokio::test]
async fn malformed_json_is_400_and_wrong_values_are_422() {
    let service = Service::start(&[("PICARCADE_ADMIN_TOKEN", "root")]).await;
    let deep = deep(300);
    let cases = [
        (Method::PUT, "/api/v2/sessions/s", r#"{"metadata": {"a": 1e999}}"#, 422, "/metadata"),
        (Method::PUT, "/api/v2/sessions/s", r#"{"metadata": "\ud800"}"#, 422, "/metadata"),
        (Method::PUT, "/api/v2/sessions/s", &format!(r#"{{"metadata": {deep}}}"#), 422, "/metadata"),
        (Method::PUT, "/api/v2/sessions/s", r#"{"working_image": "\ud800"}"#, 422, "/working_image"),
        (Method::PUT, "/api/v2/sessions/s", r#"{"user_id": 1e999}"#, 422, "/user_id"),
        (Method::PUT, "/api/v2/sessions/s", &format!(r#"{{"odd": {deep}}}"#), 200, ""),
        (Method::PUT, "/api/v2/sessions/s", r#"{"odd": 1e999}"#, 200, ""),
        (Method::PUT, "/api/v2/sessions/s", r#"{"working_image": 1, "#, 400, ""),
        (Method::PUT, "/api/v2/sessions/s", "[1e999]", 422, ""),
        (
            Method::POST,
            "/api/v2/generations/x/outcome",
            r#"{"success": true, "actual_cost": 1e999}"#,
            422,
            "/actual_cost",
        ),
        (
            Method::POST,
            "/api/v2/generations/x/outcome",
            r#"{"success": true, "actual_cost": -1}"#,
            422,
            "/actual_cost",
        ),
        (Method::POST, "/api/v2/generations/x/outcome", r#"{"success": 1e999}"#, 422, "/success"),
        (
            Method::POST,
            "/api/v2/generations/x/outcome",
            r#"{"success": true, "error_kind": "\ud800"}"#,
            422,
            "/error_kind",
        ),
        (Method::POST, "/api/v2/generations/x/outcome", r#"{"success": true, "retry_after": 1e}"#, 400, ""),
        (Method::POST, "/admin/cache/invalidate", r#"{"all": 1e999}"#, 422, "/all"),
        (Method::POST, "/admin/cache/invalidate", r#"{"tag": "\ud800"}"#, 422, "/tag"),
        (Method::POST, "/admin/cache/invalidate", r#"{"all": true"#, 400, ""),
    ];
    for (method, path, body, status, pointer) in cases {
        let request = service.request(method, path).header("content-type", "application/json");
        let response = request.bearer_auth("root").body(body.to_owned()).send().await.unwrap();
        assert_eq!(response.status(), status, "{path} {body:.99}");
        let answer: Value = response.json().await.unwrap();
        let found = pointers(&answer).first().copied().unwrap_or_default().to_owned();
        assert!(found.starts_with(pointer) && found.is_empty() == pointer.is_empty(), "{body:.99}: {answer}");
    }
    for query in ["user_id=a&user_id=b", "user_id=%01"] {
        let response = service.request(Method::GET, &format!("/api/v2/usage?{query}")).send().await.unwrap();
        assert_eq!(response.status(), 422, "{query}");
    }
}

#[tokio::test]
async fn wrong_bodies_take_little_memory_and_get_short_responses() {
    let service = Service::start(&[]).await;
    service.process(json!({"prompt": "a red fox"})).await;
    let before = service.memory();
    let item = |list: &str| {
        let element = match list {
            "uploaded_images" => "\"\",",
            _ => "1,",
        };
        let elements = element.repeat(65_000 / element.len());
        format!(r#"{{"prompt": "x", "context": {{"{list}": [{elements}1]}}}}"#)
    };
    let lists: Vec<_> =
        (0..128).map(|index| item(["uploaded_images", "reference_images"][index % 2])).collect();
    let items = format!("[{}1]", "1,".repeat(4_000_000));
    for body in [format!("[{}]", lists.join(",")), items, format!("[{}]", deep(4_000_000))] {
        let (status, answer) = send(&service, Method::POST, "/api/v2/batch", body).await;
        assert!(status == 200 || status == 422, "{status}: {answer:.200}");
        for result in answer["results"].as_array().into_iter().flatten() {
            let named = pointers(result).len();
            let expected = if result["status"] == 413 { 0..=0 } else { 1..=32 };
            assert!(result["success"].is_null() && expected.contains(&named), "{result:.200}");
        }
    }
    // The peak is what a client can make the service allocate, even if it is freed later.
    let peak = service.peak_memory();
    assert!(peak < before + 128, "{before} MiB before, {peak} MiB at the peak");
}

#[tokio::test]
async fn a_large_body_holds_up_no_other_request() {
    // With one worker, a body that is parsed on it would hold up everything until it is answered.
    let service = Service::start(&[("TOKIO_WORKER_THREADS", "1")]).await;
    let body = format!("[{}1]", r#"{"\u0061":1},"#.repeat(500_000));
    let mut stream = service.connect().await;
    let head = format!(
        "POST /api/v2/batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let mut lived = 0;
    let mut answered = std::pin::pin!(stream.read_to_end(&mut answer));
    loop {
        tokio::select! {
            biased;
            read = &mut answered => break assert!(read.unwrap() > 0),
            alive = service.get("/health/live") => lived += u32::from(alive["alive"] == true),
        }
    }
    assert!(answer.starts_with(b"HTTP/1.1 422 "), "{}", String::from_utf8_lossy(&answer));
    assert!(lived >= 3, "{lived} other requests were answered meanwhile");
}

#[tokio::test]
async fn long_lists_of_references_are_one_problem() {
    let service = Service::start(&[]).await;
    let mut references = String::new();
    for index in 0..1300 {
        write!(references, r#"{{"url":"https://a.example/r","tag":"{index}"}},"#).unwrap();
    }
    let references = references.trim_end_matches(',');
    let body = |list: &str| format!(r#"{{"prompt": "x", "context": {{"reference_images": [{list}]}}}}"#);
    let (status, problem) = send(&service, Method::POST, "/api/v2/process", body(references)).await;
    assert_eq!((status, pointers(&problem)), (422, vec!["/context/reference_images"]), "{problem}");
    let allowed: Vec<_> = references.split("},").take(64).collect();
    let (status, answer) =
        send(&service, Method::POST, "/api/v2/process", body(&(allowed.join("},") + "}"))).await;
    assert_eq!(status, 200, "{answer}");
}

/// Returns the response to the head of a batch whose body is announced and never sent.
async fn answer_to_head(service: &Service, fields: &str) -> String {
    let mut stream = service.connect().await;
    let head = format!(
        "POST /api/v2/batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 8000000\r\n{fields}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    in_time("an answer without the body", stream.read_to_string(&mut text)).await.unwrap();
    text
}

#[tokio::test]
async fn a_caller_whose_limit_is_used_up_is_refused_before_its_batch_is_read() {
    let redis = RedisServer::start().await.unwrap();
    for environment in [vec![], vec![("REDIS_URL", redis.url())]] {
        let mut environment: Vec<_> =
            environment.iter().map(|(name, value): &(&str, String)| (*name, value.as_str())).collect();
        environment.extend([
            ("RATE_LIMIT_REQUESTS_PER_MINUTE", "1"),
            ("PICARCADE_API_KEYS", "web:key-of-the-web-app"),
        ]);
        let service = Service::start(&environment).await;
        if environment.len() > 2 {
            connected(&service).await;
        }
        let process = async |user: &str| {
            let request =
                service.request(Method::POST, "/api/v2/process").header("x-api-key", "key-of-the-web-app");
            let body = json!({"prompt": "a red fox", "user_id": user});
            request.json(&body).send().await.unwrap().status().as_u16()
        };
        assert_eq!(process("ann").await, 200);
        let denied = answer_to_head(&service, "x-api-key: key-of-the-web-app\r\nx-user-id: ann\r\n").await;
        assert!(denied.starts_with("HTTP/1.1 429 ") && denied.contains("connection: close"), "{denied}");
        for field in ["retry-after", "ratelimit", "ratelimit-policy", "x-request-id", "violated"] {
            assert!(denied.contains(field), "{field}: {denied}");
        }
        // A body may still name a user who has requests left.
        let batch = service.request(Method::POST, "/api/v2/batch").header("x-api-key", "key-of-the-web-app");
        let items = json!([{"prompt": "x", "user_id": "ann"}, {"prompt": "x", "user_id": "bob"}]);
        let answer: Value = batch.json(&items).send().await.unwrap().json().await.unwrap();
        let statuses: Vec<_> =
            answer["results"].as_array().unwrap().iter().map(|result| &result["status"]).collect();
        assert_eq!((statuses[0], &answer["succeeded"]), (&json!(429), &json!(1)));
        let usage = service
            .request(Method::GET, "/api/v2/usage?user_id=ann")
            .header("x-api-key", "key-of-the-web-app");
        let usage: Value = usage.send().await.unwrap().json().await.unwrap();
        assert_eq!(usage["limits"][0]["used"], 1, "a denied request consumes nothing");
    }
}
