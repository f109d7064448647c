//! The metrics of requests. Labels are route templates, methods and status codes, which are bounded
//! sets; never a path, a user or a prompt.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use hyper::StatusCode;
use metrics::{Counter, Histogram, counter, histogram};
use parking_lot::RwLock;

use crate::telemetry::metrics::{DURATION, REQUESTS};

/// The series of one route: method, status, count and times. They are kept, so that a request does
/// not have to build their labels.
type Series = (&'static str, StatusCode, Counter, Histogram);

/// The series of the process by route. They belong to the recorder, of which a process has one.
static SERIES: LazyLock<RwLock<HashMap<Box<str>, Vec<Series>>>> = LazyLock::new(RwLock::default);

/// The measurement of one request.
#[derive(Debug)]
pub(crate) struct Measurement {
    started: Instant,
    method: &'static str,
    route: Option<MatchedPath>,
}

impl Measurement {
    pub(crate) fn begin(request: &Request) -> Self {
        let route = request.extensions().get::<MatchedPath>().cloned();
        Self { started: Instant::now(), method: method(request), route }
    }

    pub(crate) fn end(self, status: StatusCode) {
        let route = self.route.as_ref().map_or("none", MatchedPath::as_str);
        record(route, self.method, status, self.started.elapsed());
    }
}

fn record(route: &str, method: &'static str, status: StatusCode, elapsed: Duration) {
    let record = |(_, _, count, times): &Series| {
        count.increment(1);
        times.record(elapsed.as_secs_f64());
    };
    let find = |series: &&Series| series.0 == method && series.1 == status;
    if let Some(series) = SERIES.read().get(route).and_then(|of_route| of_route.iter().find(find)) {
        return record(series);
    }
    let (label, code) = (route.to_owned(), status.as_str().to_owned());
    let count = counter!(REQUESTS, "route" => label.clone(), "method" => method, "status" => code);
    // Two concurrent requests may create two handles of the same series, which does no harm.
    let series = (method, status, count, histogram!(DURATION, "route" => label));
    record(&series);
    SERIES.write().entry(route.into()).or_default().push(series);
}

/// Returns the method as a label. A client may send any word, so only the usual methods become
/// labels.
pub(crate) fn method(request: &Request) -> &'static str {
    match request.method().as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
