//! Leases of request limits.

mod chunk;
mod leased;
mod leases;
mod place;
mod rule;

pub(crate) use leased::Leased;
pub use leases::Leases;
