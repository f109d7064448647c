//! A PostgreSQL that all harmless tests share, with a migrated database for each test.

use picarcade_testkit::PostgresServer;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::command_line::run;
use crate::service::{Service, until};

/// The tables that a request writes rows to.
pub const TABLES: [&str; 3] = ["intent_classification_logs", "model_selection_logs", "cost_tracking"];

static SHARED: OnceCell<PostgresServer> = OnceCell::const_new();

/// The shared server.
pub async fn shared() -> &'static PostgresServer {
    SHARED.get_or_init(async || PostgresServer::start().await.unwrap()).await
}

/// Creates a migrated database on the shared server, and returns its URL.
pub async fn migrated(server: &PostgresServer) -> String {
    let url = server.create_database().await.unwrap();
    let migration = run(&TempDir::new().unwrap(), &[("DATABASE_URL", &url)], &["migrate"]).await;
    assert_eq!(migration.code, 0, "{}", migration.err);
    url
}

/// Returns one number.
pub async fn number(server: &PostgresServer, url: &str, sql: &str) -> u64 {
    server.psql_at(url, sql).await.unwrap().parse().unwrap()
}

/// Returns the number of rows and the number of distinct rows.
pub async fn rows(server: &PostgresServer, url: &str) -> (u64, u64) {
    let ids = TABLES.map(|table| format!("SELECT id FROM {table}")).join(" UNION ALL ");
    let all = number(server, url, &format!("SELECT count(*) FROM ({ids}) AS rows")).await;
    let different = number(server, url, &format!("SELECT count(DISTINCT id) FROM ({ids}) AS rows")).await;
    (all, different)
}

/// Waits until no event is queued or spooled, and returns the counters.
pub async fn settled(service: &Service) -> Value {
    let mut counters = Value::Null;
    until("every event has arrived", async || {
        counters = service.events().await;
        counters["queued"] == 0 && counters["spooled"] == 0
    })
    .await;
    counters
}
