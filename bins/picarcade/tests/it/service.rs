//! A running service, in a directory of its own, on a free port.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// How long anything may take before the test gives up: only a failure waits it out.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Service {
    pub child: Child,
    pub url: String,
    pub directory: TempDir,
    pub client: reqwest::Client,
    log: Arc<Mutex<Vec<String>>>,
}

/// The binary with an environment that holds nothing but what the test gives.
pub fn picarcade(directory: &TempDir, environment: &[(&str, &str)]) -> Command {
    within(Command::new(env!("CARGO_BIN_EXE_picarcade")), directory, environment)
}

fn within(mut command: Command, directory: &TempDir, environment: &[(&str, &str)]) -> Command {
    command
        .env_clear()
        .env("PICARCADE_DATA_DIR", directory.path().join("data"))
        .envs(environment.iter().copied())
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Asks again and again until it is so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    while !is_so().await {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tick.tick().await;
    }
}

/// What comes in time, or the test fails.
pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("never: {what}"))
}

impl Service {
    pub async fn start(environment: &[(&str, &str)]) -> Self {
        Self::start_in(TempDir::new().unwrap(), environment, &[]).await
    }

    pub async fn start_in(directory: TempDir, environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut command = picarcade(&directory, environment);
        command.arg("serve").args(arguments);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        Self::spawn(command, directory).await
    }

    /// The same by way of a shell that first does what `preparation` says: in a file system tree of its own, where that is
    /// allowed.
    pub async fn start_alone(preparation: &str, directory: TempDir, environment: &[(&str, &str)]) -> Self {
        let script =
            format!("{preparation} exec '{}' serve --listen 127.0.0.1:0", env!("CARGO_BIN_EXE_picarcade"));
        let private = std::process::Command::new("unshare").args(["-m", "true"]).status();
        let mut command = if private.is_ok_and(|status| status.success()) {
            let mut command = Command::new("unshare");
            command.args(["-m", "/bin/sh"]);
            command
        } else {
            Command::new("/bin/sh")
        };
        command.arg("-c").arg(script);
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = within(command, &directory, environment);
        command.env("PATH", path);
        Self::spawn(command, directory).await
    }

    async fn spawn(mut command: Command, directory: TempDir) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let address = loop {
            let line = tokio::time::timeout(PATIENCE, lines.next_line())
                .await
                .expect("it says where it listens")
                .unwrap();
            let line = line.unwrap_or_else(|| panic!("the service ended: {:?}", log.lock().unwrap()));
            let record: Value = serde_json::from_str(&line).unwrap_or_default();
            log.lock().unwrap().push(line);
            if record["message"] == "listening" {
                break record["address"].as_str().unwrap().to_owned();
            }
        };
        // Somebody must read the log, or the service would block on a full pipe.
        let written = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                written.lock().unwrap().push(line);
            }
        });
        let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        Self { child, url: format!("http://{address}"), directory, client, log }
    }

    /// What it has logged so far, line by line.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.url.strip_prefix("http://").unwrap().parse().unwrap()
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.unwrap()
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap()
    }

    /// The memory that it has in use, in MiB.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most memory that it has had in use, in MiB.
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() / 1024
    }

    /// The counters of its events.
    pub async fn events(&self) -> Value {
        self.get("/health/detailed").await["components"]["flow"]["details"]["analytics"].clone()
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
