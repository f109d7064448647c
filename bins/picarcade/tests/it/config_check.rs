//! `picarcade config`: the effective values, the offline check, and the check with connections. The
//! service logs what is in force.

use std::sync::Arc;

use picarcade_testkit::RedisServer;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::command_line::run;
use crate::database::{migrated, shared};
use crate::service::Service;

/// A server that answers every request with this status and this body, and records the requests.
async fn fixed(status: u16, body: &'static str) -> (String, Arc<parking_lot::Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 8192];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            seen.lock().push(request.lines().next().unwrap_or_default().to_owned());
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
                 connection: close\r\n\r\n{body}"
            );
            let _ = stream.write_all(head.as_bytes()).await;
        }
    });
    (url, requests)
}

fn value_of<'a>(out: &'a str, key: &str) -> &'a str {
    let line = out.lines().find(|line| line.split(' ').next() == Some(key)).unwrap();
    line.split_once(" = ").unwrap().1
}

#[tokio::test]
async fn config_shows_what_is_used_for_settings_that_are_not_set() {
    let directory = TempDir::new().unwrap();
    let local = run(&directory, &[], &["config"]).await;
    for (key, value) in [
        ("llm_provider", "none  (default)"),
        ("llm_model", "-  (default)"),
        ("llm_mode", "local  (default)"),
        ("rules", "embedded  (default)"),
        ("models", "embedded  (default)"),
    ] {
        assert_eq!(value_of(&local.out, key), value, "{}", local.out);
    }
    let database = format!("sqlite://{}/picarcade.db  (default)", directory.path().join("data").display());
    assert_eq!(value_of(&local.out, "database_url"), database);
    let openai = run(&directory, &[("OPENAI_API_KEY", "sk-secret")], &["config"]).await;
    for (key, value) in [
        ("llm_provider", "openai"),
        ("llm_mode", "llm_first"),
        ("openai_base_url", "https://api.openai.com/v1"),
        ("anthropic_base_url", "-"),
    ] {
        assert_eq!(value_of(&openai.out, key), format!("{value}  (default)"), "{}", openai.out);
    }
    assert!(value_of(&openai.out, "llm_model").starts_with("gpt-"), "{}", openai.out);
}

#[tokio::test]
async fn the_check_reads_every_file_that_the_settings_name() {
    let directory = TempDir::new().unwrap();
    let good = run(&directory, &[], &["config", "--check"]).await;
    assert_eq!((good.code, &*good.err), (0, ""));
    assert!(good.out.contains("rules") && good.out.contains("good, embedded, version "), "{}", good.out);
    assert!(!directory.path().join("data").exists(), "a check creates nothing");
    let place = |name: &str, text: &str| {
        let file = directory.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let file = place("file", "");
    for (key, variable, value, words) in [
        ("rules", "PICARCADE_RULES", place("rules.csv", "goal\nedit\n"), "missing column"),
        ("models", "PICARCADE_MODELS", place("models.toml", "models = 1"), "models.toml"),
        ("examples", "PICARCADE_EXAMPLES", place("examples.jsonl", "{\"prompt\": 1}\n"), "line 1"),
        ("examples", "PICARCADE_EXAMPLES", "/nowhere/examples.jsonl".to_owned(), "/nowhere"),
        ("data_dir", "PICARCADE_DATA_DIR", format!("{file}/data"), "is not a directory"),
        ("database_url", "DATABASE_URL", format!("sqlite://{file}/app.db"), "is not a directory"),
        ("listen", "PICARCADE_LISTEN", "0.0.0.0:8080".to_owned(), "PICARCADE_API_KEYS"),
    ] {
        let run = run(&directory, &[(variable, &*value)], &["config", "--check"]).await;
        assert_eq!((run.code, run.err.lines().count()), (2, 1), "{variable}: {}{}", run.err, run.out);
        let begin = format!("error: {key} (environment {variable}): ");
        assert!(run.err.starts_with(&begin) && run.err.contains(words), "{}", run.err);
    }
    let open = [("PICARCADE_LISTEN", "[::]:8080")];
    assert_eq!(run(&directory, &open, &["config", "--check", "--insecure"]).await.code, 0);
    assert_eq!(run(&directory, &[], &["config", "--connect"]).await.code, 2);
}

#[tokio::test]
async fn the_check_reaches_stores_and_providers_and_says_what_they_answered() {
    let directory = TempDir::new().unwrap();
    let redis = RedisServer::start().await.unwrap();
    let database = migrated(shared().await).await;
    let (models, requests) = fixed(200, r#"{"data": [{"id": "gpt-5-mini"}, {"id": "other"}]}"#).await;
    let redis_url = redis.url();
    let environment = [
        ("REDIS_URL", &*redis_url),
        ("DATABASE_URL", &*database),
        ("OPENAI_API_KEY", "sk-secret"),
        ("OPENAI_BASE_URL", &*models),
        ("LLM_MODEL", "gpt-5-mini"),
    ];
    let connect = ["config", "--check", "--connect"];
    let good = run(&directory, &environment, &connect).await;
    assert_eq!((good.code, &*good.err), (0, ""), "{}", good.out);
    for words in ["answers in ", "its schema is current", "openai accepts the key and has gpt-5-mini"] {
        assert!(good.out.contains(words), "{}", good.out);
    }
    assert_eq!(*requests.lock(), ["GET /v1/models HTTP/1.1"], "no other call");
    let behind = shared().await.create_database().await.unwrap();
    let behind = run(&directory, &[("DATABASE_URL", &*behind)], &connect).await;
    assert!(behind.code == 0 && behind.out.contains("is not that of this build"), "{}", behind.out);
}

#[tokio::test]
async fn a_part_that_does_not_answer_is_exit_code_1_and_one_that_refuses_is_2() {
    let directory = TempDir::new().unwrap();
    let connect = ["config", "--check", "--connect"];
    let jwks = async |body| fixed(200, body).await.0;
    let unauthorized = r#"{"error": {"type": "authentication_error", "message": "invalid key sk-secret"}}"#;
    let no_model = r#"{"type": "error", "error": {"type": "not_found_error", "message": "model: x"}}"#;
    let provider = async |status, body| fixed(status, body).await.0;
    let dead = "http://127.0.0.1:1".to_owned();
    for (environment, code, words) in [
        (vec![("REDIS_URL", "redis://user:sk-secret@127.0.0.1:1".to_owned())], 1, "redis_url"),
        (vec![("DATABASE_URL", "postgres://user:sk-secret@127.0.0.1:1/app".to_owned())], 1, "database_url"),
        (vec![("ANTHROPIC_BASE_URL", dead.clone())], 1, "cannot be used now: connect failure"),
        (vec![("ANTHROPIC_BASE_URL", provider(401, unauthorized).await)], 2, "refuses the key"),
        (vec![("ANTHROPIC_BASE_URL", provider(404, no_model).await)], 2, "has no model claude-"),
        (vec![("ANTHROPIC_BASE_URL", provider(500, "{}").await)], 1, "cannot be used now"),
        (vec![("PICARCADE_JWKS_URL", jwks("{}").await)], 1, "not a key set"),
        (vec![("PICARCADE_JWKS_URL", jwks(r#"{"keys": []}"#).await)], 2, "has no usable key"),
    ] {
        let mut environment: Vec<_> = environment.iter().map(|(name, value)| (*name, &**value)).collect();
        if environment[0].0 == "ANTHROPIC_BASE_URL" {
            environment.push(("ANTHROPIC_API_KEY", "sk-secret"));
        }
        let run = run(&directory, &environment, &connect).await;
        assert_eq!((run.code, run.err.lines().count()), (code, 1), "{environment:?}: {}", run.err);
        assert!(run.err.contains(words) && !run.err.contains("sk-secret"), "{}", run.err);
    }
    let silent = provider(404, "{\"detail\": \"Not Found\"}").await;
    let environment = [("ANTHROPIC_BASE_URL", &*silent), ("ANTHROPIC_API_KEY", "sk-secret")];
    let run = run(&directory, &environment, &connect).await;
    assert!(run.code == 0 && run.out.contains("are not checked"), "{}{}", run.out, run.err);
}

#[tokio::test]
async fn the_log_says_once_what_is_in_force() {
    let environment = [
        ("REDIS_URL", "redis://user:secret@127.0.0.1:1/0"),
        ("OPENAI_API_KEY", "sk-secret"),
        ("LLM_MODE", "cascade"),
        ("PICARCADE_API_KEYS", "web:secret-of-the-web-app"),
    ];
    let log = Service::start(&environment).await.log();
    let lines: Vec<Value> = log.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let [line] = lines.iter().filter(|line| line["message"] == "in force").collect::<Vec<_>>()[..] else {
        panic!("{log:#?}")
    };
    for (field, value) in [
        ("level", "INFO"),
        ("redis", "redis://(redacted)@127.0.0.1:1/0"),
        ("redis_backup", "none"),
        ("provider", "openai"),
        ("mode", "cascade"),
        ("identity", "1 API keys"),
    ] {
        assert_eq!(line[field], value, "{line}");
    }
    assert!(line["database"].as_str().unwrap().starts_with("sqlite in "), "{line}");
    assert!(line["limits"].as_str().unwrap().contains("user-requests-60s=100"), "{line}");
    for version in ["rules", "models", "local_model", "encoder"] {
        let version = line[version].as_str().unwrap();
        assert!(version.len() == 16 && version.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}");
    }
    assert!(!log.join("").contains("secret"), "{log:#?}");
}
