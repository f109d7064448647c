//! The policy for HTTP: a closure says what a request is charged to, and the responses follow the
//! standards.

use std::fmt;

use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode};

use super::charge::Charge;
use super::policy::{Policy, Refusal};
use crate::{Denial, Error, Report, headers};

/// The problem type of a reached limit, which draft-ietf-httpapi-ratelimit-headers registers.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// The policy for HTTP services: axum, hyper, tonic and every other one whose requests are
/// [`http::Request`].
///
/// The closure returns what a request is charged to. Take the caller from what an outer layer has
/// verified (an extension of the request, as below), never from a field that the caller chooses.
///
/// | decision | response |
/// | --- | --- |
/// | admitted | that of the service, with `RateLimit-Policy` and `RateLimit` |
/// | denied | 429 with these two fields, `Retry-After`, and `application/problem+json` (RFC 9457) |
/// | a subject is empty or too long | 400 |
/// | the limiter cannot decide | 503 with `Retry-After` |
///
/// To write other bodies, implement [`Policy`] and use [`headers::write_denial`].
///
/// ```
/// use std::time::Duration;
/// use axum::{Router, extract::Request, routing::get};
/// use picarcade_ratelimit::tower::{Charge, HttpPolicy, RateLimitLayer};
/// use picarcade_ratelimit::{Limit, Limiter, Scope, Subjects, Window};
///
/// /// The verified caller, which an outer layer inserts.
/// #[derive(Clone)]
/// struct Caller(String);
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let minute = Window::Sliding(Duration::from_secs(60));
/// let limiter = Limiter::builder().limit(Limit::requests(Scope::User, 100, minute)).build()?;
/// let policy = HttpPolicy::new(|request: &Request| {
///     let caller = request.extensions().get::<Caller>();
///     Charge::to(Subjects::default().user(caller.map_or("anonymous", |caller| &caller.0)))
/// });
/// let router: Router = Router::new()
///     .route("/", get(|| async { "hello" }))
///     .layer(RateLimitLayer::new(limiter, policy));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct HttpPolicy<F> {
    charge: F,
}

impl<F> HttpPolicy<F> {
    /// Creates a policy that charges each request to what `charge` returns. Name the type of the
    /// request in the closure, as in `|request: &axum::extract::Request| …`.
    pub fn new<B>(charge: F) -> Self
    where
        F: for<'a> Fn(&'a Request<B>) -> Charge<'a>,
    {
        Self { charge }
    }
}

impl<F> fmt::Debug for HttpPolicy<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpPolicy").finish_non_exhaustive()
    }
}

impl<F, B, R, E> Policy<Request<B>, Response<R>, E> for HttpPolicy<F>
where
    F: for<'a> Fn(&'a Request<B>) -> Charge<'a>,
    R: From<String>,
{
    fn charge<'a>(&self, request: &'a Request<B>) -> Charge<'a> {
        (self.charge)(request)
    }

    fn refuse(&self, refusal: Refusal) -> Result<Response<R>, E> {
        Ok(match refusal {
            Refusal::Denied(denial) => denied(&denial),
            Refusal::Failed(Error::Invalid { field, reason }) => {
                problem(StatusCode::BAD_REQUEST, "about:blank", &format!("{field} {reason}"), "")
            }
            Refusal::Failed(_) => {
                let detail = "the limits cannot be decided now";
                let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, "about:blank", detail, "");
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                response
            }
        })
    }

    fn admit(&self, report: &Report, response: &mut Response<R>) {
        headers::write(response.headers_mut(), report);
    }
}

fn denied<R: From<String>>(denial: &Denial) -> Response<R> {
    let names: Vec<String> = denial.violated.iter().map(|status| format!("\"{}\"", status.name)).collect();
    let violated = format!(",\"violated-policies\":[{}]", names.join(","));
    let mut response =
        problem(StatusCode::TOO_MANY_REQUESTS, QUOTA_EXCEEDED, "a limit is reached", &violated);
    headers::write_denial(response.headers_mut(), denial);
    response
}

/// Returns a problem (RFC 9457). No text in it needs to be escaped: all are constants of this crate
/// and names of limits, which have no such characters.
fn problem<R: From<String>>(status: StatusCode, kind: &str, detail: &str, more: &str) -> Response<R> {
    let (code, title) = (status.as_u16(), status.canonical_reason().unwrap_or_default());
    let body = format!(
        "{{\"type\":\"{kind}\",\"title\":\"{title}\",\"status\":{code},\"detail\":\"{detail}\"{more}}}"
    );
    let mut response = Response::new(R::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}
