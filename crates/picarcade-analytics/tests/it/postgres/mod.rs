//! PostgreSQL: the promises, directly and behind a pooler, and the properties of this store.

mod access;
mod delivery;
mod faults;
mod maintenance;
mod reach;

use std::sync::Arc;
use std::time::Duration;

use picarcade_analytics::{PostgresOptions, PostgresStore, Store};
use picarcade_testkit::{PgBouncer, PostgresServer};

use crate::conformance::{self, Both, RawSums, Subject};

struct Postgres {
    server: PostgresServer,
    /// The pooler whose address replaces that of the server.
    bouncer: Option<PgBouncer>,
    newest: std::sync::Mutex<String>,
}

impl Postgres {
    fn new(server: PostgresServer, bouncer: Option<PgBouncer>) -> Self {
        Self { server, bouncer, newest: std::sync::Mutex::default() }
    }
}

impl Subject for Postgres {
    async fn fresh(&self) -> Arc<dyn Both> {
        let direct = self.server.create_database().await.unwrap();
        let url = match &self.bouncer {
            Some(bouncer) => direct.replace(&self.server.addr().to_string(), &bouncer.addr().to_string()),
            None => direct.clone(),
        };
        *self.newest.lock().unwrap() = direct;
        Arc::new(migrated(&url).await)
    }

    /// Creating a database takes longer, and so does truncating, because each table has many files.
    async fn emptied(&self, store: Arc<dyn Both>) -> Arc<dyn Both> {
        self.run(
            "DELETE FROM intent_classification_logs; DELETE FROM cost_tracking; DELETE FROM rollup_minutes;
             DELETE FROM rollup_hours; DELETE FROM rollup_late; DELETE FROM rollup_parts; DELETE FROM rollup_state",
        )
        .await;
        store
    }

    async fn count(&self, _: &dyn Both, table: &str) -> Option<u64> {
        Some(count(&self.server, &self.newest(), table).await)
    }

    async fn raw_sums(&self, from: i64, until: i64) -> Option<RawSums> {
        let within = within(from, until);
        let answer = self
            .run(&format!(
                "SELECT json_build_object('rows', count(*), 'confidence', coalesce(avg(confidence), 0),
                     'ms', coalesce(avg(processing_time_ms), 0), 'fallbacks', count(*) FILTER (WHERE used_fallback),
                     'hits', count(*) FILTER (WHERE cache_hit), 'limited', count(*) FILTER (WHERE rate_limited),
                     'saved', coalesce(sum(saved_micros), 0),
                     'spent', (SELECT coalesce(sum(actual_cost_micros), 0) FROM cost_tracking WHERE {within}),
                     'types', (SELECT coalesce(json_object_agg(type, n), '{{}}') FROM (
                         SELECT classified_workflow AS type, count(*) AS n FROM intent_classification_logs
                         WHERE {within} AND classified_workflow <> '' GROUP BY 1) AS types))
                 FROM intent_classification_logs WHERE {within}"
            ))
            .await;
        Some(serde_json::from_str(&answer).unwrap())
    }

    async fn rollups_with(&self, text: &str) -> Option<u64> {
        let answer = self
            .run(&format!(
                "SELECT count(*), count(*) FILTER (WHERE position(convert_to('{text}', 'UTF8') IN tally) > 0)
                 FROM (SELECT tally FROM rollup_minutes UNION ALL SELECT tally FROM rollup_parts) AS tallies"
            ))
            .await;
        let (all, with) = answer.split_once('|').unwrap();
        assert_ne!(all, "0");
        Some(with.parse().unwrap())
    }

    async fn erase(&self, from: i64, until: i64) -> bool {
        let within = within(from, until);
        self.run(&format!("DELETE FROM intent_classification_logs WHERE {within}")).await;
        self.run(&format!("DELETE FROM cost_tracking WHERE {within}")).await;
        true
    }
}

impl Postgres {
    fn newest(&self) -> String {
        self.newest.lock().unwrap().clone()
    }

    async fn run(&self, sql: &str) -> String {
        self.server.psql_at(&self.newest(), sql).await.unwrap()
    }
}

/// Returns a range of time as a condition.
fn within(from: i64, until: i64) -> String {
    format!(
        "created_at >= timestamptz 'epoch' + {from} * interval '1 microsecond'
         AND created_at < timestamptz 'epoch' + {until} * interval '1 microsecond'"
    )
}

async fn count(server: &PostgresServer, url: &str, table: &str) -> u64 {
    server.psql_at(url, &format!("SELECT count(*) FROM {table}")).await.unwrap().parse().unwrap()
}

/// Returns a store with long timeouts, because the machine may be busy.
async fn patient(url: &str) -> PostgresStore {
    let mut options = PostgresOptions::new(url).unwrap();
    options.acquire_timeout = Duration::from_secs(60);
    options.statement_timeout = Duration::from_secs(60);
    PostgresStore::connect_with(options).await.unwrap()
}

async fn migrated(url: &str) -> PostgresStore {
    let store = patient(url).await;
    store.migrate().await.unwrap();
    store
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_promises() {
    conformance::all(&Postgres::new(PostgresServer::start().await.unwrap(), None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_behind_a_pooler_keeps_the_promises() {
    let server = PostgresServer::start().await.unwrap();
    let bouncer = PgBouncer::start_with(&server, 2).await.unwrap();
    conformance::all(&Postgres::new(server, Some(bouncer))).await;
}
