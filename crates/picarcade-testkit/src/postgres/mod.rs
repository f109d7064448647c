//! Real PostgreSQL servers and pgbouncer.

mod bouncer;
mod builder;
mod cluster;
mod probe;
mod server;

pub use bouncer::PgBouncer;
pub use builder::PostgresBuilder;
pub use server::PostgresServer;
