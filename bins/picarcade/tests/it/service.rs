//! A running service, in a directory of its own, on a free port.

use std::process::Stdio;
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How long anything may take before the test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Service {
    pub child: Child,
    pub url: String,
    pub directory: TempDir,
    pub client: reqwest::Client,
}

/// The binary with an environment that holds nothing but what the test gives.
pub fn picarcade(directory: &TempDir, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_picarcade"));
    command
        .env_clear()
        .env("PICARCADE_DATA_DIR", directory.path().join("data"))
        .envs(environment.iter().copied())
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

impl Service {
    pub async fn start(environment: &[(&str, &str)]) -> Self {
        Self::start_in(TempDir::new().unwrap(), environment, &[]).await
    }

    pub async fn start_in(directory: TempDir, environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut child = picarcade(&directory, environment)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = Vec::new();
        let address = loop {
            let line = tokio::time::timeout(PATIENCE, lines.next_line())
                .await
                .expect("it says where it listens")
                .unwrap();
            let line = line.unwrap_or_else(|| panic!("the service ended: {seen:?}"));
            let record: Value = serde_json::from_str(&line).unwrap_or_default();
            if record["message"] == "listening" {
                break record["address"].as_str().unwrap().to_owned();
            }
            seen.push(line);
        };
        // Somebody must read the log, or the service would block on a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        Self { child, url: format!("http://{address}"), directory, client }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub async fn get(&self, path: &str) -> Value {
        let response = self.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let response = self.request(Method::POST, path).json(body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    pub async fn process(&self, body: Value) -> Value {
        let (status, answer) = self.post("/api/v2/process", &body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }
}

/// Waits until the instance has its Redis.
pub async fn connected(service: &Service) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let caches = service.get("/health/cache").await;
        if caches["redis"]["connected"] == true {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{caches}");
    }
}
