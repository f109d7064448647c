//! A wrong configuration is one line that names the key and its origin. Secrets are never shown.

use tempfile::TempDir;

use crate::command_line::{Run, run};
use crate::service::Service;

async fn assert_refused(environment: &[(&str, &str)], contains: &[&str]) {
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
    assert_refused(&[("INTENT_CACHE_TTL", "soon")], &["intent_cache_ttl", "environment INTENT_CACHE_TTL"])
        .await;
    assert_refused(&[("INTENT_CACHE_TTL", "-1")], &["INTENT_CACHE_TTL"]).await;
    assert_refused(&[("COST_LIMIT_PER_HOUR", "NaN")], &["COST_LIMIT_PER_HOUR"]).await;
    for tiny in ["0.0000004", "0.0000009", "1e-300", "4.9e-324", "1E-400", "-1e-9", "100000001", "inf"] {
        for key in ["COST_LIMIT_PER_HOUR", "COST_LIMIT_GLOBAL_PER_DAY"] {
            assert_refused(&[(key, tiny)], &[key, "0.000001"]).await;
        }
    }
    assert_refused(&[("RATE_LIMIT_REQUESTS_PER_MINUTE", "-5")], &["RATE_LIMIT_REQUESTS_PER_MINUTE"]).await;
    assert_refused(&[("LLM_MODE", "clever")], &["LLM_MODE", "llm_first"]).await;
    assert_refused(&[("LLM_MODE", "llm_first")], &["provider"]).await;
    assert_refused(&[("LLM_PROVIDER", "anthropic")], &["ANTHROPIC_API_KEY"]).await;
    assert_refused(&[("PICARCADE_API_KEYS", "nokey")], &["name:key"]).await;
    assert_refused(&[("PICARCADE_API_KEYS", "a:1,a:2")], &["same name"]).await;
    assert_refused(&[("DATABASE_URL", "mysql://u:hunter2@x/y")], &["DATABASE_URL", "postgres://"]).await;
    assert_refused(&[("REDIS_BACKUP_URL", "redis://x")], &["REDIS_URL"]).await;
    assert_refused(&[("PICARCADE_CORS_ORIGINS", "https://app.example/path")], &["PICARCADE_CORS_ORIGINS"])
        .await;
    assert_refused(&[("PICARCADE_JWT_ISSUER", "x")], &["PICARCADE_JWT_SECRET"]).await;
    assert_refused(&[("PICARCADE_LISTNE", "127.0.0.1:0")], &["PICARCADE_LISTNE"]).await;
}

/// A wrong value for each setting that can have one, and a part of the error.
const WRONG: &[(&str, &str, &str, &str)] = &[
    ("listen", "PICARCADE_LISTEN", "nonsense", "host and a port"),
    ("api_keys", "PICARCADE_API_KEYS", "nokey", "name:key"),
    ("jwt_secret", "PICARCADE_JWT_SECRET", "a-short-secret-of-31-characters", "at least 32 bytes"),
    ("jwks_url", "PICARCADE_JWKS_URL", "ftp://x", "http or https URL"),
    ("jwt_issuer", "PICARCADE_JWT_ISSUER", "x", "PICARCADE_JWT_SECRET or PICARCADE_JWKS_URL"),
    ("jwt_audience", "PICARCADE_JWT_AUDIENCE", "x", "PICARCADE_JWT_SECRET or PICARCADE_JWKS_URL"),
    ("cors_origins", "PICARCADE_CORS_ORIGINS", "https://app.example/path", "comma list of origins"),
    ("max_connections", "PICARCADE_MAX_CONNECTIONS", "0", "whole number of 1 or more"),
    ("max_connections_per_address", "PICARCADE_MAX_CONNECTIONS_PER_ADDRESS", "1.5", "whole number"),
    ("shutdown_timeout", "PICARCADE_SHUTDOWN_TIMEOUT", "soon", "number of seconds"),
    ("shutdown_delay", "PICARCADE_SHUTDOWN_DELAY", "-1", "number of seconds"),
    ("public_operations", "PICARCADE_PUBLIC_OPERATIONS", "perhaps", "true or false"),
    ("access_log", "PICARCADE_ACCESS_LOG", "perhaps", "true or false"),
    ("prompt_privacy", "PICARCADE_PROMPT_PRIVACY", "some", "full, truncated"),
    ("prompt_hash_key", "PICARCADE_PROMPT_HASH_KEY", "short", "at least 16 characters"),
    ("redis_url", "REDIS_URL", "redsi://:secret-words@x", "redis-sentinel://"),
    ("redis_url", "REDIS_URL", "redis://:12#secret-words@x", "percent-encoded"),
    ("redis_url", "REDIS_URL", "redis://:secret-words", "Redis URL"),
    ("redis_backup_url", "REDIS_BACKUP_URL", "redis://x", "REDIS_URL"),
    ("redis_driver", "PICARCADE_REDIS_DRIVER", "jedis", "redis or fred"),
    ("database_url", "DATABASE_URL", "mysql://u:secret-words@x/y", "postgres://"),
    ("database_url", "DATABASE_URL", "postgres://u:12#secret-words@x/y", "percent-encoded"),
    ("database_url", "DATABASE_URL", "postgres://u:secret-words", "not usable"),
    ("disk_cache_bytes", "PICARCADE_DISK_CACHE_BYTES", "1000", "16777216"),
    ("llm_provider", "LLM_PROVIDER", "clippy", "anthropic, openai"),
    ("llm_provider", "LLM_PROVIDER", "anthropic", "ANTHROPIC_API_KEY"),
    ("llm_mode", "LLM_MODE", "clever", "llm_first, cascade or local"),
    ("llm_mode", "LLM_MODE", "llm_first", "provider"),
    ("rate_limit_requests_per_minute", "RATE_LIMIT_REQUESTS_PER_MINUTE", "-5", "whole number"),
    ("rate_limit_requests_per_hour", "RATE_LIMIT_REQUESTS_PER_HOUR", "9007199254740993", "2^53"),
    ("rate_limit_global_requests_per_minute", "RATE_LIMIT_GLOBAL_REQUESTS_PER_MINUTE", "x", "whole number"),
    ("rate_limit_global_requests_per_hour", "RATE_LIMIT_GLOBAL_REQUESTS_PER_HOUR", "1e3", "whole number"),
    (
        "rate_limit_endpoint_requests_per_minute",
        "RATE_LIMIT_ENDPOINT_REQUESTS_PER_MINUTE",
        "x",
        "whole number",
    ),
    ("rate_limit_api_key_requests_per_minute", "RATE_LIMIT_API_KEY_REQUESTS_PER_MINUTE", "x", "whole number"),
    ("cost_limit_per_hour", "COST_LIMIT_PER_HOUR", "NaN", "US dollars"),
    ("cost_limit_global_per_day", "COST_LIMIT_GLOBAL_PER_DAY", "-1", "US dollars"),
    ("cost_limit_action", "COST_LIMIT_ACTION", "shout", "degrade or reject"),
    ("expected_instances", "PICARCADE_EXPECTED_INSTANCES", "0", "whole number"),
    ("reservation_ttl", "PICARCADE_RESERVATION_TTL", "0", "number of seconds"),
    ("leased_limits", "PICARCADE_LEASED_LIMITS", "no-such-limit", "global-requests-3600s"),
    ("leased_limits", "PICARCADE_LEASED_LIMITS", "global-cost-utc-day", "limits of requests"),
    ("circuit_breaker_failure_threshold", "CIRCUIT_BREAKER_FAILURE_THRESHOLD", "4294967295", "1 to 1000000"),
    ("circuit_breaker_timeout", "CIRCUIT_BREAKER_TIMEOUT", "100000", "0.001 to 86400"),
    ("circuit_breaker_success_threshold", "CIRCUIT_BREAKER_SUCCESS_THRESHOLD", "0", "1 to 1000000"),
    ("intent_cache_ttl", "INTENT_CACHE_TTL", "soon", "number of seconds"),
    ("prompt_enhancement_cache_ttl", "PROMPT_ENHANCEMENT_CACHE_TTL", "-1", "number of seconds"),
    ("model_params_cache_ttl", "MODEL_PARAMS_CACHE_TTL", "0", "number of seconds"),
    ("stats_cache_ttl", "STATS_CACHE_TTL", "inf", "number of seconds"),
    ("session_cache_ttl", "SESSION_CACHE_TTL", "1h", "number of seconds"),
    ("max_concurrent_classifications", "MAX_CONCURRENT_CLASSIFICATIONS", "-1", "whole number"),
    ("max_concurrent_classifications", "MAX_CONCURRENT_CLASSIFICATIONS", "1000001", "1 to 1000000"),
    ("classification_timeout", "CLASSIFICATION_TIMEOUT", "x", "number of seconds"),
];

type Environment = &'static [(&'static str, &'static str)];

/// Settings that need another one, by their environment, with the wrong key.
const WRONG_TOGETHER: &[(Environment, &str, &str)] = &[
    (&[("ANTHROPIC_API_KEY", "a\u{7}secret-words")], "anthropic_api_key", "header"),
    (&[("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", "nonsense")], "openai_base_url", "http"),
    (
        &[("ANTHROPIC_API_KEY", "k"), ("ANTHROPIC_BASE_URL", "http://u:secret-words@x")],
        "anthropic_base_url",
        "credentials",
    ),
    (&[("REPLICATE_API_TOKEN", "k"), ("LLM_MODEL", "no-owner")], "llm_model", "model"),
    (&[("REDIS_URL", "redis://x"), ("REDIS_BACKUP_URL", "secret-words")], "redis_backup_url", "redis://"),
];

fn assert_names(run: &Run, key: &str, origin: &str, words: &str) {
    assert_eq!((run.code, run.err.lines().count()), (2, 1), "{key}: {}", run.err);
    let begin = format!("error: {key} ({origin}): ");
    assert!(run.err.starts_with(&begin) && run.err.contains(words), "{key}: {}", run.err);
    assert!(!run.err.contains("secret-words") && !run.out.contains("secret-words"), "{}{}", run.err, run.out);
}

#[tokio::test]
async fn every_wrong_setting_names_its_key_its_origin_and_the_expected_value() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("picarcade.toml");
    for (key, variable, value, words) in WRONG {
        let environment = [(*variable, *value)];
        assert_names(
            &run(&directory, &environment, &["config"]).await,
            key,
            &format!("environment {variable}"),
            words,
        );
        std::fs::write(&file, format!("# a comment\n{key} = {value:?}\n")).unwrap();
        let by_file = run(&directory, &[], &["config", "--config", file.to_str().unwrap()]).await;
        assert_names(&by_file, key, &format!("{}:2", file.display()), words);
    }
    for (environment, key, words) in WRONG_TOGETHER {
        let (variable, _) = environment.last().unwrap();
        let run = run(&directory, environment, &["config"]).await;
        assert_names(&run, key, &format!("environment {variable}"), words);
    }
}

#[tokio::test]
async fn a_setting_that_fails_at_its_use_is_named_with_its_origin() {
    let directory = TempDir::new().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    let missing = [
        ("PICARCADE_RULES", "/nowhere/matrix.csv"),
        ("PICARCADE_MODELS", "/nowhere/models.toml"),
        ("PICARCADE_EXAMPLES", "/nowhere/examples.jsonl"),
    ];
    for (variable, value) in missing {
        let key = variable.strip_prefix("PICARCADE_").unwrap().to_lowercase();
        let run = run(&directory, &[(variable, value)], &serve).await;
        assert_names(&run, &key, &format!("environment {variable}"), value);
    }
    std::fs::write(directory.path().join("file"), "").unwrap();
    let data = directory.path().join("file/data").display().to_string();
    let database = format!("sqlite://{data}/x.db");
    for (key, variable, value) in
        [("data_dir", "PICARCADE_DATA_DIR", &data), ("database_url", "DATABASE_URL", &database)]
    {
        for command in [&serve[..], &["classify", "x"], &["migrate"]] {
            let run = run(&directory, &[(variable, value)], command).await;
            assert_names(&run, key, &format!("environment {variable}"), "database");
        }
    }
    let busy = run(&directory, &[("PICARCADE_LISTEN", &taken)], &["serve"]).await;
    assert_names(&busy, "listen", "environment PICARCADE_LISTEN", &taken);
    let busy = run(&directory, &[], &["serve", "--listen", &taken]).await;
    assert_names(&busy, "listen", "flag --listen", "in use");
}

#[tokio::test]
async fn an_empty_setting_counts_as_unset_in_file_environment_and_flag() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("picarcade.toml");
    let keys = [
        "listen",
        "api_keys",
        "admin_token",
        "jwt_secret",
        "jwks_url",
        "prompt_hash_key",
        "redis_url",
        "redis_backup_url",
        "database_url",
        "anthropic_api_key",
        "openai_api_key",
        "replicate_api_token",
    ];
    let plain = run(&directory, &[], &["config"]).await;
    for empty in ["", " ", "\t\n"] {
        let text: String =
            keys.iter().fold(String::new(), |text, key| text + &format!("{key} = {empty:?}\n"));
        std::fs::write(&file, text).unwrap();
        let environment = [("PICARCADE_JWT_SECRET", empty), ("OPENAI_API_KEY", empty)];
        let shown = run(&directory, &environment, &["config", "--config", file.to_str().unwrap()]).await;
        assert_eq!((shown.code, &shown.out), (0, &plain.out), "{empty:?}: {}", shown.err);
    }
    let service =
        Service::start_in(TempDir::new().unwrap(), &[("PICARCADE_LISTEN", "127.0.0.1:0")], &["--listen", ""]);
    assert!(service.await.address().ip().is_loopback());
}

#[tokio::test]
async fn a_password_that_is_not_percent_encoded_is_not_shown() {
    let directory = TempDir::new().unwrap();
    for separator in ["#", "?", "/", "@"] {
        for scheme in ["redis", "postgres"] {
            let variable = if scheme == "redis" { "REDIS_URL" } else { "DATABASE_URL" };
            for url in [
                format!("{scheme}://user:Hunter{separator}Two2@cache:6379/0"),
                format!("{scheme}://cache:6379/0?password=Hunter{separator}Two2"),
            ] {
                let run = run(&directory, &[(variable, &*url)], &["config"]).await;
                let all = format!("{}{}", run.out, run.err);
                assert!(!all.contains("Hunter") && !all.contains("Two2"), "{url}: {all}");
            }
        }
    }
    let run = run(&directory, &[("REDIS_URL", "redis://:Hunter#Two2@cache:6379/0")], &["config"]).await;
    assert!(run.out.contains("redis://(redacted)@cache:6379/0"), "{}", run.out);
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
        ("PICARCADE_API_KEYS", "web:hunter2-hunter2-hunter2"),
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
async fn listening_on_the_network_without_identities_is_refused() {
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
