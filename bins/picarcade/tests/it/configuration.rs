//! What is wrong in the configuration is one line that names key and origin; secrets are never shown.

use tempfile::TempDir;

use crate::command_line::run;

async fn refused(environment: &[(&str, &str)], contains: &[&str]) {
    let directory = TempDir::new().unwrap();
    for command in [&["config"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let run = run(&directory, environment, command).await;
        assert_eq!((run.code, run.err.lines().count()), (2, 1), "{environment:?}: {}", run.err);
        for part in contains {
            assert!(run.err.contains(part), "{environment:?}: {}", run.err);
        }
    }
}

#[tokio::test]
async fn unparsable_values_name_key_and_origin() {
    refused(&[("INTENT_CACHE_TTL", "soon")], &["intent_cache_ttl", "environment INTENT_CACHE_TTL"]).await;
    refused(&[("INTENT_CACHE_TTL", "-1")], &["INTENT_CACHE_TTL"]).await;
    refused(&[("COST_LIMIT_PER_HOUR", "NaN")], &["COST_LIMIT_PER_HOUR"]).await;
    for tiny in ["0.0000004", "0.0000009", "1e-300", "4.9e-324", "-1e-9", "100000001", "inf"] {
        for key in ["COST_LIMIT_PER_HOUR", "COST_LIMIT_GLOBAL_PER_DAY"] {
            refused(&[(key, tiny)], &[key, "0.000001"]).await;
        }
    }
    refused(&[("RATE_LIMIT_REQUESTS_PER_MINUTE", "-5")], &["RATE_LIMIT_REQUESTS_PER_MINUTE"]).await;
    refused(&[("LLM_MODE", "clever")], &["LLM_MODE", "llm_first"]).await;
    refused(&[("LLM_MODE", "llm_first")], &["provider"]).await;
    refused(&[("LLM_PROVIDER", "anthropic")], &["ANTHROPIC_API_KEY"]).await;
    refused(&[("PICARCADE_API_KEYS", "nokey")], &["name:key"]).await;
    refused(&[("PICARCADE_API_KEYS", "a:1,a:2")], &["same name"]).await;
    refused(&[("DATABASE_URL", "mysql://u:hunter2@x/y")], &["DATABASE_URL", "postgres://"]).await;
    refused(&[("REDIS_BACKUP_URL", "redis://x")], &["REDIS_URL"]).await;
    refused(&[("PICARCADE_CORS_ORIGINS", "https://app.example/path")], &["PICARCADE_CORS_ORIGINS"]).await;
    refused(&[("PICARCADE_JWT_ISSUER", "x")], &["PICARCADE_JWT_SECRET"]).await;
    refused(&[("PICARCADE_LISTNE", "127.0.0.1:0")], &["PICARCADE_LISTNE"]).await;
}

#[tokio::test]
async fn unusable_backends_are_one_line_without_secrets() {
    for (name, value) in [("REDIS_URL", "redsi://:hunter2@x"), ("REDIS_URL", "not a url hunter2")] {
        let directory = TempDir::new().unwrap();
        let run = run(&directory, &[(name, value)], &["serve", "--listen", "127.0.0.1:0"]).await;
        assert_eq!((run.code, run.err.lines().count()), (2, 1), "{}", run.err);
        assert!(!run.err.contains("hunter2"), "{}", run.err);
    }
}

#[tokio::test]
async fn every_value_has_an_origin_and_no_secret_is_shown() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("picarcade.toml");
    std::fs::write(&file, "llm_mode = \"local\"\n[breakers.openai]\ntimeout = 9\n").unwrap();
    let environment = [
        ("ANTHROPIC_API_KEY", "sk-hunter2"),
        ("PICARCADE_API_KEYS", "web:hunter2"),
        ("REDIS_URL", "redis://user:hunter2@cache:6379/0"),
    ];
    let run = run(&directory, &environment, &["config", "--config", file.to_str().unwrap()]).await;
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(!run.out.contains("hunter2"), "{}", run.out);
    let line =
        |key: &str| run.out.lines().find(|line| line.split(' ').next() == Some(key)).unwrap().to_owned();
    assert!(line("llm_mode").contains("picarcade.toml"));
    assert!(line("anthropic_api_key").contains("environment ANTHROPIC_API_KEY"));
    assert!(line("intent_cache_ttl").contains("3600") && line("intent_cache_ttl").contains("default"));
    assert!(line("breakers.openai.timeout").contains('9'));
}

#[tokio::test]
async fn nobody_is_let_in_from_the_network_by_accident() {
    let directory = TempDir::new().unwrap();
    let run = run(&directory, &[], &["serve", "--listen", "0.0.0.0:0"]).await;
    assert_eq!(run.code, 2);
    assert!(run.err.contains("--insecure"), "{}", run.err);
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_one_line() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let data = file.join("data");
    let run = run(&directory, &[("PICARCADE_DATA_DIR", data.to_str().unwrap())], &["classify", "x"]).await;
    assert_eq!((run.code, run.err.lines().count()), (2, 1), "{}", run.err);
    assert!(run.err.contains("database"), "{}", run.err);
}
