//! The layer with its policy for HTTP, in an axum router behind a real server.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use picarcade_ratelimit::tower::{Charge, HttpPolicy, RateLimitLayer};
use picarcade_ratelimit::{
    Ask, Demand, Error, Limit, Limiter, MemoryStore, Plan, Report, ReservationId, Scope, Settled, Store,
    StoreDecision, Subjects,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::setup::sliding;

/// A store that never decides, and whose message names its host.
#[derive(Debug)]
struct Broken;

fn unavailable<T>() -> Result<T, Error> {
    Err(Error::Unavailable { reason: "no route to 10.0.0.7".to_owned() })
}

#[async_trait::async_trait]
impl Store for Broken {
    async fn acquire(&self, _: Ask<'_>) -> Result<StoreDecision, Error> {
        unavailable()
    }

    async fn conclude(&self, _: ReservationId, _: Option<u64>) -> Result<Settled, Error> {
        unavailable()
    }

    async fn usage(&self, _: &Plan, _: &Subjects<'_>) -> Result<Report, Error> {
        unavailable()
    }
}

/// A response as a client sees it.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            (field == name).then_some(value)
        })
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Serves the router and returns its address.
async fn serve(router: Router) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

async fn ask(address: std::net::SocketAddr, path: &str, user: &str) -> Answer {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-user: {user}\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    connection.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

fn user(request: &Request) -> &str {
    request.headers().get("x-user").and_then(|user| user.to_str().ok()).unwrap_or("anonymous")
}

fn router() -> Router {
    Router::new().route("/", get(|| async { "hello" })).route("/batch", get(|| async { "many" }))
}

fn two_a_minute() -> Limiter {
    Limiter::builder().limit(Limit::requests(Scope::User, 2, sliding(60))).build().unwrap()
}

#[tokio::test]
async fn admitted_requests_have_the_fields_and_denied_ones_429() {
    let policy = HttpPolicy::new(|request: &Request| Charge::to(Subjects::default().user(user(request))));
    let address = serve(router().layer(RateLimitLayer::new(two_a_minute(), policy))).await;

    let first = ask(address, "/", "ada").await;
    assert_eq!((first.status, &*first.body), (200, "hello"));
    assert_eq!(first.field("ratelimit-policy"), Some("\"user-requests-60s\";q=2;w=60"));
    assert!(first.field("ratelimit").unwrap().starts_with("\"user-requests-60s\";r=1;t="), "{first:?}");
    assert_eq!(first.field("retry-after"), None);
    assert_eq!(ask(address, "/", "ada").await.status, 200);

    let denied = ask(address, "/", "ada").await;
    assert_eq!(denied.status, 429);
    let wait: u64 = denied.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=61).contains(&wait), "{denied:?}");
    assert_eq!(denied.field("ratelimit-policy"), Some("\"user-requests-60s\";q=2;w=60"));
    assert!(denied.field("ratelimit").unwrap().starts_with("\"user-requests-60s\";r=0;t="), "{denied:?}");
    assert_eq!(denied.field("content-type"), Some("application/problem+json"));
    let problem = denied.json();
    assert_eq!(problem["status"], 429);
    assert_eq!(problem["title"], "Too Many Requests");
    assert_eq!(problem["violated-policies"], serde_json::json!(["user-requests-60s"]));

    assert_eq!(ask(address, "/", "bob").await.status, 200);
}

#[tokio::test]
async fn a_demand_is_charged_whole_or_not_at_all() {
    let policy = HttpPolicy::new(|request: &Request| {
        let size = if request.uri().path() == "/batch" { 2 } else { 1 };
        Charge::to(Subjects::default().user(user(request))).demand(Demand::requests(size))
    });
    let address = serve(router().layer(RateLimitLayer::new(two_a_minute(), policy))).await;
    assert_eq!(ask(address, "/", "ada").await.status, 200);
    assert_eq!(ask(address, "/batch", "ada").await.status, 429);
    assert_eq!(ask(address, "/", "ada").await.status, 200);
    assert_eq!(ask(address, "/batch", "bob").await.status, 200);
    assert_eq!(ask(address, "/", "bob").await.status, 429);
}

#[tokio::test]
async fn a_price_is_settled_when_the_service_answers() {
    let limiter = Limiter::builder().limit(Limit::cost(Scope::User, 50_000, sliding(60))).build().unwrap();
    let policy = HttpPolicy::new(|request: &Request| {
        Charge::to(Subjects::default().user(user(request))).demand(Demand::cost_micros(20_000))
    });
    let address = serve(router().layer(RateLimitLayer::new(limiter.clone(), policy))).await;
    assert_eq!(ask(address, "/", "ada").await.status, 200);
    assert_eq!(ask(address, "/", "ada").await.status, 200);
    assert_eq!(ask(address, "/", "ada").await.status, 429);
    let report = limiter.usage(&Subjects::default().user("ada")).await.unwrap();
    assert_eq!((report.statuses[0].used, report.statuses[0].reserved), (40_000, 0));
}

#[tokio::test]
async fn plans_are_limiters_that_share_a_store() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(100, 100));
    let plan = |requests| {
        Limiter::builder()
            .limit(Limit::requests(Scope::User, requests, sliding(60)))
            .limit(Limit::requests(Scope::Global, 4, sliding(60)))
            .store(Arc::clone(&store))
            .build()
            .unwrap()
    };
    let (free, pro) = (plan(1), plan(3));
    let policy = HttpPolicy::new(move |request: &Request| {
        let charge = Charge::to(Subjects::default().user(user(request)));
        if request.uri().query() == Some("pro") { charge.limiter(&pro) } else { charge }
    });
    let address = serve(router().layer(RateLimitLayer::new(free, policy))).await;
    assert_eq!(ask(address, "/", "ada").await.status, 200);
    assert_eq!(ask(address, "/", "ada").await.status, 429);
    let upgraded = ask(address, "/?pro", "ada").await;
    assert!(upgraded.field("ratelimit").unwrap().starts_with("\"user-requests-60s\";r=1;"), "{upgraded:?}");
    assert_eq!(ask(address, "/?pro", "ada").await.status, 200);
    assert_eq!(ask(address, "/?pro", "ada").await.status, 429);
    // The limit of all plans together.
    assert_eq!(ask(address, "/", "bob").await.status, 200);
    let denied = ask(address, "/", "eve").await;
    assert_eq!(denied.json()["violated-policies"], serde_json::json!(["global-requests-60s"]));
}

#[tokio::test]
async fn an_unusable_subject_is_a_bad_request() {
    let policy = HttpPolicy::new(|request: &Request| Charge::to(Subjects::default().user(user(request))));
    let address = serve(router().layer(RateLimitLayer::new(two_a_minute(), policy))).await;
    let rejected = ask(address, "/", &"x".repeat(257)).await;
    assert_eq!((rejected.status, &rejected.json()["detail"]), (400, &"user is longer than 256 bytes".into()));
}

#[tokio::test]
async fn a_limiter_that_cannot_decide_is_503_without_the_message_of_the_store() {
    let limiter = Limiter::builder()
        .limit(Limit::cost(Scope::User, 50, sliding(60)))
        .store(Arc::new(Broken))
        .build()
        .unwrap();
    let policy = HttpPolicy::new(|request: &Request| {
        Charge::to(Subjects::default().user(user(request))).demand(Demand::cost_micros(1))
    });
    let address = serve(router().layer(RateLimitLayer::new(limiter, policy))).await;
    let failed = ask(address, "/", "ada").await;
    assert_eq!((failed.status, failed.field("retry-after")), (503, Some("1")));
    assert!(!failed.body.contains("10.0.0.7"), "{failed:?}");
}
