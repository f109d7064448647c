//! How do I record into PostgreSQL without losing rows during an outage? With a spool on disk.
//!
//! `DATABASE_URL=postgres://user:password@localhost/db cargo run -p picarcade-examples --example
//! analytics_postgres`
//!
//! It runs for a minute. Stop the database for about ten seconds meanwhile: the counters show how
//! rows move to the spool and back.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use picarcade_analytics::{
    Config, Event, HashKey, PostgresStore, Privacy, Recorder, Store, SystemPerformanceEvent,
};

#[tokio::main]
#[allow(clippy::print_stdout)]
async fn main() -> anyhow::Result<()> {
    let url = std::env::var("DATABASE_URL").context("set DATABASE_URL to a PostgreSQL database")?;
    let store = Arc::new(PostgresStore::connect(&url).await?);
    let schema = store.schema().await?;
    if !schema.is_current() {
        println!("migrating: {schema}");
        store.migrate().await?;
    }
    let config = Config {
        spool_dir: Some(std::env::temp_dir().join("picarcade-analytics-spool")),
        // Prompts are stored as keyed hashes: equal ones can be counted, and none can be read.
        privacy: Privacy::Hashed(HashKey::derive("a secret of your own")),
        retry_max: Duration::from_secs(2),
        ..Config::default()
    };
    let recorder = Recorder::try_start(store as Arc<dyn Store>, config).await?;

    for second in 0..60_u32 {
        for n in 0..1_000_u32 {
            recorder.record(Event::SystemPerformance(SystemPerformanceEvent {
                component: "example".into(),
                metric: "number".into(),
                value: f64::from(second * 1_000 + n),
                status: "healthy".into(),
                metrics: serde_json::json!({}),
            }));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let counters = recorder.counters();
        println!(
            "committed {} · queued {} · spooled {} · spooling {}",
            counters.committed,
            counters.queued,
            counters.spooled,
            recorder.spooling()
        );
    }
    println!("{:?}", recorder.shutdown(Duration::from_secs(5)).await);
    Ok(())
}
