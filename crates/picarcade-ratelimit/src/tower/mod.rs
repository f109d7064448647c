//! A tower layer for request limits.
//!
//! The layer asks for requests, never for dollars. The cost of a call is known where the paid call
//! is made, so that is where a reservation is held, settled and released. The layer does not know
//! HTTP. A [`Policy`] decides whose limits a request counts against, how a refusal is answered, and
//! what becomes of the report (with HTTP: the fields of [`headers`](crate::headers)).
//!
//! Layers inside of this one do not run for a denied request. Layers outside of it do (tracing,
//! identity). If a caller leaves while the limiter decides, the request may be charged, but never
//! against only some of the limits.

mod layer;
mod policy;
mod service;

pub use layer::RateLimitLayer;
pub use policy::{Policy, Refusal};
pub use service::RateLimit;
