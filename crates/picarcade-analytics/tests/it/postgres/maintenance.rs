//! Maintenance: roll-ups, partitions and retention, by several instances and with wrong clocks.

use std::time::{Duration, SystemTime};

use picarcade_analytics::{
    ClassificationEvent, Event, FeedbackRows, Period, PostgresOptions, PostgresStore, Retention, SchemaState,
    Store, new_id,
};
use picarcade_testkit::{PgBouncer, PostgresServer, stay_within_one_day};
use uuid::Uuid;

use super::{count, migrated, patient};
use crate::events::{NOW, at, classification, feedback, mixed, time};

#[tokio::test]
async fn instances_migrate_and_maintain_at_once() {
    let server = PostgresServer::start().await.unwrap();
    let bouncer = PgBouncer::start(&server).await.unwrap();
    let mut tasks = Vec::new();
    for n in 0..4 {
        let url = if n % 2 == 0 { server.url() } else { bouncer.url() };
        tasks.push(tokio::spawn(async move {
            let store = migrated(&url).await;
            for round in 0..5 {
                let rows: Vec<_> =
                    (0..50).map(|n| at(NOW - n * 3_000_000 - round, mixed(n as usize))).collect();
                store.write(&rows).await.unwrap();
                match store.maintain(time(NOW)).await {
                    Ok(_) => {}
                    // A wait for the transaction of another instance may time out, which loses
                    // nothing.
                    Err(error) => assert!(error.is_transient(), "{error:?}"),
                }
            }
            store
        }));
    }
    let mut stores = Vec::new();
    for task in tasks {
        stores.push(task.await.unwrap());
    }
    for store in &stores {
        store.maintain(time(NOW)).await.unwrap();
        assert_eq!(
            store.statistics(Period::Hour, time(NOW)).await.unwrap().total_classifications,
            4 * 5 * 35
        );
    }
    assert_eq!(count(&server, &server.url(), "rollup_late").await, 0);
}

#[tokio::test]
async fn the_watermark_waits_for_writers_that_began_before_it() {
    let server = PostgresServer::start().await.unwrap();
    let mut options = PostgresOptions::new(&server.url()).unwrap();
    options.acquire_timeout = Duration::from_secs(60);
    options.lock_timeout = Duration::from_millis(200);
    let store = PostgresStore::connect_with(options).await.unwrap();
    store.migrate().await.unwrap();
    store.write(&[at(NOW - 1, mixed(3)), at(NOW - 600_000_000, mixed(4))]).await.unwrap();

    // A slow writer has taken the lock and written the rows, but has not committed.
    let slow = sqlx::PgPool::connect(&server.url()).await.unwrap();
    let mut transaction = slow.begin().await.unwrap();
    sqlx::raw_sql("SELECT pg_advisory_xact_lock_shared(1885954913, 1)")
        .execute(&mut *transaction)
        .await
        .unwrap();
    sqlx::raw_sql(
        "INSERT INTO intent_classification_logs SELECT gen_random_uuid(), user_id, prompt, classified_workflow, confidence,
             processing_time_ms, used_fallback, cache_hit, circuit_breaker_state, rate_limited, source, model, cost_micros,
             saved_micros, duration_bucket, created_at
         FROM intent_classification_logs",
    )
    .execute(&mut *transaction)
    .await
    .unwrap();

    // All minutes with rows are over at this time.
    let later = time(NOW + 60_000_000);
    let error = store.maintain(later).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    transaction.commit().await.unwrap();
    assert_eq!(store.maintain(later).await.unwrap().minutes_rolled_up, 2);
    assert_eq!(store.statistics(Period::Day, later).await.unwrap().total_classifications, 4);
}

#[tokio::test]
async fn partitions_are_created_ahead_and_dropped_when_old() {
    stay_within_one_day();
    let server = PostgresServer::start().await.unwrap();
    let store = migrated(&server.url()).await;
    let day = Duration::from_secs(86_400);
    let store = store.with_retention(Retention { events: Some(30 * day), rollups: None });
    let partitions = async || {
        let sql = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'cost_tracking'::regclass";
        server.psql(sql).await.unwrap().parse::<u64>().unwrap()
    };
    // There are partitions for this week and four more, and the default partition.
    assert_eq!(partitions().await, 6);
    let now = SystemTime::now();
    assert_eq!(store.maintain(now).await.unwrap().partitions_created, 0);
    // Maintenance ran ten weeks ago.
    let then = now - 70 * day;
    assert_eq!(store.maintain(then).await.unwrap().partitions_created, 4 * 5);
    let micros = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as i64;
    let rows: Vec<_> =
        (0..50).flat_map(|n| [at(micros(now) - 1_000, mixed(n)), at(micros(then), mixed(n))]).collect();
    store.write(&rows).await.unwrap();
    // Rows of a time without a partition are stored too.
    store.write(&[at(NOW, mixed(10))]).await.unwrap();
    assert_eq!(count(&server, &server.url(), "ONLY cost_tracking_default").await, 1);
    assert_eq!(count(&server, &server.url(), "cost_tracking").await, 11);

    // Two instances run at once, and each may do the work of the other.
    let other =
        patient(&server.url()).await.with_retention(Retention { events: Some(30 * day), rollups: None });
    let before = partitions().await;
    let (one, two) = tokio::join!(store.maintain(now), other.maintain(now));
    let (one, two) = (one.unwrap(), two.unwrap());
    // The partitions of five weeks are dropped; the last of them ended 42 days ago at the latest.
    assert_eq!(one.deleted + two.deleted, 4 * 5, "{one:?} {two:?}");
    assert_eq!(partitions().await, before - 5);
    assert_eq!(count(&server, &server.url(), "cost_tracking").await, 5);
    assert_eq!(count(&server, &server.url(), "ONLY cost_tracking_default").await, 0);
}

/// A day of rows arrives late and at once: more than one transaction rolls up.
#[tokio::test]
async fn a_late_day_is_rolled_up_piece_by_piece() {
    let server = PostgresServer::start().await.unwrap();
    let store = migrated(&server.url()).await;
    let day = |from: usize| (from..from + 1_400).map(|n| at(NOW - 1 - n as i64 * 60_000_000, mixed(3)));
    store.write(&day(0).take(1).collect::<Vec<_>>()).await.unwrap();
    store.maintain(time(NOW)).await.unwrap();
    store.write(&day(1).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(count(&server, &server.url(), "rollup_late").await, 1_400);
    assert_eq!(store.maintain(time(NOW)).await.unwrap().minutes_rolled_up, 1_400);
    assert_eq!(count(&server, &server.url(), "rollup_late").await, 0);
    assert_eq!(store.statistics(Period::Day, time(NOW)).await.unwrap().total_classifications, 1_401);
}

#[tokio::test]
async fn a_clock_that_is_ahead_deletes_nothing() {
    let server = PostgresServer::start().await.unwrap();
    let store = migrated(&server.url()).await;
    let now = SystemTime::now();
    let micros = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as i64;
    store.write(&(0..50).map(|n| at(micros - 1_000, mixed(n))).collect::<Vec<_>>()).await.unwrap();
    let done = store.maintain(now + Duration::from_secs(10 * 365 * 86_400)).await.unwrap();
    assert_eq!((done.deleted, done.partitions_created), (0, 0), "{done:?}");
    assert_eq!(count(&server, &server.url(), "intent_classification_logs").await, 35);
}

/// Maintenance deletes old outcomes and feedback every half minute, so it needs an index.
#[tokio::test]
async fn old_outcomes_and_feedback_are_found_by_an_index() {
    let server = PostgresServer::start().await.unwrap();
    let store = migrated(&server.url()).await;
    drop(store);
    for table in ["generation_outcomes", "generation_feedback"] {
        let plan = server
            .psql(&format!(
                "SET enable_seqscan = off;
                 EXPLAIN DELETE FROM {table} WHERE created_at < timestamptz 'epoch' + 5 * interval '1 microsecond'",
            ))
            .await
            .unwrap();
        assert!(plan.contains(&format!("{table}_age")), "{plan}");
    }
}

#[tokio::test]
async fn old_feedback_is_deleted() {
    let server = PostgresServer::start().await.unwrap();
    let store = migrated(&server.url()).await;
    let now = SystemTime::now();
    let micros = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as i64;
    let given = |at_micros| at(at_micros, Event::Feedback(feedback("u", new_id())));
    store.write(&[given(micros - 100 * 86_400_000_000), given(micros - 1)]).await.unwrap();
    store.maintain(now).await.unwrap();
    assert_eq!(count(&server, &server.url(), "generation_feedback").await, 1);
}

#[tokio::test]
async fn a_database_without_feedback_is_migrated_with_its_rows() {
    let server = PostgresServer::start().await.unwrap();
    let store = migrated(&server.url()).await;
    store.write(&(0..50).map(|n| at(NOW - 1, mixed(n))).collect::<Vec<_>>()).await.unwrap();
    server
        .psql(
            "DROP TABLE generation_feedback;
             ALTER TABLE intent_classification_logs DROP COLUMN prompt_is_whole, DROP COLUMN media_facts,
                 DROP COLUMN reason, DROP COLUMN request_id;
             DELETE FROM picarcade_migrations WHERE version > 1",
        )
        .await
        .unwrap();
    assert_eq!(store.schema().await.unwrap(), SchemaState::Behind { applied: 1, known: 3 });
    store.migrate().await.unwrap();
    store.write(&[at(NOW - 1, mixed(3)), at(NOW, Event::Feedback(feedback("u", new_id())))]).await.unwrap();
    assert_eq!(store.statistics(Period::Hour, time(NOW)).await.unwrap().total_classifications, 36);
    assert_eq!(store.feedback(time(0), Uuid::nil(), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_database_without_request_ids_is_migrated_with_its_rows() {
    let server = PostgresServer::start().await.unwrap();
    let store = migrated(&server.url()).await;
    store.write(&[at(NOW - 1, mixed(3))]).await.unwrap();
    server
        .psql(
            "ALTER TABLE intent_classification_logs DROP COLUMN reason, DROP COLUMN request_id;
             DELETE FROM picarcade_migrations WHERE version > 2",
        )
        .await
        .unwrap();
    assert_eq!(store.schema().await.unwrap(), SchemaState::Behind { applied: 2, known: 3 });
    store.migrate().await.unwrap();
    let event = ClassificationEvent { request_id: Some("id-1".into()), ..classification("u") };
    store.write(&[at(NOW, Event::Classification(event))]).await.unwrap();
    let sql =
        "SELECT coalesce(request_id, '-') || ' ' || coalesce(reason, '-') FROM intent_classification_logs
               ORDER BY created_at";
    assert_eq!(server.psql(sql).await.unwrap(), "- -\nid-1 ai");
}
