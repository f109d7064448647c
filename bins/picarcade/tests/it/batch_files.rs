//! The files of a batch: as spreadsheets write them, never overwritten by accident, and continued
//! after an interruption.

use std::path::Path;

use picarcade_testkit::MockProvider;
use picarcade_testkit::Reply;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command_line::{Run, run};

async fn batch(directory: &TempDir, environment: &[(&str, &str)], more: &[&str]) -> Run {
    run(directory, environment, &[&["classify", "--batch"], more].concat()).await
}

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn utf16(text: &str, encode: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(encode).collect()
}

#[tokio::test]
async fn a_table_is_read_in_every_encoding_and_spelling_of_a_spreadsheet() {
    let directory = TempDir::new().unwrap();
    let input = directory.path().join("rows.csv");
    let path = input.to_str().unwrap();
    let table =
        "\u{feff}ID;Prompt;Active Image\r\n7;\"mache den Himmel; das Meer 🌊 lila\";yes\r\n8;a red fox;\r\n";
    let tabs = table.replace(';', "\t");
    for bytes in [
        table.as_bytes().to_vec(),
        utf16(table, u16::to_le_bytes),
        utf16(&tabs, u16::to_le_bytes),
        utf16(table, u16::to_be_bytes),
        table.replace("\r\n", "\n").replace('\u{feff}', "").into_bytes(),
    ] {
        std::fs::write(&input, bytes).unwrap();
        let run = batch(&directory, &[], &[path]).await;
        let rows = rows(&run.out);
        assert_eq!((run.code, rows.len()), (0, 2), "{}", run.err);
        assert_eq!(
            (&rows[0]["id"], &rows[0]["prompt_type"]),
            (&json!("7"), &json!("EDIT_IMAGE")),
            "{}",
            rows[0]
        );
        assert!(rows[0]["original_prompt"].as_str().unwrap().contains("Meer 🌊 lila"), "{}", rows[0]);
    }
    // JSON lines in UTF-16 are recognized too.
    let text = "\u{feff}{\"id\": 1, \"prompt\": \"a red fox\"}\r\n";
    let json_file = directory.path().join("rows");
    std::fs::write(&json_file, utf16(text, u16::to_le_bytes)).unwrap();
    let run = batch(&directory, &[], &[json_file.to_str().unwrap()]).await;
    assert_eq!((run.code, &rows(&run.out)[0]["id"]), (0, &json!(1)));
}

#[tokio::test]
async fn an_existing_output_is_replaced_only_by_force() {
    let directory = TempDir::new().unwrap();
    let (input, output) = (directory.path().join("in.jsonl"), directory.path().join("out.jsonl"));
    let (from, to) = (input.to_str().unwrap(), output.to_str().unwrap());
    std::fs::write(&input, "{\"prompt\": \"a red fox\"}\n").unwrap();
    std::fs::write(&output, "precious").unwrap();
    let refused = batch(&directory, &[], &[from, "--output", to]).await;
    assert_eq!((refused.code, refused.err.lines().count()), (2, 1), "{}", refused.err);
    assert!(refused.err.contains("--force") && refused.err.contains("--resume"), "{}", refused.err);
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "precious");
    let forced = batch(&directory, &[], &[from, "--output", to, "--force"]).await;
    assert_eq!(
        (forced.code, rows(&std::fs::read_to_string(&output).unwrap()).len()),
        (0, 1),
        "{}",
        forced.err
    );
}

#[tokio::test]
async fn a_wrong_call_leaves_no_output() {
    let directory = TempDir::new().unwrap();
    let (input, output) = (directory.path().join("in.csv"), directory.path().join("out.jsonl"));
    std::fs::write(&input, "id,words\n1,fox\n").unwrap();
    let (from, to) = (input.to_str().unwrap(), output.to_str().unwrap());
    assert_eq!(batch(&directory, &[], &[from, "--output", to]).await.code, 2);
    assert!(!output.exists());
    assert_eq!(batch(&directory, &[], &[from, "--resume"]).await.code, 2);
    assert_eq!(batch(&directory, &[], &[from, "--output", to, "--resume", "--force"]).await.code, 2);
}

/// Writes an input of ten rows, of which row 3 is wrong.
fn ten(directory: &Path) -> String {
    let row = |number| match number {
        3 => json!({"id": 3, "prompt": ""}),
        _ => json!({"id": number, "prompt": format!("a red fox number {number}, \"quoted\"")}),
    };
    let input = directory.join("in.jsonl");
    std::fs::write(&input, (1..=10).map(|number| row(number).to_string() + "\n").collect::<String>())
        .unwrap();
    input.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_interrupted_output_is_continued_from_every_byte() {
    let directory = TempDir::new().unwrap();
    let from = ten(directory.path());
    for format in ["jsonl", "csv"] {
        let output = directory.path().join("out").with_extension(format);
        let to = output.to_str().unwrap();
        let call = [&*from, "--output", to, "--format", format, "--resume"];
        let whole = batch(&directory, &[], &call).await;
        assert!(whole.code == 1 && whole.err.contains("1 of 10 rows failed"), "{}", whole.err);
        let text = std::fs::read(&output).unwrap();
        let ids = |text: &[u8]| -> Vec<String> {
            let text = String::from_utf8(text.to_vec()).unwrap();
            if format == "jsonl" {
                return rows(&text).iter().map(|row| row["id"].to_string()).collect();
            }
            csv::Reader::from_reader(text.as_bytes())
                .records()
                .map(|row| row.unwrap()[0].to_owned())
                .collect()
        };
        for kept in [0, 1, text.len() / 3, text.len() / 2, text.len() - 1, text.len()] {
            std::fs::write(&output, &text[..kept]).unwrap();
            let resumed = batch(&directory, &[], &call).await;
            assert_eq!(resumed.code, 1, "{format} {kept}: {}", resumed.err);
            assert!(resumed.err.contains("1 of 10 rows failed"), "{format} {kept}: {}", resumed.err);
            let expected: Vec<_> = (1..=10).map(|id| id.to_string()).collect();
            assert_eq!(ids(&std::fs::read(&output).unwrap()), expected, "{format} {kept}");
        }
    }
}

#[tokio::test]
async fn an_output_of_another_input_is_not_continued() {
    let directory = TempDir::new().unwrap();
    let from = ten(directory.path());
    let output = directory.path().join("out.jsonl");
    let to = output.to_str().unwrap();
    for (text, words) in [
        ("precious\n".to_owned(), "line 1 is not a result"),
        ("{\"id\": 9, \"success\": true}\n".to_owned(), "row 1 has another id"),
        ("{\"success\": true}\n".repeat(11), "more rows than the input"),
    ] {
        std::fs::write(&output, &text).unwrap();
        let refused = batch(&directory, &[], &[&*from, "--output", to, "--resume"]).await;
        assert_eq!((refused.code, refused.err.lines().count()), (2, 1), "{}", refused.err);
        assert!(refused.err.contains(words), "{}", refused.err);
        assert_eq!(std::fs::read_to_string(&output).unwrap(), text);
    }
}

#[tokio::test]
async fn failed_rows_have_their_number_and_the_summary_counts_everything() {
    let directory = TempDir::new().unwrap();
    let from = ten(directory.path());
    let run = batch(&directory, &[], &[&from]).await;
    assert_eq!((&rows(&run.out)[2]["row"], run.err.lines().count()), (&json!(3), 2), "{}", run.err);
    let summary = run.err.lines().next().unwrap();
    assert!(summary.starts_with("10 rows in ") && summary.contains(": 1 failed, "), "{summary}");
    assert!(summary.ends_with("; AI calls cost $0.0000"), "{summary}");
    let run = batch(&directory, &[], &[&from, "--format", "csv"]).await;
    assert!(run.out.contains(",row 3: "), "{}", run.out);
}

#[tokio::test]
async fn a_batch_that_the_ai_mostly_did_not_answer_ends_with_1() {
    let directory = TempDir::new().unwrap();
    let input = directory.path().join("in.jsonl");
    let prompts = ["make it better", "something with light", "do the thing again"];
    let row = |prompt: &&str| json!({"prompt": prompt, "active_image": true}).to_string() + "\n";
    std::fs::write(&input, prompts.iter().map(row).collect::<String>()).unwrap();
    let mock = MockProvider::start().await.unwrap();
    let url = mock.url();
    let environment = [("ANTHROPIC_API_KEY", "k"), ("ANTHROPIC_BASE_URL", &*url)];
    let path = input.to_str().unwrap();
    let answered = batch(&directory, &environment, &[path]).await;
    assert_eq!(answered.code, 0, "{}", answered.err);
    assert!(answered.err.contains(" llm; AI calls cost $0.0"), "{}", answered.err);
    let failed = TempDir::new().unwrap();
    mock.always(Reply::Status { code: 401, headers: vec![], body: String::new() });
    let run = batch(&failed, &environment, &[path]).await;
    assert_eq!((run.code, rows(&run.out).len()), (1, 3), "{}", run.err);
    assert!(run.err.contains("the AI did not answer for 3 of the 3 rows that needed it"), "{}", run.err);
}
