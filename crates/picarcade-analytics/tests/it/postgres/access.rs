//! What roles and newer schemas allow, and the deletion of a user.

use std::time::{Duration, SystemTime};

use picarcade_analytics::{Error, SchemaState, Store};
use picarcade_testkit::PostgresServer;

use super::{count, migrated};
use crate::events::{NOW, at, mixed};

#[tokio::test]
async fn row_level_security_is_on_everywhere() {
    let server = PostgresServer::start().await.unwrap();
    let store = migrated(&server.url()).await;
    store.write(&(0..20).map(|n| at(NOW - 1, mixed(n))).collect::<Vec<_>>()).await.unwrap();
    let open = server
        .psql(
            "SELECT string_agg(relname, ' ') FROM pg_class WHERE relnamespace = 'public'::regnamespace
             AND relkind IN ('r', 'p') AND NOT relrowsecurity",
        )
        .await
        .unwrap();
    assert_eq!(open, "");
    // A role with all rights except ownership sees no rows.
    server
        .psql("CREATE ROLE visitor LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO visitor")
        .await
        .unwrap();
    let seen =
        server.psql("SET ROLE visitor; SELECT count(*) FROM intent_classification_logs").await.unwrap();
    assert_eq!(seen, "0");
    // The role can neither make the schema look newer nor mark minutes as late.
    let denied = server.psql("SET ROLE visitor; INSERT INTO rollup_late VALUES (0)").await.unwrap_err();
    assert!(denied.to_string().contains("row-level security"), "{denied}");
    let denied = "SET ROLE visitor; INSERT INTO picarcade_migrations VALUES (99, '', now(), true, '', 0)";
    assert!(server.psql(denied).await.unwrap_err().to_string().contains("row-level security"));
    // Partitions that are created later have row-level security as well.
    let later = SystemTime::now() - Duration::from_secs(100 * 86_400);
    assert!(store.maintain(later).await.unwrap().partitions_created > 0);
    let open = "SELECT count(*) FROM pg_class WHERE relname LIKE 'cost_tracking%' AND relkind = 'r' AND NOT relrowsecurity";
    assert_eq!(server.psql(open).await.unwrap(), "0");
}

#[tokio::test]
async fn a_newer_schema_is_reported_as_ahead() {
    let server = PostgresServer::start().await.unwrap();
    let store = migrated(&server.url()).await;
    server
        .psql("INSERT INTO picarcade_migrations VALUES (99, 'from the future', now(), true, '\\x00', 0)")
        .await
        .unwrap();
    let ahead = SchemaState::Ahead { applied: 99, known: 3 };
    assert_eq!(store.schema().await.unwrap(), ahead);
    assert!(matches!(store.migrate().await, Err(Error::Schema(state)) if state == ahead));
}

#[tokio::test]
async fn a_user_of_many_rows_is_forgotten_piece_by_piece() {
    let server = PostgresServer::start().await.unwrap();
    let store = migrated(&server.url()).await;
    server
        .psql(
            "INSERT INTO intent_classification_logs SELECT gen_random_uuid(), u, 'p', 'EDIT_IMAGE', 1, 1, false, false,
                 'closed', false, 'llm', 'm', 0, 0, 9, now() - n / 3 * interval '1 microsecond'
             FROM generate_series(1, 25000) AS n, unnest(ARRAY['ann', 'bob']) AS u",
        )
        .await
        .unwrap();
    assert_eq!(store.forget_user("ann").await.unwrap(), 25_000);
    assert_eq!(
        count(&server, &server.url(), "intent_classification_logs WHERE user_id = 'bob'").await,
        25_000
    );
    assert_eq!(count(&server, &server.url(), "intent_classification_logs").await, 25_000);
}
