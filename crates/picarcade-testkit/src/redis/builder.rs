//! How a Redis server is to be: everything that is fixed when it starts.

use super::server::RedisServer;
use crate::error::{Error, Result};
use crate::host::port::Port;
use crate::host::process::{Process, Recipe};
use crate::host::program;
use crate::host::runtime;
use crate::host::scratch::Run;

/// Builds a [`RedisServer`]; made by [`RedisServer::builder`].
///
/// Unless an argument says otherwise the server keeps nothing on disk, so a restarted one is empty.
#[derive(Debug, Clone, Default)]
pub struct RedisBuilder {
    pub(super) password: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) arguments: Vec<(String, String)>,
    pub(super) primary: Option<(u16, Option<String>)>,
}

impl RedisBuilder {
    /// Clients must give this password.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Listens on this port, instead of any free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// A line of `redis.conf`, by its name with or without the leading dashes: `.arg("appendonly", "yes")`. The
    /// value is written as it is. Ours come first, so this one wins.
    #[must_use]
    pub fn arg(mut self, name: &str, value: impl Into<String>) -> Self {
        self.arguments.push((name.trim_start_matches('-').to_owned(), value.into()));
        self
    }

    /// Copies from `primary`, which must not use TLS. Ready when the first copy is complete.
    #[must_use]
    pub fn replica_of(mut self, primary: &RedisServer) -> Self {
        self.primary = Some((primary.port(), primary.password().map(str::to_owned)));
        self
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Errors
    ///
    /// `redis-server` is missing, or ended, or was not ready within a minute; its log is in the error.
    pub async fn start(self) -> Result<RedisServer> {
        runtime::run(async move {
            let server = self.build()?;
            server.launch().await?;
            Ok(server)
        })
        .await
    }

    fn build(self) -> Result<RedisServer> {
        let port = self.port.map_or_else(Port::free, Port::take)?;
        let directory = Run::current()?.directory("redis", None)?;
        let mut lines: Vec<(String, String)> = [
            ("bind", "127.0.0.1"),
            ("save", "\"\""),
            ("appendonly", "no"),
            ("daemonize", "no"),
            ("enable-debug-command", "yes"),
            ("repl-diskless-sync-delay", "0"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        lines.push(("port".to_owned(), port.number().to_string()));
        if let Some(password) = &self.password {
            lines.push(("requirepass".to_owned(), quoted(password)));
        }
        if let Some((primary, password)) = &self.primary {
            lines.push(("replicaof".to_owned(), format!("127.0.0.1 {primary}")));
            lines.extend(password.iter().map(|password| ("masterauth".to_owned(), quoted(password))));
        }
        lines.extend(self.arguments);
        let text: String = lines.iter().map(|(name, value)| format!("{name} {value}\n")).collect();
        // A file rather than arguments: no password in the process list, and `CONFIG REWRITE` works.
        let file = directory.path().join("redis.conf");
        std::fs::write(&file, text).map_err(Error::io("cannot write redis.conf"))?;
        let args = vec![file.into_os_string()];
        let program = program::redis_server()?;
        let recipe = Recipe { name: "redis-server", program, args, account: None, directory, quits: false };
        Ok(RedisServer::new(Process::new(recipe), port, self.password, self.primary.is_some()))
    }
}

/// A value of the configuration that may hold blanks and quotes.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}
