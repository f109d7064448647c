//! Leases: an instance debits a chunk of a limit in advance and admits from it without asking the
//! store.

mod leased;
mod leases;

mod chunk;
mod lender;
mod place;

pub(crate) use leased::Leased;
pub use leases::Leases;
