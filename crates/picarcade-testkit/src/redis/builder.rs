//! The options of a Redis server that are fixed when it starts.

use std::path::Path;

use super::server::RedisServer;
use crate::error::{Error, Result};
use crate::host::port::Port;
use crate::host::process::{Process, Recipe};
use crate::host::program;
use crate::host::runtime;
use crate::host::scratch::Run;
use crate::tls::Tls;

/// Builds a [`RedisServer`]; created by [`RedisServer::builder`].
///
/// By default the server writes nothing to disk, so a restarted server is empty.
#[derive(Debug, Clone, Default)]
pub struct RedisBuilder {
    pub(super) password: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) arguments: Vec<(String, String)>,
    pub(super) primary: Option<(u16, Option<String>)>,
    pub(super) tls: bool,
    pub(super) cluster: bool,
    /// Watches the primary at this port instead of serving data.
    pub(super) watches: Option<u16>,
}

impl RedisBuilder {
    /// Requires this password from clients.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Sets the port; the default is any free port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Adds a line of `redis.conf`, by its name with or without leading dashes: `.arg("appendonly",
    /// "yes")`. The value is written unchanged. It overrides the settings of the kit.
    #[must_use]
    pub fn arg(mut self, name: &str, value: impl Into<String>) -> Self {
        self.arguments.push((name.trim_start_matches('-').to_owned(), value.into()));
        self
    }

    /// Requires TLS. Clients must trust [`RedisServer::ca_pem`], an authority that only this server
    /// has, so the authority of any other server is a wrong one.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Replicates `primary`. The server is ready when the first copy is complete.
    #[must_use]
    pub fn replica_of(mut self, primary: &RedisServer) -> Self {
        self.primary = Some((primary.plain_port(), primary.password().map(str::to_owned)));
        self
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Errors
    ///
    /// Fails if `redis-server` is missing, ends, or is not ready within a minute. The error
    /// contains the log.
    pub async fn start(self) -> Result<RedisServer> {
        runtime::run(async move {
            let server = self.build()?;
            server.launch().await?;
            Ok(server)
        })
        .await
    }

    pub(super) fn build(self) -> Result<RedisServer> {
        let port = self.port.map_or_else(Port::free, Port::take)?;
        let directory = Run::current()?.directory("redis", None)?;
        let mut lines = Lines::default();
        let mut extra_port = None;
        lines.add("bind", "127.0.0.1").add("daemonize", "no");
        let tls = if self.tls { Some(Tls::issue(directory.path())?) } else { None };
        if let Some(tls) = &tls {
            // The kit uses the additional plain port to inspect the server without TLS.
            let plain = Port::free()?;
            lines.add("port", plain.number().to_string()).add("tls-port", port.number().to_string());
            lines.add("tls-cert-file", path(&tls.certificate)).add("tls-key-file", path(&tls.key));
            lines.add("tls-ca-cert-file", path(&tls.ca)).add("tls-auth-clients", "no");
            extra_port = Some(plain);
        } else {
            lines.add("port", port.number().to_string());
        }
        if let Some(password) = &self.password {
            // A Sentinel requires no password. It uses this one for the servers that it watches.
            let name = if self.watches.is_some() { "sentinel auth-pass mymaster" } else { "requirepass" };
            lines.late(name, quoted(password));
        }
        if let Some(primary) = self.watches {
            lines.add("sentinel monitor", format!("mymaster 127.0.0.1 {primary} 2"));
            // Long enough that a busy machine causes no fail-over that no test ordered.
            lines.add("sentinel down-after-milliseconds", "mymaster 3000");
            lines.add("sentinel failover-timeout", "mymaster 9000");
        } else {
            lines.add("save", "\"\"").add("appendonly", "no").add("enable-debug-command", "yes");
            lines.add("repl-diskless-sync-delay", "0");
        }
        if self.cluster {
            let bus = Port::free()?;
            lines.add("cluster-enabled", "yes").add("cluster-config-file", "nodes.conf");
            lines.add("cluster-port", bus.number().to_string()).add("cluster-node-timeout", "5000");
            extra_port = Some(bus);
        }
        if let Some((primary, password)) = &self.primary {
            lines.add("replicaof", format!("127.0.0.1 {primary}"));
            if let Some(password) = password {
                lines.add("masterauth", quoted(password));
            }
        }
        for (name, value) in self.arguments {
            lines.late(&name, value);
        }
        // A file keeps the password out of the process list, and lets the server rewrite its
        // configuration.
        let file = directory.path().join("redis.conf");
        std::fs::write(&file, lines.text()).map_err(Error::io("cannot write redis.conf"))?;
        let mut args = vec![file.into_os_string()];
        if self.watches.is_some() {
            args.push("--sentinel".into());
        }
        let program = program::redis_server()?;
        let recipe = Recipe { name: "redis-server", program, args, account: None, directory, quits: false };
        Ok(RedisServer {
            process: Process::new(recipe),
            port,
            extra_port,
            password: self.password.filter(|_| self.watches.is_none()),
            tls,
        })
    }
}

/// The configuration: lines, and the lines that follow them.
#[derive(Default)]
struct Lines {
    first: String,
    last: String,
}

impl Lines {
    fn add(&mut self, name: &str, value: impl AsRef<str>) -> &mut Self {
        self.first.extend([name, " ", value.as_ref(), "\n"]);
        self
    }

    fn late(&mut self, name: &str, value: impl AsRef<str>) {
        self.last.extend([name, " ", value.as_ref(), "\n"]);
    }

    fn text(self) -> String {
        self.first + &self.last
    }
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// Quotes a value of the configuration that may contain spaces and quotes.
pub(super) fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}
