//! One PostgreSQL server.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};

use super::builder::PostgresBuilder;
use super::cluster::{OWNER, PASSWORD, SUPERUSER};
use super::probe::takes_clients;
use crate::error::{Error, Result};
use crate::host::port::Port;
use crate::host::process::Process;
use crate::host::program;
use crate::host::runtime;

/// A real PostgreSQL on a free port of the loopback interface, stopped and removed when dropped.
///
/// It asks for a password (SCRAM). Signals go to the server and to all of its sessions, and have taken effect when the call
/// returns. A fresh database is there from the start, owned by an ordinary role.
#[derive(Debug)]
pub struct PostgresServer {
    process: Process,
    port: Port,
    databases: AtomicU64,
}

impl PostgresServer {
    /// Starts a server; the first one on a machine takes a few seconds more, to make the files that the others copy.
    ///
    /// # Errors
    ///
    /// As [`PostgresBuilder::start`].
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// A server that is to be special.
    pub fn builder() -> PostgresBuilder {
        PostgresBuilder::default()
    }

    pub(super) fn new(process: Process, port: Port) -> Self {
        Self { process, port, databases: AtomicU64::new(0) }
    }

    /// The first database, as its owner: a role that is no superuser and may create databases.
    pub fn url(&self) -> String {
        self.url_of(OWNER, OWNER)
    }

    /// The first database, as the superuser (for whom row-level security does not count).
    pub fn superuser_url(&self) -> String {
        self.url_of(SUPERUSER, OWNER)
    }

    /// Another empty database with the same owner; its URL.
    ///
    /// # Errors
    ///
    /// The server does not answer.
    pub async fn create_database(&self) -> Result<String> {
        let name = format!("{OWNER}_{}", self.databases.fetch_add(1, Ordering::Relaxed) + 1);
        self.psql(&format!("CREATE DATABASE {name} OWNER {OWNER}")).await?;
        Ok(self.url_of(OWNER, &name))
    }

    /// Runs SQL in the first database as the superuser; rows a line, columns between `|`, as `psql -At` prints them.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] with what `psql` said.
    pub async fn psql(&self, sql: &str) -> Result<String> {
        self.psql_at(&self.superuser_url(), sql).await
    }

    /// The same at any URL: another database, another role, through a proxy.
    ///
    /// # Errors
    ///
    /// As [`psql`](Self::psql).
    pub async fn psql_at(&self, url: &str, sql: &str) -> Result<String> {
        let mut command = tokio::process::Command::new(program::postgres("psql")?);
        command
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql, url])
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        runtime::run(async move {
            let output = command.output().await.map_err(|source| Error::Spawn { program: "psql", source })?;
            if output.status.success() {
                return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
            }
            let output_text = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(Error::Failed { program: "psql", status: output.status, output: output_text })
        })
        .await
    }

    /// The port that clients use.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The address that clients use.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port()).into()
    }

    /// The id of the running server.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// SIGKILL to the server and all of its sessions. What was committed is there after a restart.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// SIGSTOP to the server and all of its sessions: connections stay open, and nobody answers.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// SIGCONT to all of them.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// Kills the server if it runs, starts it again on the same port and directory, and waits until it takes clients.
    ///
    /// # Errors
    ///
    /// As [`PostgresBuilder::start`].
    pub async fn restart(&self) -> Result<()> {
        self.kill();
        self.launch().await
    }

    /// The last lines of the server's log.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Starts the process and waits until it takes clients.
    pub(super) async fn launch(&self) -> Result<()> {
        self.process.spawn()?;
        self.process.until_ready(|| takes_clients(self.addr(), OWNER, OWNER)).await
    }

    fn url_of(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}:{PASSWORD}@{}/{database}", self.addr())
    }
}
