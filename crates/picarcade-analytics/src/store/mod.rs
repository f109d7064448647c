//! What a store promises, and the three stores that exist.

mod lookup;
mod schema;
#[allow(clippy::module_inception, reason = "the folder is named after its trait")]
mod store;

mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use self::lookup::{FeedbackRow, FeedbackRows, GenerationRow, GenerationRows, SessionRow, SessionRows};
pub use self::memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use self::postgres::{PostgresOptions, PostgresStore};
pub use self::schema::SchemaState;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use self::sql::Retention;
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteStore;
pub use self::store::{Maintained, Store};
