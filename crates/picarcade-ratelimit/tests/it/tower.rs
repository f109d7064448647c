//! The layer around a real service.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use picarcade_ratelimit::tower::{Policy, RateLimitLayer, Refusal};
use picarcade_ratelimit::{Error, Limit, Limiter, Report, Scope, Subjects, headers};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::setup::{secs, sliding};

#[derive(Debug, Clone)]
struct Batch {
    user: String,
    size: u64,
}

/// A body and its headers, as an HTTP service would have them.
#[derive(Debug, PartialEq)]
struct Reply {
    status: u16,
    fields: Vec<String>,
}

#[derive(Debug, Clone)]
struct ByUser;

impl Policy<Batch, Reply, String> for ByUser {
    fn subjects<'a>(&self, request: &'a Batch) -> Subjects<'a> {
        Subjects::default().user(request.user.as_str())
    }

    fn requests(&self, request: &Batch) -> u64 {
        request.size
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
