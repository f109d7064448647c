//! pgbouncer in transaction mode, which is how clients reach most hosted PostgreSQL.

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

/// A real pgbouncer in front of a [`PostgresServer`], killed on drop.
///
/// Each transaction may run in another session of the server. State of a session (named prepared
/// statements, session advisory locks, `SET`, `LISTEN`) does not persist between transactions.
#[derive(Debug)]
pub struct PgBouncer {
    process: Process,
    port: Port,
}

impl PgBouncer {
    /// Starts pgbouncer with a pool of four sessions per database and role.
    ///
    /// # Errors
    ///
    /// Fails if pgbouncer is missing, ends, or is not ready within a minute. The error contains the
    /// log.
    pub async fn start(server: &PostgresServer) -> Result<Self> {
        Self::start_with(server, 4).await
    }

    /// Starts pgbouncer with this pool size. With 1, clients take turns.
    ///
    /// # Errors
    ///
    /// Fails like [`start`](Self::start).
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

    /// Returns the URL of the first database of the server, as its owner.
    pub fn url(&self) -> String {
        format!("postgres://{OWNER}:{PASSWORD}@{}/{OWNER}", self.addr())
    }

    /// Returns the address for clients.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port.number()).into()
    }

    /// Sends SIGKILL.
    pub fn kill(&self) {
        self.process.kill();
    }
}
