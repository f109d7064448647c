//! Request limits in front of an axum router: per user and per API key, free and pro plans, with
//! the standard header fields.
//!
//! `cargo run -p picarcade-examples --example limit_axum`, then
//! `for i in 1 2 3; do curl -si -H 'x-api-key: free-key' -H 'x-user-id: ada' localhost:3000; done`,
//! and the same with `pro-key`.
#![allow(clippy::print_stdout, reason = "an example prints for its reader")]

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use picarcade_ratelimit::tower::{Charge, HttpPolicy, RateLimitLayer};
use picarcade_ratelimit::{Limiter, MemoryStore, Store, Subjects};

#[derive(Clone, Copy)]
enum Plan {
    Free,
    Pro,
}

/// The verified caller. Limits must not depend on a field that the caller chooses freely.
#[derive(Clone)]
struct Caller {
    /// The name of the API key, never the key itself: it appears in the store.
    key: &'static str,
    user: String,
    plan: Plan,
}

/// The keys of the service. A real one has them in a database.
type Keys = Arc<[(&'static str, &'static str, Plan)]>;

/// Returns the caller of a request with a known key.
fn caller(keys: &Keys, request: &Request) -> Option<Caller> {
    let field = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let given = field("x-api-key")?;
    let (_, key, plan) = keys.iter().copied().find(|(secret, ..)| *secret == given)?;
    // A caller with a key may name its end user. Users of different keys are different users.
    let user = format!("{key}/{}", field("x-user-id").unwrap_or("anonymous"));
    Some(Caller { key, user, plan })
}

/// Rejects unknown keys, and tells the inner layers who calls.
async fn identify(State(keys): State<Keys>, mut request: Request, next: Next) -> Response {
    let Some(caller) = caller(&keys, &request) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // One store for all plans: a customer who changes the plan keeps the counts, and the last limit
    // holds over all plans.
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(65_536, 65_536));
    let plan = |user: &str, key: &str| -> anyhow::Result<Limiter> {
        let limits = [user.parse()?, key.parse()?, "global 10000/1m".parse()?];
        Ok(Limiter::builder().limits(limits).store(Arc::clone(&store)).build()?)
    };
    let free = plan("user 2/1m", "api_key 3/1m")?;
    let pro = plan("user 20/1m", "api_key 1000/1m")?;

    let policy = HttpPolicy::new(move |request: &Request| {
        let Some(caller) = request.extensions().get::<Caller>() else {
            return Charge::to(Subjects::default());
        };
        let charge = Charge::to(Subjects::default().user(&*caller.user).api_key(caller.key));
        match caller.plan {
            Plan::Free => charge, // the limiter of the layer
            Plan::Pro => charge.limiter(&pro),
        }
    });

    let keys: Keys = Arc::new([("free-key", "acme", Plan::Free), ("pro-key", "globex", Plan::Pro)]);
    let router = Router::new()
        .route("/", get(|| async { "hello\n" }))
        .layer(RateLimitLayer::new(free, policy))
        // The last layer is the outermost: it runs before the limits.
        .layer(from_fn_with_state(keys, identify));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}
