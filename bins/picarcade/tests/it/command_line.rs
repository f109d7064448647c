//! The commands for people: exit codes, one clear line, no backtrace.

use std::os::unix::ffi::OsStrExt;

use serde_json::Value;
use tempfile::TempDir;

use crate::service::{Service, picarcade};

pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub async fn run(directory: &TempDir, environment: &[(&str, &str)], arguments: &[&str]) -> Run {
    let output = picarcade(directory, environment).args(arguments).output().await.unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Asserts that a call is wrong: exit code 2 and one line that contains this text.
async fn assert_wrong_call(environment: &[(&str, &str)], arguments: &[&str], contains: &str) {
    let directory = TempDir::new().unwrap();
    let run = run(&directory, environment, arguments).await;
    assert_eq!(run.code, 2, "{arguments:?}: {}", run.err);
    assert_eq!(run.err.lines().count(), 1, "{arguments:?}: {}", run.err);
    assert!(run.err.contains(contains), "{arguments:?}: {}", run.err);
}

#[tokio::test]
async fn one_prompt_is_classified_as_text_and_as_json() {
    let directory = TempDir::new().unwrap();
    let arguments = ["classify", "make the sky purple", "--active-image"];
    let readable = run(&directory, &[], &arguments).await;
    assert_eq!(readable.code, 0, "{}", readable.err);
    assert!(
        readable.out.contains("EDIT_IMAGE") && readable.out.contains("flux-kontext-max"),
        "{}",
        readable.out
    );
    let json = run(&directory, &[], &["classify", "make the sky purple", "--active-image", "--json"]).await;
    let answer: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&answer["prompt_type"], json.code), (&Value::from("EDIT_IMAGE"), 0));
}

#[tokio::test]
async fn a_wrong_call_is_one_line() {
    assert_wrong_call(&[], &["classify"], "PROMPT").await;
    assert_wrong_call(&[], &["classify", "  "], "/prompt").await;
    assert_wrong_call(&[], &["classify", &"x".repeat(8001)], "8000").await;
    assert_wrong_call(&[], &["clasify", "x"], "clasify").await;
    assert_wrong_call(&[], &["classify", "x", "--active-imagee"], "--active-imagee").await;
    assert_wrong_call(&[], &["classify", "--batch", "/nowhere/in.jsonl"], "/nowhere/in.jsonl").await;
    assert_wrong_call(&[], &["rules", "check", "/nowhere/matrix.csv"], "/nowhere/matrix.csv").await;
    assert_wrong_call(&[], &["serve", "--config", "/nowhere/picarcade.toml"], "/nowhere/picarcade.toml")
        .await;
    assert_wrong_call(&[], &["serve", "--listen", "nonsense"], "nonsense").await;
}

#[tokio::test]
async fn a_prompt_that_is_not_utf8_is_a_wrong_field() {
    let directory = TempDir::new().unwrap();
    let prompt = std::ffi::OsStr::from_bytes(b"ab\xff");
    let output = picarcade(&directory, &[]).arg("classify").arg(prompt).output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("/prompt: prompt must be UTF-8 and is not after byte 2"), "{error}");
}

#[tokio::test]
async fn rules_are_shown_and_checked() {
    let directory = TempDir::new().unwrap();
    let shown = run(&directory, &[], &["rules", "show", "--csv"]).await;
    assert_eq!(shown.code, 0);
    let file = directory.path().join("matrix.csv");
    let path = file.to_str().unwrap();
    std::fs::write(&file, &shown.out).unwrap();
    let good = run(&directory, &[], &["rules", "check", path]).await;
    assert_eq!(good.code, 0, "{}", good.out);
    std::fs::write(&file, shown.out.replacen("EDIT_IMAGE", "EDIT_IMAG", 1)).unwrap();
    let bad = run(&directory, &[], &["rules", "check", path]).await;
    assert_eq!(bad.code, 1, "{}", bad.out);
    assert!(bad.out.contains("line") && bad.out.contains("column"), "{}", bad.out);
    let table = run(&directory, &[], &["rules", "show"]).await;
    let version = table.out.lines().last().unwrap();
    assert_eq!(good.out, format!("{path}: 13 rows, {version}, good\n"));
    assert!(table.out.contains("VIDEO_EDIT_REF") && table.out.lines().count() >= 14, "{}", table.out);
}

#[tokio::test]
async fn health_exits_with_the_state_of_the_service() {
    let service = Service::start(&[]).await;
    let directory = TempDir::new().unwrap();
    assert_eq!(run(&directory, &[], &["health", "--url", &service.url]).await.code, 0);
    let gone = run(&directory, &[], &["health", "--url", "http://127.0.0.1:1"]).await;
    assert_eq!((gone.code, gone.err.lines().count()), (1, 1));
    assert_wrong_call(&[], &["health", "--url", "ftp://x"], "ftp://x").await;
}

#[tokio::test]
async fn migrate_reports_success() {
    let directory = TempDir::new().unwrap();
    assert_eq!(run(&directory, &[], &["migrate"]).await.code, 0);
}
