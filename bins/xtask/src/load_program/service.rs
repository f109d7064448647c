//! The service as a process, and its use of the machine.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const PATIENCE: Duration = Duration::from_secs(30);

/// A running service with its own data directory; both end on drop.
pub(crate) struct Service {
    child: Child,
    pub(crate) address: String,
    _directory: tempfile::TempDir,
}

/// The resources that a process used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Seconds of processor time since its start.
    pub(crate) cpu_seconds: f64,
    /// Resident memory in MiB.
    pub(crate) memory_mib: f64,
}

impl Service {
    /// Starts the binary that was built with this program, without request limits. A database is
    /// migrated first.
    pub(crate) async fn start(environment: &[(String, String)]) -> Result<Self> {
        let binary = beside_us("picarcade")?;
        let directory = tempfile::tempdir().context("no temporary directory")?;
        let command = || {
            let mut command = Command::new(&binary);
            command.env_clear().envs(environment.iter().cloned());
            for name in ["REQUESTS_PER_MINUTE", "REQUESTS_PER_HOUR", "GLOBAL_REQUESTS_PER_HOUR"] {
                command.env(format!("RATE_LIMIT_{name}"), "0");
            }
            command.env("COST_LIMIT_PER_HOUR", "0").env("COST_LIMIT_GLOBAL_PER_DAY", "0");
            command.env("PICARCADE_DATA_DIR", directory.path()).current_dir(directory.path());
            command.stdin(Stdio::null()).kill_on_drop(true);
            command
        };
        if environment.iter().any(|(name, _)| name == "DATABASE_URL") {
            let migrated = command().arg("migrate").status().await.context("cannot run the service")?;
            ensure!(migrated.success(), "the migration failed");
        }
        let mut child = command()
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", binary.display()))?;
        let stderr = child.stderr.take().context("the service has no standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        let address = tokio::time::timeout(PATIENCE, async {
            while let Some(line) = lines.next_line().await? {
                let record: Value = serde_json::from_str(&line).unwrap_or_default();
                if record["message"] == "listening" {
                    return Ok(record["address"].as_str().unwrap_or_default().to_owned());
                }
                eprintln!("{line}");
            }
            bail!("the service ended before it listened")
        })
        .await
        .context("the service does not listen")??;
        // The log must be read, or the service would block on a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, address, _directory: directory })
    }

    /// Returns the resources used so far; zeros without `/proc`.
    pub(crate) fn usage(&self) -> Usage {
        let read = |name: &str| {
            let id = self.child.id().unwrap_or_default();
            std::fs::read_to_string(format!("/proc/{id}/{name}")).unwrap_or_default()
        };
        // The name of the program, in parentheses, may contain spaces. User and system time are the
        // 12th and 13th field after it.
        let stat = read("stat");
        let ticks: f64 = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<f64>().ok())
            .sum();
        let status = read("status");
        let kib: f64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse().ok())
            .unwrap_or_default();
        // Linux reports hundredths of a second to programs, whatever the clock of the kernel.
        Usage { cpu_seconds: ticks / 100.0, memory_mib: kib / 1024.0 }
    }

    /// Asks the service to stop, and returns how it ended.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let id = self.child.id().context("the service is gone")?.to_string();
        Command::new("kill").args(["-s", "TERM", &id]).status().await.context("cannot signal the service")?;
        let status = tokio::time::timeout(Duration::from_secs(90), self.child.wait())
            .await
            .context("the service does not stop")??;
        ensure!(status.success(), "the service ended with {status}");
        Ok(())
    }
}

fn beside_us(name: &str) -> Result<PathBuf> {
    let us = std::env::current_exe().context("this program has no path")?;
    let path = us.with_file_name(name);
    ensure!(path.is_file(), "{name} is not built");
    Ok(path)
}
