//! Request limits in front of an axum router: 3 requests a minute for each user, with the standard
//! header fields.
//!
//! `cargo run -p picarcade-examples --example limit_axum`, then
//! `for i in 1 2 3 4; do curl -si -H 'x-user-id: ada' localhost:3000; done`
#![allow(clippy::print_stdout, reason = "an example prints for its reader")]

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header::RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use picarcade_ratelimit::tower::{Policy, RateLimitLayer, Refusal};
use picarcade_ratelimit::{Limit, Limiter, Report, Scope, Subjects, Window, headers};

/// Counts each user. A real service takes the user from a verified token, in a layer outside of
/// this one.
#[derive(Clone)]
struct ByUser;

impl Policy<Request, Response, Infallible> for ByUser {
    fn subjects<'a>(&self, request: &'a Request) -> Subjects<'a> {
        let user = request.headers().get("x-user-id").and_then(|user| user.to_str().ok());
        Subjects::default().user(user.filter(|user| !user.is_empty()).unwrap_or("anonymous"))
    }

    fn refuse(&self, refusal: Refusal) -> Result<Response, Infallible> {
        Ok(match refusal {
            Refusal::Denied(denial) => {
                let wait = [(RETRY_AFTER, headers::retry_after(&denial))];
                let mut response = (StatusCode::TOO_MANY_REQUESTS, wait, "come back later\n").into_response();
                self.admit(&denial.report, &mut response);
                response
            }
            _ => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        })
    }

    fn admit(&self, report: &Report, response: &mut Response) {
        for (name, value) in
            [("ratelimit", headers::limit(report)), ("ratelimit-policy", headers::policy(report))]
        {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let minute = Window::Sliding(Duration::from_mins(1));
    let limiter = Limiter::builder().limit(Limit::requests(Scope::User, 3, minute)).build()?;
    let router =
        Router::new().route("/", get(|| async { "hello\n" })).layer(RateLimitLayer::new(limiter, ByUser));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}
