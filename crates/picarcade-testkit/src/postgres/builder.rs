//! The options of a PostgreSQL server.

use std::os::unix::fs::PermissionsExt;

use super::cluster;
use super::server::PostgresServer;
use crate::error::{Error, Result};
use crate::host::account::Account;
use crate::host::port::Port;
use crate::host::process::{Process, Recipe};
use crate::host::program;
use crate::host::runtime;
use crate::host::scratch::give;
use crate::tls::Tls;

/// Builds a [`PostgresServer`]; created by [`PostgresServer::builder`].
#[derive(Debug, Clone, Default)]
pub struct PostgresBuilder {
    port: Option<u16>,
    arguments: Vec<(String, String)>,
    tls: bool,
}

impl PostgresBuilder {
    /// Sets the port; the default is any free port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Adds a line of `postgresql.conf`: `.arg("max_connections", "5")`. It overrides the settings
    /// of the kit.
    #[must_use]
    pub fn arg(mut self, name: &str, value: impl Into<String>) -> Self {
        self.arguments.push((name.to_owned(), value.into()));
        self
    }

    /// Offers TLS. Clients that verify the certificate must trust [`PostgresServer::ca_pem`], an
    /// authority that only this server has.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Starts the server and waits until it accepts clients.
    ///
    /// # Errors
    ///
    /// Fails if PostgreSQL is missing, ends, or is not ready within a minute. The error contains
    /// the log.
    pub async fn start(self) -> Result<PostgresServer> {
        runtime::run(async move {
            let server = self.build().await?;
            server.launch().await?;
            Ok(server)
        })
        .await
    }

    async fn build(self) -> Result<PostgresServer> {
        let account = Account::for_postgres()?;
        let directory = cluster::fresh(account).await?;
        let port = self.port.map_or_else(Port::free, Port::take)?;
        let pgdata = directory.path().join("pgdata");
        let file = pgdata.join("postgresql.conf");
        let mut text = std::fs::read_to_string(&file).map_err(Error::io("cannot read postgresql.conf"))?;
        text += &self.configuration(port.number());
        let tls = if self.tls { Some(Tls::issue(&pgdata)?) } else { None };
        if let Some(tls) = &tls {
            text += "ssl = 'on'\nssl_cert_file = 'certificate.pem'\nssl_key_file = 'key.pem'\n";
            // The server refuses a key that others may read.
            let mode = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&tls.key, mode).map_err(Error::io("cannot protect the key"))?;
            for path in [&tls.key, &tls.certificate] {
                give(path, account.as_ref())?;
            }
        }
        std::fs::write(&file, text).map_err(Error::io("cannot write postgresql.conf"))?;
        let recipe = Recipe {
            name: "postgres",
            program: program::postgres("postgres")?,
            args: vec!["-D".into(), pgdata.into()],
            account,
            directory,
            quits: true,
        };
        Ok(PostgresServer::new(Process::new(recipe), port, tls.map(|tls| tls.ca_pem)))
    }

    fn configuration(&self, port: u16) -> String {
        let port = port.to_string();
        let ours = [
            ("port", port.as_str()),
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", ""),
            // Commits survive a crash of the server without it, and no test crashes the machine.
            ("fsync", "off"),
            ("full_page_writes", "off"),
            // Sockets are in the directory of the server. In /dev/shm a killed server would leave
            // files behind.
            ("dynamic_shared_memory_type", "mmap"),
            ("shared_buffers", "32MB"),
            ("max_wal_size", "1GB"),
            ("timezone", "UTC"),
            ("logging_collector", "off"),
        ];
        let theirs = self.arguments.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut text = String::new();
        for (name, value) in ours.into_iter().chain(theirs) {
            text.extend([name, " = '", &value.replace('\'', "''"), "'\n"]);
        }
        text
    }
}
