//! The tower layer around a real service.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use picarcade_ratelimit::tower::{Charge, Policy, RateLimitLayer, Refusal};
use picarcade_ratelimit::{Demand, Error, Limit, Limiter, Report, Scope, Subjects, headers};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::setup::{secs, sliding};

#[derive(Debug, Clone)]
struct Batch {
    user: String,
    size: u64,
}

/// A body and its headers, like those of an HTTP service.
#[derive(Debug, PartialEq)]
struct Reply {
    status: u16,
    fields: Vec<String>,
}

#[derive(Debug, Clone)]
struct ByUser;

impl Policy<Batch, Reply, String> for ByUser {
    fn charge<'a>(&self, request: &'a Batch) -> Charge<'a> {
        Charge::to(Subjects::default().user(request.user.as_str())).demand(Demand::requests(request.size))
    }

    fn refuse(&self, refusal: Refusal) -> Result<Reply, String> {
        match refusal {
            Refusal::Denied(denial) => Ok(Reply { status: 429, fields: vec![headers::retry_after(&denial)] }),
            Refusal::Failed(error @ Error::Invalid { .. }) => Err(error.to_string()),
            other => Err(format!("{other:?}")),
        }
    }

    fn admit(&self, report: &Report, response: &mut Reply) {
        response.fields.push(headers::limit(report));
    }
}

#[tokio::test(start_paused = true)]
async fn a_denied_request_does_not_reach_the_service() {
    let limiter = Limiter::builder().limit(Limit::requests(Scope::User, 10, sliding(60))).build().unwrap();
    let served = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&served);
    let mut service = RateLimitLayer::new(limiter, ByUser).layer(service_fn(move |request: Batch| {
        count.fetch_add(request.size, Ordering::Relaxed);
        async move { Ok::<_, String>(Reply { status: 200, fields: Vec::new() }) }
    }));
    let mut ask = async |user: &str, size| {
        let request = Batch { user: user.to_owned(), size };
        service.ready().await.unwrap().call(request).await
    };
    let first = ask("ada", 7).await.unwrap();
    assert_eq!(first.status, 200);
    assert!(first.fields[0].starts_with("\"user-requests-60s\";r=3;t="), "{first:?}");
    let second = ask("ada", 4).await.unwrap();
    assert_eq!(second.status, 429);
    let wait: u64 = second.fields[0].parse().unwrap();
    assert_eq!(ask("bob", 10).await.unwrap().status, 200);
    assert_eq!(ask("", 1).await.unwrap_err(), "user is empty");
    assert_eq!(served.load(Ordering::Relaxed), 17);
    tokio::time::advance(secs(wait)).await;
    assert_eq!(ask("ada", 4).await.unwrap().status, 200);
}

/// Counts HTTP requests of any body by a header field.
#[derive(Debug, Clone)]
struct ByHeader;

impl<B, R: Default> Policy<Request<B>, Response<R>, Infallible> for ByHeader {
    fn charge<'a>(&self, request: &'a Request<B>) -> Charge<'a> {
        let user = request.headers().get("x-user-id").and_then(|user| user.to_str().ok());
        Charge::to(Subjects::default().user(user.unwrap_or("anonymous")))
    }

    fn refuse(&self, refusal: Refusal) -> Result<Response<R>, Infallible> {
        let mut response = Response::new(R::default());
        *response.status_mut() = match refusal {
            Refusal::Denied(_) => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Ok(response)
    }
}

fn one_a_minute() -> RateLimitLayer<ByHeader> {
    let limiter = Limiter::builder().limit(Limit::requests(Scope::User, 1, sliding(60))).build().unwrap();
    RateLimitLayer::new(limiter, ByHeader)
}

fn by<B>(user: &str, body: B) -> Request<B> {
    Request::builder().uri("/").header("x-user-id", user).body(body).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_layer_fits_an_axum_router() {
    let router = Router::new().route("/", get(|| async { "hello" })).layer(one_a_minute());
    let ask = async |user: &str| {
        router.clone().oneshot(by(user, axum::body::Body::from("x"))).await.unwrap().status()
    };
    assert_eq!(ask("ada").await, StatusCode::OK);
    assert_eq!(ask("ada").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(ask("bob").await, StatusCode::OK);
}

/// The type that the body of tonic wraps: boxed, and not `Sync`.
type Unsync = UnsyncBoxBody<Bytes, Infallible>;

#[tokio::test(start_paused = true)]
async fn the_layer_takes_bodies_that_are_not_sync() {
    let service = one_a_minute().layer(service_fn(|request: Request<Unsync>| async move {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    }));
    // Servers run services in tasks, so the future must be `Send`.
    let ask = async |user: &'static str| {
        let answer = service.clone().oneshot(by(user, Unsync::default()));
        tokio::spawn(async move { answer.await.unwrap().status() }).await.unwrap()
    };
    assert_eq!(ask("ada").await, StatusCode::OK);
    assert_eq!(ask("ada").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(ask("bob").await, StatusCode::OK);
}
