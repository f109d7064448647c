//! One `redis-server` process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::builder::RedisBuilder;
use super::resp::Value;
use super::wire::{COMMAND_TIMEOUT, ask};
use crate::error::{Error, Result};
use crate::host::port::Port;
use crate::host::process::Process;
use crate::host::runtime;
use crate::tls::Tls;

/// A real Redis on a free port of the loopback interface, killed on drop.
///
/// Signals (`kill`, `pause`, `resume`) have taken effect when the call returns.
#[derive(Debug)]
pub struct RedisServer {
    pub(super) process: Process,
    pub(super) port: Port,
    /// The additional plain port of a TLS server, or the bus port of a cluster node.
    pub(super) extra_port: Option<Port>,
    pub(super) password: Option<String>,
    pub(super) tls: Option<Tls>,
}

impl RedisServer {
    /// Starts a server without a password.
    ///
    /// # Errors
    ///
    /// Fails like [`RedisBuilder::start`].
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// Returns a builder for a server with other options.
    pub fn builder() -> RedisBuilder {
        RedisBuilder::default()
    }

    /// Returns the URL for clients with the password; `rediss://` with TLS.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "rediss" } else { "redis" };
        let secret = self
            .password
            .as_ref()
            .map(|password| format!(":{}@", percent_encoded(password)))
            .unwrap_or_default();
        format!("{scheme}://{secret}{}", self.addr())
    }

    /// Returns the port for clients.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Returns the address for clients.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port()).into()
    }

    /// Returns the password for clients.
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// Returns the certificate of the authority that a client must trust, in PEM form, or `None`
    /// without TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.tls.as_ref().map(|tls| tls.ca_pem.as_str())
    }

    /// Returns the file with that certificate.
    pub fn ca_path(&self) -> Option<&Path> {
        self.tls.as_ref().map(|tls| tls.ca.as_path())
    }

    /// Returns the id of the running process.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Sends SIGKILL: connections are reset, new ones are refused, and data that was not on disk is
    /// lost.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Sends SIGSTOP: connections stay open, the system accepts new ones, and no command is
    /// answered.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// Sends SIGCONT: the server continues and answers the commands that arrived meanwhile.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// Kills the server if it runs, starts it again on the same port and directory, and waits until
    /// it answers.
    ///
    /// # Errors
    ///
    /// Fails like [`RedisBuilder::start`].
    pub async fn restart(&self) -> Result<()> {
        self.kill();
        self.launch().await
    }

    /// Runs one command through its own connection and returns the reply as text (see the `Display`
    /// of [`Value`]).
    ///
    /// # Errors
    ///
    /// Returns [`Error::Refused`] with the error reply of the server. Fails without a connection,
    /// or without an answer within a minute.
    pub async fn command(&self, arguments: &[&str]) -> Result<String> {
        match self.query(arguments).await? {
            Value::Error(error) => Err(Error::Refused(error)),
            value => Ok(value.to_string()),
        }
    }

    /// Runs one command through its own connection and returns the reply, which may be an error
    /// reply.
    ///
    /// # Errors
    ///
    /// Fails without a connection, or without an answer within a minute.
    pub async fn query(&self, arguments: &[impl AsRef<[u8]>]) -> Result<Value> {
        let arguments: Vec<Vec<u8>> = arguments.iter().map(|argument| argument.as_ref().to_vec()).collect();
        let (address, password) = (self.plain_addr(), self.password.clone());
        runtime::run(async move { ask(address, password.as_deref(), &arguments, COMMAND_TIMEOUT).await })
            .await
    }

    /// Returns how often the server ran each command, by its lower-case name, since its start or
    /// the last `CONFIG RESETSTAT`.
    ///
    /// # Errors
    ///
    /// Fails like [`command`](Self::command).
    pub async fn calls(&self, name: &str) -> Result<u64> {
        let report = self.command(&["INFO", "commandstats"]).await?;
        let prefix = format!("cmdstat_{name}:calls=");
        Ok(report
            .lines()
            .find_map(|line| line.strip_prefix(&prefix)?.split(',').next()?.parse().ok())
            .unwrap_or(0))
    }

    /// Starts the process and waits until it answers.
    pub(super) async fn launch(&self) -> Result<()> {
        self.process.spawn()?;
        self.process.until_ready(|| self.is_ready()).await
    }

    /// Succeeds if the server answers, has read its files, and has completed its first copy of a
    /// primary.
    async fn is_ready(&self) -> Result<()> {
        match ask(self.plain_addr(), self.password(), &[b"INFO".to_vec()], Duration::from_secs(2)).await? {
            Value::Error(error) => Err(Error::Refused(error)),
            value => {
                let report = value.to_string();
                // A server that loads its files reports this state and refuses all other commands.
                if report.contains("loading:1") {
                    return Err(Error::Protocol("it is still reading its files".to_owned()));
                }
                if report.contains("role:slave") && !report.contains("master_link_status:up") {
                    return Err(Error::Protocol(
                        "the first copy from the primary is not complete".to_owned(),
                    ));
                }
                Ok(())
            }
        }
    }

    /// Returns the port without TLS.
    pub(super) fn plain_port(&self) -> u16 {
        match (&self.tls, &self.extra_port) {
            (Some(_), Some(plain)) => plain.number(),
            _ => self.port(),
        }
    }

    fn plain_addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.plain_port()).into()
    }
}

/// Encodes everything except letters, digits and `-._~` as `%XX` (RFC 3986), so that any password
/// fits into a URL.
pub(super) fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
