//! A file of requests: results in order, and each bad row affects no other.

use std::fmt::Write;
use std::fs::File;
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command_line::run;
use crate::service::{in_time, picarcade};
use crate::terminal::terminal;

/// Returns a thousand rows of every kind, and for each whether it is good.
fn mixed() -> (String, Vec<bool>) {
    let (mut text, mut good) = (String::new(), Vec::new());
    for row in 0..1000 {
        let (line, is_good) = match row % 10 {
            0 => (
                json!({"id": row, "prompt": format!("make cloud {row} purple"), "active_image": true})
                    .to_string(),
                true,
            ),
            1 => (
                json!({"id": row, "prompt": format!("Füge einen Hund hinzu 🐕 {row}"), "active_image": true})
                    .to_string(),
                true,
            ),
            2 => (json!({"id": row, "prompt": "x".repeat(8000)}).to_string(), true),
            3 => (json!({"id": row, "prompt": "é".repeat(8001)}).to_string(), false),
            4 => (format!("{{\"id\": {row}, \"prompt\": "), false),
            5 => (json!({"id": row, "prompt": "   "}).to_string(), false),
            6 => (json!({"id": row, "prompt": format!("夕焼けの海 {row}")}).to_string(), true),
            7 => (
                json!({"id": format!("text-{row}"), "prompt": "a red fox", "unknown": [1]}).to_string(),
                true,
            ),
            8 => (json!({"id": row, "prompt": 5}).to_string(), false),
            _ => (json!({"prompt": format!("bring {row} to life"), "active_image": true}).to_string(), true),
        };
        writeln!(text, "{line}").unwrap();
        good.push(is_good);
    }
    (text, good)
}

#[tokio::test]
async fn a_thousand_mixed_rows_come_back_in_order() {
    let directory = TempDir::new().unwrap();
    let (text, good) = mixed();
    let (input, output) = (directory.path().join("in.jsonl"), directory.path().join("out.jsonl"));
    std::fs::write(&input, text).unwrap();
    let run = run(
        &directory,
        &[],
        &["classify", "--batch", input.to_str().unwrap(), "--output", output.to_str().unwrap()],
    )
    .await;
    assert_eq!(run.code, 1, "{}", run.err);
    assert!(run.err.contains("400 of 1000 rows failed"), "{}", run.err);
    let results: Vec<Value> = std::fs::read_to_string(&output)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(results.len(), 1000);
    for (row, (result, good)) in results.iter().zip(good).enumerate() {
        assert_eq!(result["success"], good, "{row}: {result}");
        match row % 10 {
            4 | 9 => assert!(result.get("id").is_none()),
            7 => assert_eq!(result["id"], format!("text-{row}")),
            _ => assert_eq!(result["id"], row),
        }
    }
}

#[tokio::test]
async fn a_batch_reads_standard_input_and_shows_progress_on_a_terminal() {
    let directory = TempDir::new().unwrap();
    let (text, _) = mixed();
    let input = directory.path().join("in");
    std::fs::write(&input, text).unwrap();
    let (terminal, mut lines) = terminal();
    let mut command = picarcade(&directory, &[("TERM", "xterm")]);
    command.args(["classify", "--batch", "-"]).stdin(File::open(&input).unwrap()).stderr(terminal);
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    drop(command);
    let output = in_time("the results", child.wait_with_output()).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1000);
    let mut shown = String::new();
    while let Some(line) = in_time("the last line", lines.recv()).await {
        shown.push_str(&line);
    }
    assert!(shown.contains(" rows, ") && shown.contains("400 of 1000 rows failed"), "{shown}");
}

#[tokio::test]
async fn csv_is_read_and_written() {
    let directory = TempDir::new().unwrap();
    let input = directory.path().join("in.csv");
    let rows = "id,prompt,active_image\na,\"make the sky, the sea and the \"\"moon\"\" purple\",yes\nb,,\nc,a red fox,maybe\n";
    std::fs::write(&input, rows).unwrap();
    let run =
        run(&directory, &[], &["classify", "--batch", input.to_str().unwrap(), "--format", "csv"]).await;
    assert_eq!(run.code, 1, "{}", run.err);
    let mut reader = csv::Reader::from_reader(run.out.as_bytes());
    let error = reader.headers().unwrap().iter().position(|name| name == "error").unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let ids: Vec<_> = rows.iter().map(|row| (row[0].to_owned(), row[1].to_owned())).collect();
    let expect = |id: &str, success: &str| (id.to_owned(), success.to_owned());
    assert_eq!(ids, [expect("a", "true"), expect("b", "false"), expect("c", "false")]);
    assert_eq!(&rows[0][2], "EDIT_IMAGE");
    assert!(rows[2][error].contains("/active_image"), "{:?}", rows[2]);
}

#[tokio::test]
async fn csv_results_have_no_formulas() {
    let directory = TempDir::new().unwrap();
    let input = directory.path().join("in.jsonl");
    let formulas = ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\t=1", "\r=1"];
    let rows: String =
        formulas.iter().fold(json!({"id": -7, "prompt": "a red fox"}).to_string() + "\n", |rows, text| {
            rows + &json!({"id": text, "prompt": text}).to_string() + "\n"
        });
    std::fs::write(&input, rows).unwrap();
    let run =
        run(&directory, &[], &["classify", "--batch", input.to_str().unwrap(), "--format", "csv"]).await;
    let mut reader = csv::Reader::from_reader(run.out.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(&rows[0][0], "-7");
    for (row, text) in rows.iter().skip(1).zip(formulas) {
        assert_eq!(row[0], format!("'{text}"));
        for cell in row {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell:?}");
        }
    }
    assert_eq!(rows.len(), 1 + formulas.len());
}

#[tokio::test]
async fn a_row_that_is_not_utf8_affects_no_other_row() {
    let directory = TempDir::new().unwrap();
    let input = directory.path().join("in.jsonl");
    std::fs::write(&input, b"{\"prompt\": \"\xff\"}\n{\"prompt\": \"a red fox\"}\n").unwrap();
    let run = run(&directory, &[], &["classify", "--batch", input.to_str().unwrap()]).await;
    let successes: Vec<_> =
        run.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["success"].clone()).collect();
    assert_eq!((run.code, successes), (1, vec![json!(false), json!(true)]));
}

#[tokio::test]
async fn an_unusable_batch_file_is_a_wrong_call() {
    let directory = TempDir::new().unwrap();
    let input = directory.path().join("in.jsonl");
    std::fs::write(&input, "{\"prompt\": \"a red fox\"}\n").unwrap();
    let path = input.to_str().unwrap();
    let folder = run(&directory, &[], &["classify", "--batch", "."]).await;
    assert_eq!((folder.code, folder.err.lines().count()), (2, 1), "{}", folder.err);
    let same = run(&directory, &[], &["classify", "--batch", path, "--output", path]).await;
    assert_eq!((same.code, same.err.lines().count()), (2, 1), "{}", same.err);
    assert!(std::fs::read_to_string(&input).unwrap().contains("red fox"));
}

#[tokio::test]
async fn csv_is_recognized_by_its_header_after_a_byte_order_mark() {
    let directory = TempDir::new().unwrap();
    let input = directory.path().join("rows");
    for text in ["\u{feff}id,prompt\na,a red fox\n", "\u{feff}{\"id\": \"a\", \"prompt\": \"a red fox\"}\n"] {
        std::fs::write(&input, text).unwrap();
        let run = run(&directory, &[], &["classify", "--batch", input.to_str().unwrap()]).await;
        let row: Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!((run.code, &row["id"], &row["success"]), (0, &json!("a"), &json!(true)), "{}", run.out);
    }
}

#[tokio::test]
async fn an_ignored_odd_field_fails_no_row() {
    let directory = TempDir::new().unwrap();
    let input = directory.path().join("in.jsonl");
    let deep = "[".repeat(300) + &"]".repeat(300);
    let rows = [
        r#"{"id": 1, "prompt": "a red fox", "odd": 1e999}"#.to_owned(),
        format!(r#"{{"id": "b", "prompt": "a red fox", "odd": {deep}, "\ud800": "\udc00"}}"#),
        r#"{"id": 1e999, "prompt": "a red fox"}"#.to_owned(),
        r#"{"id": 4, "prompt": 1e999}"#.to_owned(),
    ];
    std::fs::write(&input, rows.join("\n")).unwrap();
    let run = run(&directory, &[], &["classify", "--batch", input.to_str().unwrap()]).await;
    let rows: Vec<Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let results: Vec<_> = rows.iter().map(|row| (row.get("id").cloned(), row["success"] == true)).collect();
    let expected = [(Some(json!(1)), true), (Some(json!("b")), true), (None, true), (Some(json!(4)), false)];
    assert_eq!((run.code, results), (1, expected.to_vec()));
    assert!(rows[3]["error"].to_string().contains("/prompt"), "{}", rows[3]);
}
