//! A tower layer for request limits.
//!
//! It asks for requests, never for dollars: what a call will cost is known where the paid call is made, and that is where
//! a reservation is held, settled and released. The layer knows no HTTP either. A [`Policy`] says who a request is, what a
//! refusal looks like, and what becomes of the report (with HTTP: the fields of [`headers`](crate::headers)).
//!
//! Inside of the layer is what should not run for a denied request; outside of it what should (tracing, identity). A
//! caller that goes away while the limiter decides may have been charged for the request, never for half of the limits.

mod layer;
mod policy;
mod service;

pub use layer::RateLimitLayer;
pub use policy::{Policy, Refusal};
pub use service::RateLimit;
