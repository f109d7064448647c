//! Matrix and catalogue are replaced while requests run: every answer is of one set, and a wrong
//! file changes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use picarcade_intent::Matrix;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::service::{Service, until};

/// How many users send requests at the same time.
const USERS: usize = 4;

const OLD: &str = "black-forest-labs/flux-1.1-pro";
const NEW: &str = "black-forest-labs/flux-kontext-max";

/// Replaces a file atomically: a reader sees the old one or the new one.
fn replace(file: &std::path::Path, text: &str) {
    let beside = file.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(beside, file).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_are_replaced_as_one_under_load_and_a_wrong_file_keeps_the_old_ones() {
    let directory = TempDir::new().unwrap();
    let (matrix, models) = (directory.path().join("matrix.csv"), directory.path().join("models.toml"));
    let (old_matrix, old_models) =
        (Matrix::embedded().to_csv(), include_str!("../../../../crates/picarcade-intent/data/models.toml"));
    std::fs::write(&matrix, &old_matrix).unwrap();
    std::fs::write(&models, old_models).unwrap();
    let environment = [
        ("PICARCADE_RULES", matrix.to_str().unwrap()),
        ("PICARCADE_MODELS", models.to_str().unwrap()),
        ("RATE_LIMIT_REQUESTS_PER_MINUTE", "0"),
        ("RATE_LIMIT_REQUESTS_PER_HOUR", "0"),
        ("RATE_LIMIT_GLOBAL_REQUESTS_PER_HOUR", "0"),
    ];
    let service = Arc::new(Service::start_in(directory, &environment, &[]).await);
    let versions = async || {
        let shown = service.get("/api/v2/decision-matrix").await;
        (shown["version"].clone(), shown["catalogue_version"].clone())
    };
    let flow = async || service.get("/health/detailed").await["components"]["flow"].clone();
    let stop = Arc::new(AtomicBool::new(false));
    // How many users have got an answer with the new model.
    let changed_for = Arc::new(AtomicUsize::new(0));
    let load = |user: usize| {
        let (service, stop, changed_for) =
            (Arc::clone(&service), Arc::clone(&stop), Arc::clone(&changed_for));
        tokio::spawn(async move {
            let mut changed = false;
            while !stop.load(Ordering::Relaxed) {
                let answer =
                    service.process(json!({"prompt": "a red fox", "user_id": format!("u{user}")})).await;
                let parameters = answer["model_parameters"].as_object().unwrap();
                // The old model has a size as its parameter; the new one has only a guidance, which
                // the new catalogue doubles.
                if answer["model_to_use"] == OLD {
                    assert!(!changed && parameters.contains_key("width"), "{answer}");
                } else {
                    assert_eq!(
                        (&answer["model_to_use"], &parameters["guidance"]),
                        (&json!(NEW), &json!(7.0)),
                        "{answer}"
                    );
                    changed_for.fetch_add(usize::from(!changed), Ordering::Relaxed);
                    changed = true;
                }
            }
        })
    };
    let loads: Vec<_> = (0..USERS).map(load).collect();
    let first = versions().await;
    assert_eq!(
        (&flow().await["details"]["matrix_version"], &flow().await["details"]["catalogue_version"]),
        (&first.0, &first.1)
    );

    // A wrong file, found after a signal or by polling, changes nothing, and health reports it.
    replace(&matrix, "nonsense");
    service.signal("HUP");
    until("the wrong matrix is refused", async || flow().await["last_error"] == "rules_refused").await;
    assert_eq!((flow().await["status"].clone(), versions().await), (json!("degraded"), first.clone()));
    replace(&matrix, &old_matrix);
    until("the old matrix is taken back", async || flow().await["details"]["rules_refused"] == false).await;
    replace(&models, "[[models]]\nname = 1");
    until("the wrong catalogue is refused", async || flow().await["details"]["rules_refused"] == true).await;
    assert_eq!(versions().await, first);

    // The new matrix names the new model, whose guidance the new catalogue doubles. The catalogue
    // comes first, so that no combination of the two is wrong.
    let new_models =
        old_models.replacen("[models.parameters]\nguidance = 3.5", "[models.parameters]\nguidance = 7.0", 1);
    assert_ne!(new_models, old_models);
    replace(&models, &new_models);
    until("the new catalogue is in force", async || versions().await.1 != first.1).await;
    replace(&matrix, &old_matrix.replace(OLD, NEW));
    service.signal("HUP");
    until("the new matrix is in force", async || versions().await.0 != first.0).await;
    assert_eq!(
        (flow().await["details"]["rules_refused"].clone(), flow().await["last_error"].clone()),
        (json!(false), Value::Null)
    );
    let answer = service.process(json!({"prompt": "a red fox", "user_id": "u0"})).await;
    assert_eq!(answer["model_to_use"], NEW);
    let all_changed = async || {
        // A user whose answer was wrong has ended early.
        assert!(!loads.iter().any(tokio::task::JoinHandle::is_finished), "a user met a wrong answer");
        changed_for.load(Ordering::Relaxed) == USERS
    };
    until("every user is answered by the new rules", all_changed).await;
    stop.store(true, Ordering::Relaxed);
    for load in loads {
        load.await.unwrap();
    }
}
