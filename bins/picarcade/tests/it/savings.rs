//! What cached answers save: in the statistics, in the rows and in the metric.

use std::time::Duration;

use picarcade_testkit::{Answer, MockProvider, RedisServer, Reply, stay_within_one_day};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command_line::run;
use crate::database::{migrated, number, settled, shared};
use crate::service::{Service, connected, until};

/// The settled cost of a call with the tokens of [`paid`]: 1,000 at 0.10 and 100 at 0.50 dollars a
/// million.
const COST: u64 = 150;

/// Returns an answer of the AI with a known usage.
fn paid() -> Reply {
    let answer = Answer::of("EDIT_IMAGE").enhanced("A purple sky.").to_json();
    let body = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": answer.to_string()}],
        "usage": {"input_tokens": 1000, "output_tokens": 100},
    });
    Reply::Status { code: 200, headers: vec![], body: body.to_string() }
}

/// Returns the savings that the metric of an instance shows, in micro-dollars.
async fn metric(service: &Service) -> u64 {
    let text = service.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    let series = "picarcade_cache_saved_dollars{cache=\"intent\"} ";
    let value = text.lines().find_map(|line| line.strip_prefix(series)).unwrap();
    (value.parse::<f64>().unwrap() * 1e6).round() as u64
}

#[tokio::test]
async fn n_answers_without_a_call_save_n_times_the_settled_cost_of_one() {
    stay_within_one_day();
    let (server, redis, mock) =
        (shared().await, RedisServer::start().await.unwrap(), MockProvider::start().await.unwrap());
    let (url, redis_url, mock_url) = (migrated(server).await, redis.url(), mock.url());
    let environment = [
        ("DATABASE_URL", &*url),
        ("REDIS_URL", &*redis_url),
        ("ANTHROPIC_API_KEY", "k"),
        ("ANTHROPIC_BASE_URL", &*mock_url),
    ];
    let (one, two) = tokio::join!(Service::start(&environment), Service::start(&environment));
    connected(&one).await;
    connected(&two).await;
    let body = json!({"prompt": "make the sky purple", "active_image": true, "user_id": "ann"});

    // One call, shared by five requests.
    mock.push(paid().after(Duration::from_millis(500)));
    let asks = (0..5).map(|_| one.process(body.clone()));
    futures_util::future::join_all(asks).await;
    // Four hits in memory, and three on the other instance, the first of them in Redis.
    assert_eq!(one.post("/api/v2/classify-only", &body).await.1["cache_hit"], true);
    one.post("/api/v2/batch", &json!([body, body, body])).await;
    let written = async || redis.command(&["KEYS", "*intent*:e:*"]).await.unwrap().contains("intent");
    until("it is written", written).await;
    for expected in ["l2", "l1", "l1"] {
        assert_eq!(two.process(body.clone()).await["cache"]["intent"], expected);
    }
    assert_eq!((mock.count(), metric(&one).await, metric(&two).await), (1, (4 + 4) * COST, 3 * COST));

    // A batch of the command line: one more call, and two rows that share it.
    mock.push(paid());
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("in.jsonl");
    std::fs::write(&file, format!("{body}\n{body}\n{body}\n")).unwrap();
    let alone: Vec<_> = environment.into_iter().filter(|(name, _)| *name != "REDIS_URL").collect();
    let batch = run(&directory, &alone, &["classify", "--batch", file.to_str().unwrap()]).await;
    assert_eq!((batch.code, mock.count()), (0, 2), "{}", batch.err);

    settled(&one).await;
    settled(&two).await;
    let sum = |column: &str, table: &str| format!("SELECT sum({column}) FROM {table}");
    assert_eq!(number(server, &url, &sum("actual_cost_micros", "cost_tracking")).await, 2 * COST);
    let rows = "SELECT saved_micros, count(*) FROM intent_classification_logs GROUP BY 1 ORDER BY 1";
    let rows = server.psql_at(&url, rows).await.unwrap();
    assert_eq!(rows.trim(), format!("0|2\n{COST}|13"));
    let stats = one.get("/api/v2/stats?period=1h").await;
    let micros = |field: &Value| (field.as_f64().unwrap() * 1e6).round() as u64;
    assert_eq!(
        (micros(&stats["cost_spent"]), micros(&stats["cost_saved"])),
        (2 * COST, 13 * COST),
        "{stats}"
    );
}
