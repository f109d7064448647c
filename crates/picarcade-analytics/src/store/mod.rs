//! What a store promises, and the three stores that exist.

mod generation;
mod schema;
mod session;
#[allow(clippy::module_inception, reason = "the folder is named after its trait")]
mod store;

mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use self::generation::{GenerationRow, GenerationRows};
pub use self::memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use self::postgres::{PostgresOptions, PostgresStore};
pub use self::schema::SchemaState;
pub use self::session::{SessionRow, SessionRows};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use self::sql::Retention;
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteStore;
pub use self::store::{Maintained, Store};
