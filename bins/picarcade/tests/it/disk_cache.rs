//! The cache on disk: answers survive a restart, and no fault of the disk stops the service.

use std::path::PathBuf;

use picarcade_testkit::{Answer, MockProvider};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::service::{AMPLE, Service, until, with};

const ANSWER: &str = "A purple sky; all else stays.";

async fn mock() -> MockProvider {
    let mock = MockProvider::start().await.unwrap();
    mock.answer_with(Answer::of("EDIT_IMAGE").enhanced(ANSWER));
    mock
}

async fn start(directory: TempDir, mock: &MockProvider, more: &[(&str, &str)]) -> Service {
    let url = mock.url();
    let environment =
        [("ANTHROPIC_API_KEY", "test-key"), ("ANTHROPIC_BASE_URL", &*url), ("PICARCADE_ADMIN_TOKEN", "root")];
    Service::start_in(directory, &with(&environment, more), &[]).await
}

async fn ask(service: &Service) -> Value {
    service.process(json!({"prompt": "make the sky purple", "active_image": true, "user_id": "ann"})).await
}

fn words(answer: &Value) -> (&str, &str) {
    let word = |level: &str| answer["cache"][level].as_str().unwrap();
    (word("intent"), word("enhancement"))
}

fn file(service: &Service) -> PathBuf {
    service.directory.path().join("data/cache/cache.redb")
}

/// Waits until the answer is on disk: its text is in the file, and a later change is durable.
async fn kept(service: &Service) {
    let (path, text) = (file(service), ANSWER.as_bytes());
    until("the answer is in the file", async || {
        let bytes = std::fs::read(&path).unwrap();
        bytes.windows(text.len()).filter(|part| *part == text).count() >= 2
    })
    .await;
    let change = service.request(Method::POST, "/admin/cache/invalidate").bearer_auth("root");
    assert_eq!(change.json(&json!({"tag": "no-such-tag"})).send().await.unwrap().status(), 200);
}

fn warnings(service: &Service, message: &str) -> usize {
    service.log().iter().filter(|line| line.contains("\"WARN\"") && line.contains(message)).count()
}

#[tokio::test]
async fn the_first_answer_after_a_stop_or_a_kill_is_a_hit_and_costs_nothing() {
    for signal in ["TERM", "KILL"] {
        let mock = mock().await;
        let mut service = start(TempDir::new().unwrap(), &mock, &[]).await;
        assert_eq!(words(&ask(&service).await), ("miss", "miss"));
        kept(&service).await;
        service.signal(signal);
        service.ended().await;

        let service = start(service.directory, &mock, &[]).await;
        let answer = ask(&service).await;
        assert_eq!(words(&answer), ("l2", "l2"), "{signal}: {answer}");
        assert_eq!((&answer["enhanced_prompt"], &answer["source"]), (&json!(ANSWER), &json!("llm")));
        assert_eq!(words(&ask(&service).await), ("l1", "l1"));
        assert_eq!(mock.count(), 1, "{signal}: one call was paid");
    }
}

#[tokio::test]
async fn a_clean_stop_keeps_an_answer_of_the_last_moment() {
    let mock = mock().await;
    let mut service = start(TempDir::new().unwrap(), &mock, &[]).await;
    ask(&service).await;
    service.signal("TERM");
    service.ended().await;
    let service = start(service.directory, &mock, &[]).await;
    assert_eq!(words(&ask(&service).await).0, "l2");
    assert_eq!(mock.count(), 1);
}

#[tokio::test]
async fn the_answers_of_a_deleted_user_do_not_come_back_after_a_kill() {
    let mock = mock().await;
    let mut service = start(TempDir::new().unwrap(), &mock, &[]).await;
    ask(&service).await;
    kept(&service).await;
    let delete = service.request(Method::DELETE, "/admin/users/ann").bearer_auth("root");
    assert!(delete.send().await.unwrap().status().is_success());
    service.signal("KILL");
    service.ended().await;

    let service = start(service.directory, &mock, &[]).await;
    assert_eq!(words(&ask(&service).await), ("miss", "miss"));
    assert_eq!(mock.count(), 2);
}

#[tokio::test]
async fn settings_switch_the_cache_on_disk_off_and_on() {
    let mock = mock().await;
    let none = ("PICARCADE_PROMPT_PRIVACY", "none");
    let size = |bytes| ("PICARCADE_DISK_CACHE_BYTES", bytes);
    for (environment, is_there) in
        [(&[size("0")][..], false), (&[none], false), (&[none, size("16777216")], true)]
    {
        let mut service = start(TempDir::new().unwrap(), &mock, environment).await;
        ask(&service).await;
        assert_eq!(file(&service).exists(), is_there, "{environment:?}");
        service.signal("TERM");
        service.ended().await;
        let service = start(service.directory, &mock, environment).await;
        assert_eq!(words(&ask(&service).await).0, if is_there { "l2" } else { "miss" });
    }
}

#[tokio::test]
async fn a_second_service_on_one_directory_runs_without_the_disk_and_logs_it_once() {
    let mock = mock().await;
    let first = start(TempDir::new().unwrap(), &mock, &[]).await;
    let data = first.directory.path().join("data");
    let shared = [("PICARCADE_DATA_DIR", data.to_str().unwrap())];
    let second = start(TempDir::new().unwrap(), &mock, &shared).await;
    assert_eq!(words(&ask(&first).await), ("miss", "miss"));
    assert_eq!(words(&ask(&second).await), ("miss", "miss"));
    assert_eq!(words(&ask(&second).await), ("l1", "l1"));
    assert_eq!(warnings(&first, "cached in memory only"), 0);
    assert_eq!(warnings(&second, "is in use by another process"), 1, "{:?}", second.log());
    assert_eq!(warnings(&second, "cached in memory only"), 1);
}

#[tokio::test]
async fn a_damaged_file_is_created_again_with_one_warning() {
    let mock = mock().await;
    let mut service = start(TempDir::new().unwrap(), &mock, &[]).await;
    ask(&service).await;
    kept(&service).await;
    service.signal("KILL");
    service.ended().await;
    let mut bytes = std::fs::read(file(&service)).unwrap();
    for byte in &mut bytes {
        *byte ^= 0x55;
    }
    std::fs::write(file(&service), bytes).unwrap();

    let service = start(service.directory, &mock, &[]).await;
    assert_eq!(words(&ask(&service).await), ("miss", "miss"));
    kept(&service).await;
    assert_eq!(warnings(&service, "the cache file is damaged"), 1, "{:?}", service.log());
    assert_eq!(mock.count(), 2);
}

#[tokio::test]
async fn a_full_disk_leaves_the_cache_in_memory_and_counts_the_errors() {
    let mock = mock().await;
    let directory = TempDir::new().unwrap();
    let place = directory.path().join("data/cache");
    std::fs::create_dir_all(&place).unwrap();
    // A small file system that ends with the process. If that is not permitted, a size limit for
    // each file replaces it.
    let preparation = format!(
        "if mount -t tmpfs -o size=512k none '{}' 2>/dev/null; then :; else trap '' XFSZ; ulimit -f 512; fi;",
        place.display()
    );
    let url = mock.url();
    let environment = [("ANTHROPIC_API_KEY", "test-key"), ("ANTHROPIC_BASE_URL", &*url)];
    let service = Service::start_alone(&preparation, directory, &with(&environment, &AMPLE)).await;
    let prompt = |number: u32| json!({"prompt": format!("paint house {number} blue"), "active_image": true});
    let mut number = 0;
    until("a call of the disk fails", async || {
        number += 1;
        assert_eq!(service.process(prompt(number)).await["source"], "llm");
        let metrics = service.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
        let errors =
            |line: &&str| line.starts_with("picarcade_cache_remote_errors_total") && !line.ends_with(" 0");
        metrics.lines().any(|line| errors(&line))
    })
    .await;
    assert_eq!(words(&service.process(prompt(number)).await).0, "l1");
    assert!(warnings(&service, "the cache on disk cannot be used") >= 1, "{:?}", service.log());
    assert!(service.log().len() < service.log_bound());
}
