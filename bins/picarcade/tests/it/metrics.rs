//! `/metrics` passes Prometheus' own linter, its events add up, and its series are bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use picarcade_testkit::{MockProvider, RedisServer, Reply, stay_within_one_day};
use reqwest::Method;
use serde_json::json;

use crate::service::{Service, connected, until};

async fn scrape(service: &Service) -> String {
    service.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap()
}

/// Returns the value of each series.
fn series(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn promtool_accepts_the_metrics_and_every_part_has_some() {
    let (redis, mock) = (RedisServer::start().await.unwrap(), MockProvider::start().await.unwrap());
    mock.always(Reply::ServerError);
    let (redis_url, mock_url) = (redis.url(), mock.url());
    let environment = [
        ("REDIS_URL", &*redis_url),
        ("ANTHROPIC_API_KEY", "k"),
        ("ANTHROPIC_BASE_URL", &*mock_url),
        // The breaker is still open at this point.
        ("CIRCUIT_BREAKER_TIMEOUT", "3600"),
    ];
    stay_within_one_day();
    let service = Service::start(&environment).await;
    connected(&service).await;
    for index in 0..6 {
        let user = format!("secret-user-{index}");
        let body =
            json!({"prompt": "make the sky purple", "active_image": true, "user_id": user, "reserve": true});
        service.process(body).await;
    }
    service.request(Method::GET, "/api/v2/sessions/secret-session").send().await.unwrap();
    service.request(Method::GET, "/secret-path").send().await.unwrap();
    // The dollars are those of the last background check.
    let spent = "picarcade_budget_used_dollars{window=\"utc-day\"}";
    let found = async || series(&scrape(&service).await).get(spent).copied().unwrap_or_default();
    until("what is spent is known", async || (found().await - 0.18).abs() < 1e-9).await;
    let text = scrape(&service).await;

    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool: cargo xtask setup installs it");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");

    assert!(!text.contains("secret"), "{text}");
    let described: BTreeSet<_> =
        text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next()).collect();
    let values = series(&text);
    for name in values.keys() {
        let name = name.split('{').next().unwrap();
        let family =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(
            name.starts_with("picarcade_") && (described.contains(name) || described.contains(family)),
            "{name}"
        );
    }
    let sum = |name: &str| -> f64 {
        let of = |series: &String| series == name || series.starts_with(&format!("{name}{{"));
        values.iter().filter(|(series, _)| of(series)).map(|(_, value)| value).sum()
    };
    let places = ["committed_total", "queued_rows", "spooled_rows", "dead_lettered_total", "dropped_total"];
    let placed: f64 = places.iter().map(|place| sum(&format!("picarcade_analytics_{place}"))).sum();
    assert!(placed >= 12.0, "{text}");
    assert!((sum("picarcade_analytics_accepted_total") - placed).abs() < f64::EPSILON, "{text}");
    for (name, value) in [
        ("picarcade_budget_limit_dollars{window=\"utc-day\"}", 500.0),
        (spent, 0.18),
        ("picarcade_limiter_mode{mode=\"exact\"}", 1.0),
        ("picarcade_redis_endpoint{endpoint=\"primary\"}", 1.0),
        ("picarcade_redis_endpoint{endpoint=\"backup\"}", 0.0),
        ("picarcade_breaker_state{breaker=\"anthropic\",state=\"open\"}", 1.0),
        ("picarcade_component_status{component=\"circuit_breakers\"}", 1.0),
        ("picarcade_http_requests_total{route=\"/api/v2/process\",method=\"POST\",status=\"200\"}", 6.0),
        ("picarcade_http_requests_total{route=\"/api/v2/sessions/{id}\",method=\"GET\",status=\"404\"}", 1.0),
        ("picarcade_http_requests_total{route=\"none\",method=\"GET\",status=\"404\"}", 1.0),
    ] {
        let found = values.get(name).unwrap_or_else(|| panic!("{name} is missing:\n{text}"));
        assert!((found - value).abs() < 1e-9, "{name}: {found}");
    }
}
