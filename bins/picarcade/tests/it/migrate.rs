//! `picarcade migrate` behind a lock of another session: it names the session that it waits for,
//! and gives up.

use picarcade_testkit::{PostgresServer, eventually};
use tempfile::TempDir;

use crate::command_line::{Run, run};

/// The lock that excludes two migrations at the same time.
const MIGRATION_LOCK: &str = "SELECT pg_advisory_lock(1885954913, 3)";
const TABLE_LOCK: &str = "LOCK TABLE picarcade_migrations IN ACCESS EXCLUSIVE MODE";

/// The session that holds the lock: it sleeps.
const HOLDER: &str = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0";

async fn migrate(server: &PostgresServer, arguments: &[&str]) -> Run {
    let arguments = [&["migrate"], arguments].concat();
    run(&TempDir::new().unwrap(), &[("DATABASE_URL", &server.url())], &arguments).await
}

/// Migrates while a session of `url` holds `lock`. Returns the process of that session, and the
/// command.
async fn migrate_behind(server: &PostgresServer, url: &str, lock: &str) -> (String, Run) {
    let statements = format!("SET application_name = 'report'; {lock}; SELECT pg_sleep(3600)");
    let test = async {
        let mut process = String::new();
        eventually("the lock is held", async || {
            process = server.psql(HOLDER).await.unwrap();
            !process.is_empty()
        })
        .await;
        let migrated = migrate(server, &["--lock-timeout", "5"]).await;
        (process, migrated)
    };
    tokio::select! {
        ended = server.psql_at(url, &statements) => panic!("the lock was not kept: {ended:?}"),
        done = test => done,
    }
}

#[tokio::test]
async fn a_migration_behind_another_one_names_it_and_gives_up() {
    let server = PostgresServer::start().await.unwrap();
    let (process, migrated) = migrate_behind(&server, &server.url(), MIGRATION_LOCK).await;
    assert_eq!((migrated.code, &*migrated.out), (1, ""), "{}", migrated.err);
    let holder = format!("process {process} (user ");
    let lines: Vec<_> = migrated.err.lines().filter(|line| line.contains(&holder)).collect();
    let [waits, gave_up] = *lines else { panic!("{}", migrated.err) };
    assert!(waits.contains("the migration waits for a lock"), "{waits}");
    assert!(gave_up.starts_with("error: ") && gave_up.contains("gave up after 5s"), "{gave_up}");
    assert!(gave_up.contains("application report"), "{gave_up}");
}

#[tokio::test]
async fn a_migration_behind_a_lock_of_a_superuser_on_a_table_gives_up_too() {
    let server = PostgresServer::start().await.unwrap();
    let migrated = migrate(&server, &[]).await;
    assert_eq!(migrated.code, 0, "{}", migrated.err);
    let superuser = server.superuser_url();
    let (process, migrated) = migrate_behind(&server, &superuser, TABLE_LOCK).await;
    assert_eq!(migrated.code, 1, "{}", migrated.err);
    let holder = format!("process {process} (user ");
    assert_eq!(migrated.err.lines().filter(|line| line.contains(&holder)).count(), 2, "{}", migrated.err);
}

#[tokio::test]
async fn a_migration_goes_on_when_the_lock_is_released() {
    let server = PostgresServer::start().await.unwrap();
    let statements = format!("{MIGRATION_LOCK}; SELECT pg_sleep(3600)");
    let released = async {
        eventually("the migration waits", async || server.psql(WAITING).await.unwrap() == "1").await;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        server.psql(end).await.unwrap();
    };
    let url = server.url();
    let behind = async {
        eventually("the lock is held", async || !server.psql(HOLDER).await.unwrap().is_empty()).await;
        tokio::join!(migrate(&server, &["--lock-timeout", "600"]), released).0
    };
    let (held, migrated) = tokio::join!(server.psql_at(&url, &statements), behind);
    assert!(held.is_err(), "the session was not ended");
    assert_eq!((migrated.code, &*migrated.out), (0, "the database is up to date\n"), "{}", migrated.err);
}

#[tokio::test]
async fn a_lock_timeout_that_cannot_be_is_a_wrong_call() {
    let server = PostgresServer::start().await.unwrap();
    for wrong in ["0", "601", "-1", "soon"] {
        let migrated = migrate(&server, &["--lock-timeout", wrong]).await;
        assert_eq!((migrated.code, migrated.err.lines().count()), (2, 1), "{wrong}: {}", migrated.err);
    }
}
