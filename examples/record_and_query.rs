//! How do I record events and query them later? SQLite in a directory, fifteen lines.
//!
//! `cargo run -p picarcade-examples --example record_and_query`

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use picarcade_analytics::{ClassificationEvent, Config, Event, Period, Recorder, SqliteStore, Store};

#[tokio::main]
#[allow(clippy::print_stdout)]
async fn main() -> anyhow::Result<()> {
    let directory = std::env::temp_dir().join("picarcade-record-and-query");
    let store = Arc::new(SqliteStore::open(&directory).await?);
    let recorder = Recorder::start(Arc::clone(&store) as Arc<dyn Store>, Config::default());

    for n in 0..100_u32 {
        recorder.record(Event::Classification(ClassificationEvent {
            user_id: "ann".into(),
            prompt: format!("make the sky purple, take {n}").into(),
            prompt_is_whole: true,
            media_facts: Some(1),
            classified_workflow: "EDIT_IMAGE".into(),
            confidence: 0.93,
            processing_time_ms: f64::from(n) / 10.0,
            used_fallback: false,
            cache_hit: n > 0,
            circuit_breaker_state: "closed".into(),
            rate_limited: false,
            source: "llm".into(),
            model: "flux-kontext-max".into(),
            cost_micros: 0,
            saved_micros: 20_000,
            reason: "ai".into(),
            request_id: None,
        }));
    }
    recorder.flush().await?;

    let statistics = store.statistics(Period::Hour, SystemTime::now()).await?;
    println!("{}", serde_json::to_string_pretty(&statistics)?);
    println!("{:?}", recorder.shutdown(Duration::from_secs(5)).await);
    Ok(())
}
