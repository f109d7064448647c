//! The end of the process: unready first, every request answered, every event written, and
//! immediately at a second signal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use picarcade_testkit::{Answer, Fault, FaultProxy, MockProvider, Reply};
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpStream;

use crate::database::{migrated, rows, settled, shared};
use crate::failing_database::UNLIMITED;
use crate::service::{Service, in_time, until};

#[tokio::test]
async fn a_stop_finishes_the_open_request_and_exits_with_0() {
    let mock = MockProvider::start().await.unwrap();
    let mut service =
        Service::start(&[("ANTHROPIC_API_KEY", "k"), ("ANTHROPIC_BASE_URL", &mock.url())]).await;
    mock.push(Reply::Answer(Answer::of("NEW_IMAGE")).after(std::time::Duration::from_millis(500)));
    let request = service.request(Method::POST, "/api/v2/process").json(&json!({"prompt": "a red fox"}));
    let asked =
        tokio::spawn(async move { request.send().await.unwrap().json::<serde_json::Value>().await.unwrap() });
    in_time("the call", mock.arrived(1)).await;
    service.signal("TERM");
    assert_eq!(asked.await.unwrap()["source"], "llm");
    assert_eq!(service.ended().await.code(), Some(0));
}

#[tokio::test]
async fn recorded_events_survive_a_stop() {
    let mut service = Service::start(&[]).await;
    for index in 0..20 {
        service.process(json!({"prompt": format!("fox {index}")})).await;
    }
    service.signal("INT");
    assert_eq!(service.ended().await.code(), Some(0));
    let directory = service.directory;
    let service = Service::start_in(directory, &[], &[]).await;
    settled(&service).await;
    assert_eq!(service.get("/api/v2/stats").await["total_classifications"], 20);
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let mock = MockProvider::start().await.unwrap();
    let mut service = Service::start(&[
        ("ANTHROPIC_API_KEY", "k"),
        ("ANTHROPIC_BASE_URL", &mock.url()),
        // What the first signal begins does not end by itself before the second signal comes.
        ("CLASSIFICATION_TIMEOUT", "300"),
        ("PICARCADE_SHUTDOWN_TIMEOUT", "300"),
    ])
    .await;
    mock.always(Reply::Hang);
    let request = service.request(Method::POST, "/api/v2/process").json(&json!({"prompt": "a red fox"}));
    tokio::spawn(request.send());
    in_time("the call", mock.arrived(1)).await;
    service.signal("TERM");
    // The first signal has arrived when the listener is gone.
    until("the listener is gone", async || TcpStream::connect(service.address()).await.is_err()).await;
    service.signal("TERM");
    assert_ne!(service.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_stop_under_load_loses_no_request_and_no_event() {
    let mock = MockProvider::start().await.unwrap();
    mock.answer_with(Answer::of("EDIT_IMAGE"));
    mock.latency(std::time::Duration::from_millis(20));
    let mock_url = mock.url();
    let mut environment = vec![
        ("ANTHROPIC_API_KEY", "k"),
        ("ANTHROPIC_BASE_URL", &*mock_url),
        ("PICARCADE_SHUTDOWN_TIMEOUT", "120"),
        ("PICARCADE_SHUTDOWN_DELAY", "15"),
    ];
    environment.extend(UNLIMITED);
    let mut service = Service::start(&environment).await;
    let answers = Arc::new(AtomicU64::new(0));
    let unready = Arc::new(AtomicBool::new(false));
    let users: Vec<_> = (0..32)
        .map(|user| {
            // Half of the clients keep their connection, half of them open a new one each time.
            let idle = if user % 2 == 0 { usize::MAX } else { 0 };
            let client = reqwest::Client::builder().pool_max_idle_per_host(idle).build().unwrap();
            let url = format!("{}/api/v2/process", service.url);
            let (answers, unready) = (Arc::clone(&answers), Arc::clone(&unready));
            tokio::spawn(async move {
                // Like a load balancer: no client sends a request to an unready service.
                for turn in 0.. {
                    if unready.load(Ordering::Relaxed) {
                        break;
                    }
                    let body = json!({"prompt": format!("make tree {} red", turn % 7), "active_image": true});
                    let response = client.post(&url).json(&body).send().await.unwrap();
                    assert_eq!(response.status(), 200);
                    assert!(response.bytes().await.is_ok());
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    until("there is load", async || answers.load(Ordering::Relaxed) > 200).await;
    service.signal("TERM");
    until("it is unready while it still listens", async || {
        // Each request has a connection of its own.
        let probe = reqwest::Client::new().get(format!("{}/health/ready", service.url)).send().await;
        let response = probe.expect("the listener is still there");
        response.status() == 503 && response.headers().contains_key("retry-after")
    })
    .await;
    unready.store(true, Ordering::Relaxed);
    for user in users {
        user.await.unwrap();
    }
    assert_eq!(service.ended().await.code(), Some(0));
    let service = Service::start_in(service.directory, &[], &[]).await;
    settled(&service).await;
    let stats = service.get("/api/v2/stats").await;
    assert_eq!(stats["total_classifications"], answers.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_stop_has_one_deadline_and_leaves_unwritten_events_on_disk() {
    let server = shared().await;
    let url = migrated(server).await;
    let (proxy, mock) = tokio::try_join!(FaultProxy::start(server.addr()), MockProvider::start()).unwrap();
    let (through, mock_url) = (proxy.through(&url), mock.url());
    let environment = [
        ("DATABASE_URL", &*through),
        ("ANTHROPIC_API_KEY", "k"),
        ("ANTHROPIC_BASE_URL", &*mock_url),
        ("PICARCADE_SHUTDOWN_TIMEOUT", "10"),
    ];
    let mut service = Service::start(&environment).await;
    // From here on the service knows what was spent; without that it would spend nothing more.
    service.process(json!({"prompt": "make the sky purple"})).await;
    proxy.set(Fault::BlackHole).await;
    for index in 0..10 {
        service.process(json!({"prompt": format!("fox {index}")})).await;
    }
    let accepted = service.events().await["accepted"].as_u64().unwrap();
    mock.always(Reply::Hang);
    let calls = mock.count();
    let body = json!({"prompt": "make the sky purple", "active_image": true});
    let hanging = tokio::spawn(service.request(Method::POST, "/api/v2/process").json(&body).send());
    in_time("the call", mock.arrived(calls + 1)).await;
    // A silent client does not delay the stop either.
    let idle = service.connect().await;
    service.signal("TERM");
    assert_eq!(service.ended().await.code(), Some(0));
    drop((idle, hanging));
    proxy.set(Fault::Pass).await;
    let service = Service::start_in(service.directory, &[("DATABASE_URL", &through)], &[]).await;
    let counters = settled(&service).await;
    let written = rows(server, &url).await;
    assert!(written.0 == written.1 && written.0 >= accepted, "{written:?} of {accepted}: {counters}");
}
