//! `picarcade examples export`: feedback becomes labeled prompts.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use picarcade_intent::evaluation::{Label, Labeled, read_labeled};
use picarcade_intent::{Facts, Prompt, PromptType};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command_line::{Run, run};
use crate::database::{migrated, settled, shared};
use crate::feedback::{generate, give};
use crate::service::Service;

async fn export(environment: &[(&str, &str)], service: &Service, arguments: &[&str]) -> Run {
    let arguments = [&["examples", "export"], arguments].concat();
    run(&service.directory, environment, &arguments).await
}

/// Gives feedback on one request of each kind, and returns what the export should contain.
async fn teach(service: &Service) -> Vec<Labeled> {
    let mut expected = Vec::new();
    for (prompt, facts, right_type) in [
        ("make the sky purple", Facts::default(), PromptType::NewVideo),
        ("\"quoted\",\n\t日本語", Facts::from_bits(0b0001), PromptType::EditImage),
        ("make it move", Facts::from_bits(0b0101), PromptType::EditImageRefToVideo),
        ("make it rain", Facts::from_bits(0b1010), PromptType::VideoEditRef),
    ] {
        let mut body = serde_json::to_value(facts).unwrap();
        body["prompt"] = json!(prompt);
        body["user_id"] = json!("ann");
        let id = service.process(body).await["generation_id"].as_str().unwrap().to_owned();
        let (status, answer) = give(service, &id, "ann", json!({"right_type": right_type})).await;
        assert_eq!(status, 200, "{answer}");
        expected.push(Labeled {
            prompt: Prompt::new(prompt).unwrap(),
            facts,
            label: Label::Type(right_type),
            language: String::new(),
            tag: String::new(),
            line: expected.len() as u64 + 1,
        });
    }
    settled(service).await;
    expected
}

fn read(file: &Path) -> Vec<Labeled> {
    read_labeled(file).unwrap()
}

#[tokio::test]
async fn exported_feedback_is_read_as_labeled_prompts_from_either_database() {
    let url = migrated(shared().await).await;
    for environment in [&[][..], &[("DATABASE_URL", &*url)]] {
        let service = Service::start(environment).await;
        let expected = teach(&service).await;
        let file = service.directory.path().join("examples.jsonl");
        let path = file.to_str().unwrap();
        let exported = export(environment, &service, &["--output", path, "--since", "1"]).await;
        assert_eq!((exported.code, &*exported.out), (0, ""), "{}", exported.err);
        assert_eq!(exported.err, "4 examples written\n");
        assert_eq!(read(&file), expected);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

        let printed = export(environment, &service, &[]).await;
        assert_eq!(printed.out, std::fs::read_to_string(&file).unwrap());
        let first: Value = serde_json::from_str(printed.out.lines().next().unwrap()).unwrap();
        assert_eq!(first["expected"], "NEW_VIDEO");
        assert!(first["id"].is_string() && first["decided"].is_string() && first["source"].is_string());
    }
}

#[tokio::test]
async fn an_existing_file_is_replaced_only_with_force() {
    let service = Service::start(&[]).await;
    teach(&service).await;
    let file = service.directory.path().join("examples.jsonl");
    let path = file.to_str().unwrap();
    std::fs::write(&file, "kept").unwrap();
    let refused = export(&[], &service, &["--output", path]).await;
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("--force") && refused.err.lines().count() == 1, "{}", refused.err);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");
    assert_eq!(export(&[], &service, &["--output", path, "--force"]).await.code, 0);
    assert_eq!(read(&file).len(), 4);
}

#[tokio::test]
async fn prompts_that_are_not_stored_whole_are_left_out_and_counted() {
    let environment = [("PICARCADE_PROMPT_PRIVACY", "truncated:14")];
    let service = Service::start(&environment).await;
    // Of the four prompts, one has more than fourteen characters.
    teach(&service).await;
    let exported = export(&environment, &service, &[]).await;
    assert_eq!((exported.code, exported.out.lines().count()), (0, 3), "{}", exported.err);
    assert!(exported.err.contains("1 left out"), "{}", exported.err);
    assert!(!exported.out.contains("purple"));
}

#[tokio::test]
async fn more_feedback_than_a_page_is_exported_once_each() {
    let service =
        Service::start(&[("RATE_LIMIT_REQUESTS_PER_MINUTE", "0"), ("RATE_LIMIT_REQUESTS_PER_HOUR", "0")])
            .await;
    let mut ids = Vec::new();
    for _ in 0..205 {
        let id = generate(&service, "ann").await;
        assert_eq!(give(&service, &id, "ann", json!({"right_type": "EDIT_IMAGE"})).await.0, 200);
        ids.push(id);
    }
    settled(&service).await;
    let exported = export(&[], &service, &[]).await;
    let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
    let mut found: Vec<_> = exported.out.lines().map(id).collect();
    found.sort_unstable();
    ids.sort_unstable();
    assert_eq!(found, ids);
}

#[tokio::test]
async fn a_database_that_cannot_be_read_is_one_line_and_leaves_no_file() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("examples.jsonl");
    let arguments = ["examples", "export", "--output", file.to_str().unwrap()];
    for (environment, code, contains) in [
        // The directory of the embedded database does not exist, and is not created.
        (&[][..], 2, "PICARCADE_DATA_DIR"),
        (&[("DATABASE_URL", "postgres://ann:secret@127.0.0.1:1/db")], 1, "database"),
    ] {
        let run = run(&directory, environment, &arguments).await;
        assert_eq!(run.code, code, "{}", run.err);
        assert!(run.err.contains(contains) && run.err.lines().count() == 1, "{}", run.err);
        assert!(!run.err.contains("secret") && !file.exists());
    }
    assert!(!directory.path().join("data").exists());
    for arguments in [&["examples", "export", "--force"][..], &["examples", "export", "--since", "0"]] {
        assert_eq!(run(&directory, &[], arguments).await.code, 2, "{arguments:?}");
    }
}
