//! Examples of the operator teach the service, are replaced while it runs, and are checked by a
//! command.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command_line::run;
use crate::service::{Service, until};

const EDIT: &str = r#"{"prompt": "product spin for the shop page", "active_image": true, "goal": "edit"}"#;
const VIDEO: &str =
    r#"{"prompt": "product spin for the shop page", "active_image": true, "expected": "IMAGE_TO_VIDEO"}"#;
const WRONG: &str = r#"{"prompt": "product spin", "expected": "IMAGE_TO_VIDEO"}"#;

/// Replaces a file atomically: a reader sees the old one or the new one.
fn replace(file: &std::path::Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

async fn flow(service: &Service) -> Value {
    service.get("/health/detailed").await["components"]["flow"].clone()
}

#[tokio::test]
async fn examples_are_replaced_while_the_service_runs_and_no_old_answer_is_served() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("examples.jsonl");
    std::fs::write(&file, EDIT).unwrap();
    let environment = [("PICARCADE_EXAMPLES", file.to_str().unwrap())];
    let service = Service::start_in(directory, &environment, &[]).await;
    let version = async || flow(&service).await["details"]["examples"]["version"].clone();
    until("the first examples are in force", async || version().await.is_string()).await;
    let first = version().await;
    let body = json!({"prompt": "a product spin for our shop page", "active_image": true,
        "working_image": "https://example.com/a.png"});
    let answer = service.process(body.clone()).await;
    assert_eq!((&answer["prompt_type"], &answer["source"]), (&json!("EDIT_IMAGE"), &json!("local")));
    assert!(answer["reasoning"].as_str().unwrap().starts_with("examples: line 1 asks for edit"), "{answer}");
    assert_eq!(service.process(body.clone()).await["cache"]["intent"], "l1");

    replace(&file, &format!("{VIDEO}\n{WRONG}"));
    service.signal("HUP");
    until("the wrong examples are refused", async || flow(&service).await["last_error"] == "rules_refused")
        .await;
    assert_eq!(version().await, first);
    assert_eq!(service.process(body.clone()).await["prompt_type"], "EDIT_IMAGE");

    replace(&file, &format!("\u{feff}{VIDEO}\r\n"));
    until("the new examples are in force", async || version().await != first).await;
    let answer = service.process(body).await;
    assert_eq!(
        (&answer["prompt_type"], &answer["cache"]["intent"]),
        (&json!("IMAGE_TO_VIDEO"), &json!("miss"))
    );
    assert_eq!(flow(&service).await["details"]["rules_refused"], false);
}

#[tokio::test]
async fn a_wrong_file_is_refused_at_the_start_and_by_commands_that_classify() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("examples.jsonl");
    let environment = [("PICARCADE_EXAMPLES", file.to_str().unwrap())];
    let labeled = directory.path().join("labeled.jsonl");
    std::fs::write(&labeled, EDIT).unwrap();
    let utf16: Vec<u8> = VIDEO.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let many = format!("{EDIT}\n").repeat(100_000);
    for (bytes, words) in [
        (WRONG.as_bytes(), "line 1, column right_type: IMAGE_TO_VIDEO is not possible"),
        (b"", "no examples"),
        (&utf16, "UTF-16"),
        (
            format!("{EDIT}\n{VIDEO}").as_bytes(),
            "line 2, column prompt: the same words and media as in line 1",
        ),
        (many.as_bytes(), "line 5001, column 1: more than 5000 examples"),
    ] {
        std::fs::write(&file, bytes).unwrap();
        for command in [
            &["serve", "--listen", "127.0.0.1:0"][..],
            &["classify", "x"],
            &["evaluate", labeled.to_str().unwrap()],
        ] {
            let run = run(&directory, &environment, command).await;
            let begin = format!("error: examples (environment PICARCADE_EXAMPLES): {}: ", file.display());
            assert_eq!((run.code, run.err.lines().count()), (2, 1), "{words}: {}", run.err);
            assert!(run.err.starts_with(&begin) && run.err.contains(words), "{}", run.err);
        }
    }
}

#[tokio::test]
async fn commands_classify_with_the_examples() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("examples.csv");
    std::fs::write(&file, "prompt,facts,right_type\r\nproduct spin for the shop page,i,EDIT_IMAGE\r\n")
        .unwrap();
    let environment = [("PICARCADE_EXAMPLES", file.to_str().unwrap())];
    let command = ["classify", "product spin for our shop page", "--active-image", "--json"];
    let taught = run(&directory, &environment, &command).await;
    let answer: Value = serde_json::from_str(&taught.out).unwrap();
    assert_eq!(answer["prompt_type"], "EDIT_IMAGE");
    assert!(answer["reasoning"].as_str().unwrap().starts_with("examples: line 2 asks"), "{answer}");
}

#[tokio::test]
async fn a_check_reports_problems_conflicts_and_effects() {
    let directory = TempDir::new().unwrap();
    let (file, labeled) = (directory.path().join("examples.jsonl"), directory.path().join("labeled.jsonl"));
    let (path, set) = (file.to_str().unwrap(), labeled.to_str().unwrap());
    std::fs::write(&file, format!("{EDIT}\n{WRONG}\n[]\n{VIDEO}\n{EDIT}\n")).unwrap();
    let wrong = run(&directory, &[], &["examples", "check", path]).await;
    assert_eq!((wrong.code, wrong.out.lines().count()), (1, 4), "{}", wrong.out);
    for (line, begin) in wrong.out.lines().zip([
        "line 2, column right_type: ",
        "line 3, column 1: invalid type",
        "line 4, column prompt: the same words",
        "line 5, column prompt, warning: a repetition of line 1",
    ]) {
        assert!(line.starts_with(&format!("{path}: {begin}")), "{line}");
    }

    let other = r#"{"prompt": "the product spin, shop page", "active_image": true, "goal": "create_video"}"#;
    std::fs::write(&file, format!("{EDIT}\n{other}\n")).unwrap();
    let conflict = run(&directory, &[], &["examples", "check", path]).await;
    assert_eq!(conflict.code, 0, "{}", conflict.out);
    assert!(
        conflict.out.contains("line 2, column prompt, warning: nearly the words of line 1"),
        "{}",
        conflict.out
    );
    assert!(conflict.out.contains("is right about 1 of 2 examples without them"), "{}", conflict.out);
    assert!(conflict.out.lines().last().unwrap().contains("2 examples, version "), "{}", conflict.out);

    std::fs::write(&file, EDIT).unwrap();
    let rows = [
        r#"{"prompt": "a product spin for our shop page", "active_image": true, "goal": "edit"}"#,
        r#"{"prompt": "product spin for the shop page!", "active_image": true, "goal": "create_video"}"#,
        r#"{"prompt": "remove the moving truck", "active_image": true, "goal": "edit"}"#,
    ];
    std::fs::write(&labeled, rows.join("\n")).unwrap();
    let effects = run(&directory, &[], &["examples", "check", path, "--evaluate", set]).await;
    assert_eq!(effects.code, 0, "{}", effects.err);
    assert!(
        effects.out.contains("line 1, better: IMAGE_TO_VIDEO becomes EDIT_IMAGE by the example in line 1"),
        "{}",
        effects.out
    );
    assert!(effects.out.contains("line 2, worse: IMAGE_TO_VIDEO becomes EDIT_IMAGE"), "{}", effects.out);
    assert!(
        effects.out.contains("2 of 3 right without the examples, 2 with them; 1 better, 1 worse, 0 neither"),
        "{}",
        effects.out
    );

    for arguments in
        [&["examples", "check", "/nowhere"][..], &["examples", "check", path, "--evaluate", "/nowhere"]]
    {
        let missing = run(&directory, &[], arguments).await;
        assert_eq!((missing.code, missing.err.lines().count()), (2, 1), "{}", missing.err);
        assert!(missing.err.contains("/nowhere"), "{}", missing.err);
    }
}
