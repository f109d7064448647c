//! pgbouncer in transaction mode: what most hosted PostgreSQL looks like to its clients.

use std::net::{Ipv4Addr, SocketAddr};

use super::cluster::{OWNER, PASSWORD, SUPERUSER};
use super::probe::takes_clients;
use super::server::PostgresServer;
use crate::error::{Error, Result};
use crate::host::account::Account;
use crate::host::port::Port;
use crate::host::process::{Process, Recipe};
use crate::host::program;
use crate::host::runtime;
use crate::host::scratch::{Run, give};

/// A real pgbouncer in front of a [`PostgresServer`], killed when dropped.
///
/// Each transaction may run on another session of the server: session state (prepared statements by name, advisory locks of
/// the session, `SET`, `LISTEN`) does not hold from one to the next.
#[derive(Debug)]
pub struct PgBouncer {
    process: Process,
    port: Port,
}

impl PgBouncer {
    /// Starts one with a pool of four sessions for each database and role.
    ///
    /// # Errors
    ///
    /// pgbouncer is missing, or ended, or was not ready within a minute; its log is in the error.
    pub async fn start(server: &PostgresServer) -> Result<Self> {
        Self::start_with(server, 4).await
    }

    /// The same with another size of pool: 1 makes every client take turns.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn start_with(server: &PostgresServer, pool: u16) -> Result<Self> {
        let upstream = server.port();
        runtime::run(async move {
            let account = Account::for_postgres()?;
            let directory = Run::current()?.directory("pgbouncer", account.as_ref())?;
            let port = Port::free()?;
            let users = directory.path().join("users.txt");
            let file = directory.path().join("pgbouncer.ini");
            let users_text = format!("\"{OWNER}\" \"{PASSWORD}\"\n\"{SUPERUSER}\" \"{PASSWORD}\"\n");
            let text = format!(
                "[databases]\n* = host=127.0.0.1 port={upstream}\n\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
                 listen_port = {}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\n\
                 pool_mode = transaction\ndefault_pool_size = {pool}\nserver_login_retry = 1\n\
                 ignore_startup_parameters = extra_float_digits\n",
                port.number(),
                users.display(),
            );
            for (path, text) in [(&users, users_text), (&file, text)] {
                std::fs::write(path, text).map_err(Error::io("cannot write a file for pgbouncer"))?;
                give(path, account.as_ref())?;
            }
            let recipe = Recipe {
                name: "pgbouncer",
                program: program::pgbouncer()?,
                args: vec![file.into_os_string()],
                account,
                directory,
                quits: false,
            };
            let bouncer = Self { process: Process::new(recipe), port };
            bouncer.process.spawn()?;
            bouncer.process.until_ready(|| takes_clients(bouncer.addr(), OWNER, OWNER)).await?;
            Ok(bouncer)
        })
        .await
    }

    /// The server's first database, as its owner.
    pub fn url(&self) -> String {
        format!("postgres://{OWNER}:{PASSWORD}@{}/{OWNER}", self.addr())
    }

    /// The address that clients use.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port.number()).into()
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// SIGSTOP.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// The last lines of the log.
    pub fn log(&self) -> String {
        self.process.log()
    }
}
