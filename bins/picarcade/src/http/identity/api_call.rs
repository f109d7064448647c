//! One request to a cold route of the API, as its handler and its access layer share it.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use hyper::StatusCode;
use hyper::http::request::Parts;
use parking_lot::Mutex;
use picarcade_flow::{Caller, FlowError, FlowService, UserId};
use picarcade_ratelimit::Report;

use super::caller_limits::{READ_TIMEOUT, current_limits};
use super::presented::Presented;
use crate::http::app::App;
use crate::http::problem::Problem;

/// One request to a cold route: its credentials, its endpoint, and the limits for its response.
///
/// The access layer creates it, a handler obtains its caller from it, and the access layer writes
/// the limits of that caller into the response.
#[derive(Clone, Debug)]
pub(crate) struct ApiCall {
    presented: Presented,
    endpoint: &'static str,
    limits: Arc<Mutex<Limits>>,
}

/// What is known of the limits for the response.
#[derive(Debug)]
enum Limits {
    /// No handler has obtained a caller yet: they are the limits of the caller in the header
    /// fields.
    Unknown,
    /// They are the limits of this caller, not read yet.
    Of(Caller),
    Known(Report),
}

impl ApiCall {
    pub(crate) fn new(presented: Presented, endpoint: &'static str) -> Self {
        Self { presented, endpoint, limits: Arc::new(Mutex::new(Limits::Unknown)) }
    }

    pub(crate) const fn presented(&self) -> &Presented {
        &self.presented
    }

    /// Returns the caller. `named` is the user that a body or a query names.
    pub(crate) fn caller(&self, named: Option<&UserId>) -> Result<Caller, Problem> {
        let caller = self.presented.caller(named, self.endpoint)?;
        *self.limits.lock() = Limits::Of(caller.clone());
        Ok(caller)
    }

    /// Takes one request from the caller's limits.
    pub(crate) async fn admit(&self, flow: &FlowService, caller: &Caller) -> Result<(), Problem> {
        self.set_limits(flow.check_limits(caller).await?);
        Ok(())
    }

    /// Refuses a caller whose request limits are used up, and consumes nothing. The limits of users
    /// are checked only if the header fields decide who the user is.
    pub(crate) async fn refuse_used_up(&self, flow: &FlowService, caller: &Caller) -> Result<(), Problem> {
        let denial = flow.denial(caller, self.presented.fixes_user());
        // Without an answer in time the request goes on, because its own decision comes later.
        match tokio::time::timeout(READ_TIMEOUT, denial).await {
            Ok(Some(denial)) => Err(FlowError::Limited(Box::new(denial)).into()),
            _ => Ok(()),
        }
    }

    /// Sets the limits for the response.
    pub(crate) fn set_limits(&self, report: Report) {
        *self.limits.lock() = Limits::Known(report);
    }

    /// Returns the limits for the response.
    pub(crate) async fn limits(&self, flow: &FlowService) -> Option<Report> {
        let known = std::mem::replace(&mut *self.limits.lock(), Limits::Unknown);
        let caller = match known {
            Limits::Known(report) => return Some(report),
            Limits::Of(caller) => caller,
            Limits::Unknown => self.presented.caller(None, self.endpoint).ok()?,
        };
        current_limits(flow, &caller).await
    }
}

/// Fails on a route without the access layer, so that a forgotten layer opens nothing.
impl<S: Sync> FromRequestParts<S> for ApiCall {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let internal =
            || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the request could not be answered");
        parts.extensions.get::<Self>().cloned().ok_or_else(internal)
    }
}

/// The proof that one request was taken from the limits of the caller that the header fields name.
#[derive(Debug)]
pub(crate) struct Admitted;

impl FromRequestParts<App> for Admitted {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let call = ApiCall::from_request_parts(parts, app).await?;
        let caller = call.caller(None)?;
        call.admit(&app.flow, &caller).await?;
        Ok(Self)
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    #[tokio::test]
    async fn a_route_without_the_access_layer_fails() {
        let (mut parts, ()) = hyper::Request::new(()).into_parts();
        let problem = ApiCall::from_request_parts(&mut parts, &()).await.unwrap_err();
        assert_eq!(problem.into_response().status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
