//! The files that the service and the commands write are readable for their owner alone, whatever
//! the umask is.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use crate::service::{Service, picarcade, until};

/// Returns every file and directory under a path, with its mode.
fn modes(path: &Path) -> Vec<(PathBuf, bool, u32)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        // A file may be deleted meanwhile, such as a segment that was read, or a journal.
        let Ok(metadata) = entry.metadata() else { continue };
        found.push((entry.path(), metadata.is_dir(), metadata.permissions().mode() & 0o777));
        found.extend(modes(&entry.path()));
    }
    found
}

fn assert_private(directory: &Path, names: &[&str]) {
    let found = modes(directory);
    for (path, is_directory, mode) in &found {
        let expected = if *is_directory { 0o700 } else { 0o600 };
        assert_eq!(*mode, expected, "{} has mode {mode:o}", path.display());
    }
    for name in names {
        let is_there = |(path, ..): &(PathBuf, bool, u32)| path.to_string_lossy().contains(name);
        assert!(found.iter().any(is_there), "{name}: {found:?}");
    }
}

#[tokio::test]
async fn the_embedded_database_and_the_spool_are_private_under_umask_0() {
    let service = Service::start_alone("umask 000;", TempDir::new().unwrap(), &[]).await;
    for word in ["fox", "hen", "owl"] {
        service.process(json!({"prompt": format!("a red {word}")})).await;
    }
    until("events are written", async || service.events().await["committed"].as_u64() > Some(0)).await;
    // The lowest directory belongs to the test itself.
    let names = ["picarcade.db", "picarcade.db-wal", "picarcade.db-shm", "spool/0/lock", "position"];
    assert_private(&service.directory.path().join("data"), &names);
    assert_private(service.directory.path(), &["data"]);
}

#[tokio::test]
async fn spooled_events_are_private_under_umask_0() {
    let environment = [("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")];
    let service = Service::start_alone("umask 000;", TempDir::new().unwrap(), &environment).await;
    for word in ["fox", "hen", "owl"] {
        service.process(json!({"prompt": format!("a red {word}")})).await;
    }
    until("a segment is written", async || {
        modes(service.directory.path()).iter().any(|(path, ..)| path.to_string_lossy().contains("segment"))
    })
    .await;
    assert_private(service.directory.path(), &["data/spool/0/segment", "lock", "position"]);
}

#[tokio::test]
async fn files_of_an_earlier_version_become_private() {
    let directory = TempDir::new().unwrap();
    assert!(picarcade(&directory, &[]).args(["classify", "a red fox"]).status().await.unwrap().success());
    let slot = directory.path().join("data/spool/0");
    std::fs::write(slot.join("dead-letter.jsonl"), "{}\n").unwrap();
    for (path, is_directory, _) in modes(directory.path()) {
        let mode = if is_directory { 0o755 } else { 0o644 };
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }
    assert!(picarcade(&directory, &[]).args(["classify", "a red hen"]).status().await.unwrap().success());
    for (path, is_directory, mode) in modes(directory.path()) {
        assert!(is_directory || mode == 0o600, "{} has mode {mode:o}", path.display());
    }
    assert_private(&directory.path().join("data/spool/0"), &["dead-letter.jsonl"]);
}

#[tokio::test]
async fn results_of_a_batch_are_private_and_a_device_is_left_alone() {
    let directory = TempDir::new().unwrap();
    let input = directory.path().join("in.jsonl");
    std::fs::write(&input, "{\"prompt\": \"a red fox\"}\n").unwrap();
    let existing = directory.path().join("existing.jsonl");
    std::fs::write(&existing, "old").unwrap();
    std::fs::set_permissions(&existing, PermissionsExt::from_mode(0o666)).unwrap();
    for output in [&directory.path().join("new.jsonl"), &existing, Path::new("/dev/null")] {
        let before = std::fs::metadata("/dev/null").unwrap().permissions().mode();
        let mut command = picarcade(&directory, &[]);
        command.arg("classify").arg("--batch").arg(&input).arg("--output").arg(output).arg("--force");
        assert!(command.status().await.unwrap().success());
        let metadata = std::fs::metadata(output).unwrap();
        if metadata.is_file() {
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{}", output.display());
        }
        assert_eq!(std::fs::metadata("/dev/null").unwrap().permissions().mode(), before);
    }
}
