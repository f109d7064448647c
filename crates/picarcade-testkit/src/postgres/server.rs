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

/// A real PostgreSQL on a free port of the loopback interface, stopped and removed on drop.
///
/// The server asks for a password (SCRAM). Signals go to the server and all of its sessions, and
/// have taken effect when the call returns. The server starts with an empty database that an
/// ordinary role owns.
#[derive(Debug)]
pub struct PostgresServer {
    process: Process,
    port: Port,
    databases: AtomicU64,
    ca_pem: Option<String>,
}

impl PostgresServer {
    /// Starts a server. The first one on a machine takes a few seconds longer, because it creates
    /// the files that others copy.
    ///
    /// # Errors
    ///
    /// Fails like [`PostgresBuilder::start`].
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// Returns a builder for a server with other options.
    pub fn builder() -> PostgresBuilder {
        PostgresBuilder::default()
    }

    pub(super) fn new(process: Process, port: Port, ca_pem: Option<String>) -> Self {
        Self { process, port, databases: AtomicU64::new(0), ca_pem }
    }

    /// Returns the URL of the first database as its owner, a role that is no superuser and may
    /// create databases.
    pub fn url(&self) -> String {
        self.url_of(OWNER, OWNER)
    }

    /// Returns the URL of the first database as the superuser, to whom row-level security does not
    /// apply.
    pub fn superuser_url(&self) -> String {
        self.url_of(SUPERUSER, OWNER)
    }

    /// Creates another empty database with the same owner and returns its URL.
    ///
    /// # Errors
    ///
    /// Fails if the server does not answer.
    pub async fn create_database(&self) -> Result<String> {
        let name = format!("{OWNER}_{}", self.databases.fetch_add(1, Ordering::Relaxed) + 1);
        self.psql(&format!("CREATE DATABASE {name} OWNER {OWNER}")).await?;
        Ok(self.url_of(OWNER, &name))
    }

    /// Runs SQL in the first database as the superuser. Returns one row per line with columns
    /// separated by `|`, as `psql -At` prints them.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Failed`] with the message of `psql`.
    pub async fn psql(&self, sql: &str) -> Result<String> {
        self.psql_at(&self.superuser_url(), sql).await
    }

    /// Runs SQL at any URL: another database, another role, or through a proxy.
    ///
    /// # Errors
    ///
    /// Fails like [`psql`](Self::psql).
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

    /// Returns the certificate of the server's own authority, if it uses TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Returns the port for clients.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Returns the address for clients.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port()).into()
    }

    /// Returns the id of the running server.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Sends SIGKILL to the server and all of its sessions. Committed data is present after a
    /// restart.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Sends SIGSTOP to the server and all of its sessions: connections stay open and get no
    /// answer.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// Sends SIGCONT to the server and all of its sessions.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// Kills the server if it runs, starts it again on the same port and directory, and waits until
    /// it accepts clients.
    ///
    /// # Errors
    ///
    /// Fails like [`PostgresBuilder::start`].
    pub async fn restart(&self) -> Result<()> {
        self.kill();
        self.launch().await
    }

    /// Starts the process and waits until it accepts clients.
    pub(super) async fn launch(&self) -> Result<()> {
        self.process.spawn()?;
        self.process.until_ready(|| takes_clients(self.addr(), OWNER, OWNER)).await
    }

    fn url_of(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}:{PASSWORD}@{}/{database}", self.addr())
    }
}
