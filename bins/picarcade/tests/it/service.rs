//! A running service, in a directory of its own, on a free port.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// The longest wait for anything. It is long because only a failing test waits that long.
pub const PATIENCE: Duration = Duration::from_mins(3);

/// The pause between two polls, so that polls use up neither a rate limit nor the processor.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Request limits that no test reaches: for tests that poll and need the limiter to decide.
pub const AMPLE: [(&str, &str); 3] = [
    ("RATE_LIMIT_REQUESTS_PER_MINUTE", "1000000"),
    ("RATE_LIMIT_REQUESTS_PER_HOUR", "1000000"),
    ("RATE_LIMIT_GLOBAL_REQUESTS_PER_HOUR", "1000000"),
];

/// Returns the environment of a test with more variables after it.
pub fn with<'a>(environment: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [environment, more].concat()
}

pub struct Service {
    pub child: Child,
    pub url: String,
    pub directory: TempDir,
    pub client: reqwest::Client,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
    started: Instant,
}

/// Returns the command of the binary with exactly the environment of the test.
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
    let has = |name: &str| environment.iter().any(|(variable, _)| *variable == name);
    if has("PICARCADE_ADMIN_TOKEN") && !has("PICARCADE_PUBLIC_OPERATIONS") {
        // Tests read health and metrics without the token.
        command.env("PICARCADE_PUBLIC_OPERATIONS", "true");
    }
    command
}

/// Polls until the condition holds.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Waits for the value; the test fails if it does not come in time.
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

    /// Starts a service through a shell that first runs `preparation`: in a file system tree of its
    /// own, where that is permitted.
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
        // The log must be read, or the service would block on a full pipe.
        let written = Arc::clone(&log);
        let reader = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                written.lock().unwrap().push(line);
            }
        });
        let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        Self {
            child,
            url: format!("http://{address}"),
            directory,
            client,
            log,
            reader: Some(reader),
            started: Instant::now(),
        }
    }

    /// Returns the records of the log so far that have this message.
    pub fn records(&self, message: &str) -> Vec<Value> {
        let records = self.log().into_iter().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        records.filter(|record| record["message"] == message).collect()
    }

    /// Returns the log so far, line by line.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Returns how many lines a throttled log may have by now. The throttle allows lines per ten
    /// seconds, so a slow run has more.
    pub fn log_bound(&self) -> usize {
        const LINES: usize = 150;
        LINES * (self.started.elapsed().as_secs() as usize / 10 + 1)
    }

    /// Returns the address that the service listens on.
    pub fn address(&self) -> SocketAddr {
        self.url.strip_prefix("http://").unwrap().parse().unwrap()
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.unwrap()
    }

    /// Waits until the process has ended and its log has been read to the end.
    pub async fn ended(&mut self) -> ExitStatus {
        let status = in_time("it ends", self.child.wait()).await.unwrap();
        if let Some(reader) = self.reader.take() {
            in_time("the log ends", reader).await.unwrap();
        }
        status
    }

    /// Returns the memory in use, in MiB.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// Returns the peak of the memory in use, in MiB.
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() / 1024
    }

    /// Returns the counters of events.
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

/// Waits until the instance is connected to Redis.
pub async fn connected(service: &Service) {
    until("it has its Redis", async || service.get("/health/cache").await["redis"]["connected"] == true)
        .await;
}
