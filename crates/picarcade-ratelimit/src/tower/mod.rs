//! A tower layer that asks a limiter before each request.
//!
//! A [`Policy`] decides what a request is charged to, how a refusal is answered, and what becomes
//! of the report. [`HttpPolicy`] is the policy for HTTP: it answers 429 and writes the
//! [header fields](crate::headers). Other protocols implement [`Policy`].
//!
//! Layers inside of this one do not run for a denied request. Layers outside of it do (tracing,
//! identity). If a caller leaves while the limiter decides, the request may be charged, but never
//! against only some of the limits.
//!
//! The layer charges prices that are known before the call ([`Charge::demand`]). If the cost of a
//! call is known only afterwards, the handler calls
//! [`Limiter::acquire`](crate::Limiter::acquire) where the paid call is made, and settles there.

mod charge;
mod http;
mod layer;
mod policy;

pub use self::charge::Charge;
pub use self::http::HttpPolicy;
pub use self::layer::{RateLimit, RateLimitLayer};
pub use self::policy::{Policy, Refusal};
