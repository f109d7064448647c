//! Events, roll-ups and sessions in PostgreSQL: plain, on Supabase, or behind pgbouncer in
//! transaction mode.
//!
//! Behind a pooler in transaction mode, the next statement may run on another server connection.
//! Everything here therefore happens inside explicit transactions, with unnamed statements,
//! settings made by `SET LOCAL`, and advisory locks that end with their transaction.
//!
//! # Failure behavior
//!
//! An unusable URL, wrong credentials and a missing database are errors at once. If the server
//! cannot be reached, the store starts without it, writes fail as transient, and the recorder
//! spools. Every wait is bounded: for a connection, for a lock, for a statement.

mod store;

mod connect;
mod error;
mod migrate;
mod options;
mod statement;

mod insert;
mod outcome;

mod lookup;
mod sums;

mod forget;
mod maintain;
mod partition;
mod rollup;

pub use self::options::PostgresOptions;
pub use self::store::PostgresStore;
