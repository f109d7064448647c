//! What an HTTP exchange says about the called service.
//!
//! | event | outcome |
//! | --- | --- |
//! | 1xx, 2xx, 3xx | success |
//! | 402, or 429 that mentions money or a quota | failure: spend limit |
//! | 408, 504, no answer in time | failure: timeout |
//! | 429 | failure: rate limited, with its `Retry-After` |
//! | 503, 529 | failure: overloaded, with its `Retry-After` |
//! | other 5xx | failure: server, with its `Retry-After` |
//! | other 4xx | neutral: a mistake of the caller |
//! | no connection, or a broken one | failure: connect |
//! | an unusable answer | failure: unusable |
//! | a request that could not be built, or was canceled by the caller | neutral |
//! | a rejection by an inner breaker, bulkhead or retry | neutral: nothing was called |
//!
//! [`Exchange`] is this table for every client: it needs a status and two facts that every client
//! has. [`Responses`] and [`Errors`] apply it to results, as classifiers for
//! [`CircuitBreaker::call_with`](crate::CircuitBreaker::call_with) and the tower layers. With the
//! feature `http` they know [`http::Response`](https://docs.rs/http), with the feature `reqwest`
//! also the responses and errors of reqwest.

mod classify;
mod exchange;
#[cfg(feature = "reqwest")]
mod reqwest;

pub use self::{
    classify::{Errors, Responses},
    exchange::{Exchange, parse_retry_after},
};
