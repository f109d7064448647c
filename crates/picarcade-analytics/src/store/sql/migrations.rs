//! The migrations of a database.
//!
//! Both databases number their migrations from 1 and name them alike: [`SCHEMA_VERSIONS`] has the
//! names.

use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use crate::Error;
use crate::store::schema::SCHEMA_VERSIONS;

/// The table of applied migrations. It is not sqlx's default, because a database may be shared.
pub(crate) const MIGRATION_TABLE: &str = "picarcade_migrations";

/// Returns a migrator for the statements of each migration, oldest first. A released migration is
/// never changed; the next one corrects it.
pub(crate) fn migrator(migrations: &[&'static str]) -> Migrator {
    let migrations = (1..).zip(SCHEMA_VERSIONS).zip(migrations).map(|((version, name), sql)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.dangerous_set_table_name(MIGRATION_TABLE);
    migrator
}

/// Converts the error of a migration. One that failed because of the connection or a lock is
/// transient, which `error` finds out.
pub(crate) fn migration_failed(source: MigrateError, error: fn(sqlx::Error) -> Error) -> Error {
    match source {
        MigrateError::Execute(failed) | MigrateError::ExecuteMigration(failed, _) => match error(failed) {
            transient if transient.is_transient() => transient,
            other => Error::Migration { source: other.into() },
        },
        other => Error::Migration { source: other.into() },
    }
}
