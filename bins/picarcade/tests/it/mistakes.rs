//! Typical mistakes of operators: each one is a single line that names the setting, its origin and
//! what was expected, or a warning, or is repaired.

use serde_json::json;
use tempfile::TempDir;

use crate::command_line::run;
use crate::service::Service;

const KEY: &str = "KeyOfTheWebApp16";

type Environment = &'static [(&'static str, &'static str)];

/// The environment, the setting of the last variable, and what the line must say. No line may
/// repeat `KeyOf`, which is in every secret here.
const REFUSED: &[(Environment, &str, &str)] = &[
    // Quotes of an env file, JSON and other lists.
    (&[("PICARCADE_API_KEYS", "\"web:KeyOfTheWebApp16\"")], "api_keys", "must not be in quotes"),
    (&[("PICARCADE_API_KEYS", "'web:KeyOfTheWebApp16'")], "api_keys", "must not be in quotes"),
    (&[("PICARCADE_API_KEYS", "web:\"KeyOfTheWebApp16\"")], "api_keys", "must not be in quotes"),
    (&[("REDIS_URL", "\"redis://cache:6379\"")], "redis_url", "must not be in quotes"),
    (&[("PICARCADE_API_KEYS", "[\"web:KeyOfTheWebApp16\"]")], "api_keys", "comma list of name:key, not JSON"),
    (&[("PICARCADE_API_KEYS", "{\"web\":\"KeyOfTheWebApp16\"}")], "api_keys", "not JSON"),
    (&[("PICARCADE_CORS_ORIGINS", "[\"https://app.example\"]")], "cors_origins", "comma list of origins"),
    (&[("PICARCADE_CORS_ORIGINS", "*")], "cors_origins", "comma list of origins"),
    (&[("PICARCADE_LEASED_LIMITS", "[\"global-requests-3600s\"]")], "leased_limits", "comma list of limits"),
    (&[("PICARCADE_API_KEYS", "web:KeyOfTheWebApp16 ios:KeyOfTheIosApp16")], "api_keys", "commas separate"),
    (&[("PICARCADE_API_KEYS", "web=KeyOfTheWebApp16")], "api_keys", "comma list of name:key"),
    // Weak and repeated keys.
    (&[("PICARCADE_TRUSTED_PROXIES", "10.0.0.0/33")], "trusted_proxies", "is not an address range"),
    (&[("PICARCADE_API_KEYS", "web:abc")], "api_keys", "the key of web must have at least 4 characters"),
    (&[("PICARCADE_API_KEYS", "web:KeyOfTheWebApp16,web:KeyOfTheIosApp16")], "api_keys", "same name"),
    (&[("PICARCADE_API_KEYS", "web:KeyOfTheWebApp16,ios:KeyOfTheWebApp16")], "api_keys", "web and ios have"),
    (&[("PICARCADE_JWT_SECRET", "KeyOf")], "jwt_secret", "at least 32 bytes"),
    // Addresses and URLs.
    (&[("PICARCADE_LISTEN", "8080")], "listen", "host and a port"),
    (&[("PICARCADE_LISTEN", "http://0.0.0.0:8080")], "listen", "host and a port"),
    (&[("REDIS_URL", "cache:6379")], "redis_url", "redis://"),
    (&[("REDIS_URL", "redis://:KeyOf#Redis@cache")], "redis_url", "percent-encoded"),
    (&[("DATABASE_URL", "postgresql+asyncpg://u:KeyOf@db/app")], "database_url", "postgres://"),
    (
        &[("OPENAI_API_KEY", KEY), ("OPENAI_BASE_URL", "https://api.openai.com/v1/chat/completions")],
        "openai_base_url",
        "it must end before the endpoint",
    ),
    (
        &[("ANTHROPIC_API_KEY", KEY), ("ANTHROPIC_BASE_URL", "https://api.anthropic.com/v1/messages")],
        "anthropic_base_url",
        "it must end before the endpoint",
    ),
    (&[("OPENAI_API_KEY", "Bearer KeyOfTheProvider")], "openai_api_key", "the key alone"),
    // Numbers, words, and settings that need another one.
    (&[("CLASSIFICATION_TIMEOUT", "30s")], "classification_timeout", "number of seconds"),
    (&[("COST_LIMIT_PER_HOUR", "$50")], "cost_limit_per_hour", "US dollars"),
    (&[("RATE_LIMIT_REQUESTS_PER_MINUTE", "100/min")], "rate_limit_requests_per_minute", "whole number"),
    (&[("PICARCADE_PUBLIC_OPERATIONS", "on")], "public_operations", "true or false"),
    (&[("LLM_MODE", "LLM_FIRST")], "llm_mode", "llm_first"),
    (&[("LLM_MODE", "cascade")], "llm_mode", "needs a provider"),
    (&[("LLM_PROVIDER", "openai")], "llm_provider", "needs OPENAI_API_KEY"),
    (&[("PICARCADE_LEASED_LIMITS", "global-request-3600s")], "leased_limits", "global-requests-3600s"),
    (&[("PICARCADE_LEASED_LIMITS", "global-requests-3600s")], "leased_limits", "needs REDIS_URL"),
    (&[("RUST_LOG", "inof")], "rust_log", "must be off, error, warn, info, debug or trace"),
    (&[("RUST_LOG", "picarcade=verbose")], "rust_log", "TARGET=LEVEL"),
];

#[tokio::test]
async fn each_mistake_is_refused_in_one_line_by_the_service_and_by_the_check() {
    let directory = TempDir::new().unwrap();
    for (environment, key, words) in REFUSED {
        let (variable, _) = environment.last().unwrap();
        for command in [&["config", "--check"][..], &["serve", "--listen", "127.0.0.1:0"]] {
            // The flag of `serve` hides what is wrong with the variable.
            if *variable == "PICARCADE_LISTEN" && command.len() > 2 {
                continue;
            }
            let run = run(&directory, environment, command).await;
            let begin = format!("error: {key} (environment {variable}): ");
            assert_eq!((run.code, run.err.lines().count()), (2, 1), "{environment:?}: {}", run.err);
            assert!(run.err.starts_with(&begin) && run.err.contains(words), "{environment:?}: {}", run.err);
            assert!(!run.err.contains("KeyOf") && !run.out.contains("KeyOf"), "{}{}", run.err, run.out);
        }
    }
}

#[tokio::test]
async fn an_unknown_variable_of_ours_is_refused_with_the_one_that_was_meant() {
    let directory = TempDir::new().unwrap();
    let run = run(&directory, &[("PICARCADE_LISTN", "127.0.0.1:0")], &["config", "--check"]).await;
    let line = "error: unknown environment variable PICARCADE_LISTN: probably PICARCADE_LISTEN was meant\n";
    assert_eq!((run.code, &*run.err), (2, line));
}

#[tokio::test]
async fn a_mistake_in_the_file_names_file_and_line() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("picarcade.toml");
    let path = file.to_str().unwrap();
    for (text, begin, words) in [
        ("\napi_keys = [\"web:abc\"]\n", format!("api_keys ({path}:2): "), "at least 4 characters"),
        ("api_keys = \"'web:KeyOfTheWebApp16'\"\n", format!("api_keys ({path}:1): "), "quotes"),
        ("api_keys = { web = \"KeyOf\" }\n", format!("api_keys ({path}:1): "), "list of strings"),
        ("redis_ulr = \"redis://cache\"\n", "unknown key \"redis_ulr\" in ".to_owned(), ":1"),
        ("listen = 0.0.0.0:8080\n", format!("{path}:1: "), ""),
        (
            "[breakers.openai]\ntimeout = \"30s\"\n",
            format!("breakers.openai.timeout ({path}:2): "),
            "seconds",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        let run = run(&directory, &[], &["config", "--check", "--config", path]).await;
        assert_eq!((run.code, run.err.lines().count()), (2, 1), "{text}: {}", run.err);
        assert!(run.err.starts_with(&format!("error: {begin}")) && run.err.contains(words), "{}", run.err);
        assert!(!run.err.contains("KeyOf"), "{}", run.err);
    }
}

/// What may be a mistake: the environment and the warning.
const WARNED: &[((&str, &str), &str)] = &[
    (
        ("REDIS_ULR", "redis://cache"),
        "environment variable REDIS_ULR is ignored: probably REDIS_URL was meant",
    ),
    (("DATABASE_ULR", "postgres://db/app"), "probably DATABASE_URL was meant"),
    (("LLM_MODL", "gpt-5-mini"), "probably LLM_MODEL was meant"),
    (("RATE_LIMIT_REQUEST_PER_MINUTE", "5"), "probably RATE_LIMIT_REQUESTS_PER_MINUTE was meant"),
    (("PICARCADE_ADMIN_TOKEN", "abc"), "admin_token (environment PICARCADE_ADMIN_TOKEN): fewer than 16"),
];

#[tokio::test]
async fn a_likely_mistake_is_one_warning_of_a_command_and_in_the_log_of_the_service() {
    let directory = TempDir::new().unwrap();
    for (variable, warning) in WARNED {
        for command in [&["config"][..], &["config", "--check"], &["classify", "a red fox"], &["migrate"]] {
            let run = run(&directory, &[*variable], command).await;
            assert_eq!((run.code, run.err.lines().count()), (0, 1), "{command:?}: {}", run.err);
            assert!(run.err.starts_with("warning: ") && run.err.contains(warning), "{}", run.err);
        }
    }
    let environment: Vec<_> = WARNED.iter().map(|(variable, _)| *variable).collect();
    let log = Service::start(&environment).await.log();
    let warnings: Vec<_> = log.iter().filter(|line| line.contains("may have a mistake")).collect();
    assert_eq!(warnings.len(), WARNED.len(), "{log:#?}");
    for (_, warning) in WARNED {
        assert!(warnings.iter().any(|line| line.contains(warning)), "{warning}: {log:#?}");
    }
}

#[tokio::test]
async fn a_line_break_at_the_end_of_a_secret_is_not_part_of_it() {
    let environment = [
        ("PICARCADE_API_KEYS", "web:KeyOfTheWebApp16\n"),
        ("PICARCADE_ADMIN_TOKEN", " TokenOfTheAdmin16\r\n"),
        ("RUST_LOG", "info\n"),
    ];
    let service = Service::start(&environment).await;
    let body = json!({"prompt": "a red fox"});
    let post = service.request(reqwest::Method::POST, "/api/v2/process").bearer_auth(KEY).json(&body);
    assert_eq!(post.send().await.unwrap().status(), 200);
    let get = service.request(reqwest::Method::GET, "/admin/config").bearer_auth("TokenOfTheAdmin16");
    assert_eq!(get.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn commands_that_ask_no_ai_need_no_settings_of_one() {
    let directory = TempDir::new().unwrap();
    let environments: [&[(&str, &str)]; 3] = [
        &[("LLM_MODE", "cascade")],
        &[("LLM_PROVIDER", "openai")],
        &[("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", "nonsense")],
    ];
    let labeled = directory.path().join("labeled.jsonl");
    std::fs::write(&labeled, "{\"prompt\": \"a red fox\", \"goal\": \"create_image\"}\n").unwrap();
    let labeled = labeled.to_str().unwrap();
    for environment in environments {
        for command in [
            &["migrate"][..],
            &["rules", "show"],
            &["evaluate", labeled],
            &["examples", "check", labeled],
            &["examples", "export"],
        ] {
            let run = run(&directory, environment, command).await;
            assert_eq!(run.code, 0, "{environment:?} {command:?}: {}", run.err);
        }
        assert_eq!(run(&directory, environment, &["classify", "a red fox"]).await.code, 2);
    }
}
