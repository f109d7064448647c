//! The file, its connections and its migrations.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError};
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};

use super::error::{Result, SqliteError, primary_code};
use crate::store::sql::migrations::{MIGRATION_TABLE, migration_failed, migrator};
use crate::{Error, SchemaState, private_file};

/// The migrations, oldest first.
const MIGRATIONS: [&str; 3] = [
    include_str!("../../../migrations/sqlite/0001_tables.sql"),
    include_str!("../../../migrations/sqlite/0002_feedback.sql"),
    include_str!("../../../migrations/sqlite/0003_requests.sql"),
];

/// How long a statement waits for a lock of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the writing pool, which has one connection, and the reading pool.
pub(super) async fn pools(path: &Path) -> Result<(SqlitePool, SqlitePool)> {
    let file = database_file(path)?;
    create_private(&file);
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true)
        // This applies to new files: maintenance returns freed pages to the file system in pieces.
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("journal_size_limit", "67108864")
        // Deleted content is overwritten: the words of a deleted user must not stay in free pages.
        .pragma("secure_delete", "ON")
        .pragma("temp_store", "MEMORY");
    let pool = |connections| {
        SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(Duration::from_secs(10))
            .test_before_acquire(false)
    };
    let writer = pool(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options.clone())
        .await
        .map_err(|failed| unusable(&file, failed))?;
    // SQLite opens a read-only file without an error, so a write at the start detects it.
    sqlx::query("PRAGMA user_version = 1")
        .execute(&writer)
        .await
        .map_err(|failed| unusable(&file, failed))?;
    restrict(&file);
    let readers = pool(2)
        .idle_timeout(Duration::from_mins(1))
        .connect_lazy_with(options.create_if_missing(false).pragma("query_only", "ON"));
    Ok((writer, readers))
}

/// Returns the database file for `path` and creates its directory.
fn database_file(path: &Path) -> Result<PathBuf> {
    let is_directory = path.is_dir() || (!path.exists() && path.extension().is_none());
    let file = if is_directory { path.join("picarcade.db") } else { path.to_owned() };
    if let Some(directory) = file.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        private_file::create_dir_all(directory).map_err(|source| Error::directory(directory, source))?;
    }
    Ok(file)
}

/// Creates the file with mode 0600 if it does not exist, because SQLite would create it readable
/// for everyone. SQLite gives its other files the same mode. SQLite reports a failure.
fn create_private(file: &Path) {
    if private_file::options().write(true).create_new(true).open(file).is_err() {
        restrict(file);
    }
}

/// Restricts the files of a database that an earlier version may have created.
fn restrict(file: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        private_file::restrict(Path::new(&name));
    }
}

/// Returns why the file cannot be opened, in one line if its permissions are the cause.
fn unusable(file: &Path, failed: sqlx::Error) -> Error {
    match primary_code(&failed) {
        // READONLY and CANTOPEN: the operating system states the reason, SQLite does not.
        8 | 14 => {
            let source = private_file::options()
                .append(true)
                .create(true)
                .open(file)
                .err()
                .unwrap_or_else(|| std::io::ErrorKind::PermissionDenied.into());
            Error::directory(file, source)
        }
        // NOTADB
        26 => Error::Config(format!("{} is not a SQLite database", file.display())),
        _ => locked(failed),
    }
}

/// Converts an error of opening or migrating the file. A lock of another process has an error of
/// its own.
fn locked(failed: sqlx::Error) -> Error {
    match primary_code(&failed) {
        // BUSY and LOCKED
        5 | 6 => Error::Locked { held_by: "another process".to_owned(), waited: BUSY_TIMEOUT },
        _ => SqliteError::from(failed).into(),
    }
}

pub(super) async fn migrate(writer: &SqlitePool) -> Result<()> {
    match migrator(&MIGRATIONS).run(writer).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(_)) => Err(Error::Schema(schema(writer).await?).into()),
        Err(source) => Err(migration_failed(source, locked).into()),
    }
}

pub(super) async fn schema(writer: &SqlitePool) -> Result<SchemaState> {
    let failed = |source: MigrateError| Error::Migration { source: source.into() };
    let mut connection = writer.acquire().await?;
    connection.ensure_migrations_table(MIGRATION_TABLE).await.map_err(failed)?;
    let applied = connection.list_applied_migrations(MIGRATION_TABLE).await.map_err(failed)?;
    let applied = applied.iter().map(|migration| migration.version).max().unwrap_or(0);
    Ok(SchemaState::compare(applied, &MIGRATIONS))
}
