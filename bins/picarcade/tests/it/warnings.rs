//! Warnings about unknown fields, in every answer to a request that has them and in no other.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command_line::run;
use crate::service::Service;

#[tokio::test]
async fn unknown_fields_that_are_nearly_known_ones_are_warned_about() {
    let service = Service::start(&[]).await;
    let warning = json!(["the unknown field \"active_imgae\" is ignored; it is nearly \"active_image\""]);
    let typo =
        json!({"prompt": "make the sky purple", "active_imgae": "secret-value", "metadata": {"promt": 1}});
    let good = json!({"prompt": "make the sky purple"});
    let in_context = json!({"prompt": "make the sky purple", "context": {"working-image": "secret-value"}});
    for path in ["/api/v2/process", "/api/v2/classify-only"] {
        let (status, answer) = service.post(path, &typo).await;
        assert_eq!((status, &answer["warnings"]), (200, &warning), "{path}");
        // The second request is a hit of the entry that the first one stored.
        let (_, answer) = service.post(path, &good).await;
        assert_eq!((&answer["cache_hit"], &answer["warnings"]), (&json!(true), &json!([])), "{path}");
        let (_, answer) = service.post(path, &in_context).await;
        let text = answer["warnings"][0].as_str().unwrap();
        assert!(text.contains("\"working-image\" in /context") && !text.contains("secret"), "{text}");
    }
    let (_, batch) = service.post("/api/v2/batch", &json!([good, typo, {"promt": "x"}])).await;
    let warnings: Vec<_> =
        batch["results"].as_array().unwrap().iter().map(|item| &item["warnings"]).collect();
    assert_eq!(warnings, [&json!([]), &warning, &Value::Null]);
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("in.jsonl");
    std::fs::write(&file, format!("{typo}\n")).unwrap();
    let rows = run(&directory, &[], &["classify", "--batch", file.to_str().unwrap()]).await;
    assert_eq!(serde_json::from_str::<Value>(&rows.out).unwrap()["warnings"], warning);
}
