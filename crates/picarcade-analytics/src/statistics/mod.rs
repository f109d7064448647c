//! Sums over rows, and the statistics that they give.

#[allow(clippy::module_inception, reason = "the folder is named after its entry type")]
mod statistics;

mod histogram;
mod tally;
mod usd;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod packed;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod stored;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use self::histogram::bucket_of_ms;
pub use self::statistics::{Period, Statistics};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use self::stored::ClassificationGroup;
pub(crate) use self::tally::Tally;
