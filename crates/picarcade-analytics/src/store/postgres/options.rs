//! The settings of a PostgreSQL store.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::Error;
use crate::store::sql::retention::Retention;

/// The maximum duration of maintenance or of a migration. The first roll-up of many rows takes
/// minutes.
pub(super) const MAINTENANCE_TIMEOUT: Duration = Duration::from_mins(10);

/// The address of a PostgreSQL database and the maximum waits for it. `Debug` shows neither user
/// nor password.
#[derive(Clone)]
pub struct PostgresOptions {
    pub(super) connect: PgConnectOptions,
    /// The name of this session in `pg_stat_activity`, if it differs from the pool's.
    pub(super) application: Option<String>,
    /// The maximum number of connections. Each is opened on demand.
    pub max_connections: u32,
    /// The maximum time that [`PostgresStore::connect_with`](super::PostgresStore::connect_with)
    /// waits for the server before it continues without it.
    pub connect_timeout: Duration,
    /// The maximum wait for a connection.
    pub acquire_timeout: Duration,
    /// The maximum duration of one statement, on the client and on the server.
    pub statement_timeout: Duration,
    /// The maximum wait for a lock, on the server.
    pub lock_timeout: Duration,
    /// The maximum time that a migration waits for one lock of another session.
    pub migration_lock_timeout: Duration,
    /// How long rows are kept.
    pub retention: Retention,
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("host", &self.connect.get_host())
            .field("port", &self.connect.get_port())
            .field("database", &self.connect.get_database())
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}

impl PostgresOptions {
    /// Returns the default options for the database at `url`.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Config`] if the URL is not one of a PostgreSQL database. The message does
    /// not contain the URL.
    pub fn new(url: &str) -> Result<Self, Error> {
        let unusable = |why: &str| Error::Config(format!("the database URL is not usable: {why}"));
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(unusable("it must begin with postgres://"));
        }
        let url = known_parameters(url).map_err(unusable)?;
        let connect = PgConnectOptions::from_str(&url).map_err(|failed| match failed {
            // The parser's message names the flaw and not the URL.
            sqlx::Error::Configuration(flaw) => unusable(&flaw.to_string()),
            _ => unusable("it cannot be parsed"),
        })?;
        // Poolers refuse this start-up parameter, and values are exchanged in binary anyway.
        let connect = connect.extra_float_digits(None).application_name("picarcade-analytics");
        Ok(Self {
            connect,
            application: None,
            max_connections: 4,
            connect_timeout: Duration::from_secs(2),
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(3),
            migration_lock_timeout: Duration::from_mins(1),
            retention: Retention::default(),
        })
    }

    /// Trusts these PEM certificates too, besides the web roots and a `sslrootcert` of the URL. The
    /// connection uses TLS and checks the certificate and the host name, unless the URL has
    /// `sslmode=require` or `sslmode=verify-ca`: these check the certificate only, as in libpq.
    ///
    /// # Errors
    ///
    /// Returns [`Error::Config`] if the URL has `sslmode=disable`.
    pub fn with_ca(mut self, pem: Vec<u8>) -> Result<Self, Error> {
        let mode = match self.connect.get_ssl_mode() {
            PgSslMode::Disable => {
                return Err(Error::Config("cannot be used with sslmode=disable in the URL".to_owned()));
            }
            PgSslMode::Require | PgSslMode::VerifyCa => PgSslMode::VerifyCa,
            PgSslMode::Allow | PgSslMode::Prefer | PgSslMode::VerifyFull => PgSslMode::VerifyFull,
        };
        self.connect = self.connect.ssl_mode(mode).ssl_root_cert_from_pem(pem);
        Ok(self)
    }

    /// Returns the settings of a transaction as statements. The just-in-time compiler is off: over
    /// a large table it takes seconds for statements that run in milliseconds.
    pub(super) fn settings(&self) -> String {
        let settings = format!(
            "SET LOCAL jit = off; SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {};
             SET LOCAL idle_in_transaction_session_timeout = {}",
            self.statement_timeout.as_millis(),
            self.lock_timeout.as_millis(),
            self.statement_timeout.as_millis() * 2,
        );
        match &self.application {
            Some(application) => format!("{settings}; SET LOCAL application_name = '{application}'"),
            None => settings,
        }
    }
}

/// The query parameters of a URL that the driver knows.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// Returns the URL without the query parameters that the driver does not know. The driver would log
/// them with their values, which may be a part of a password.
///
/// A `/`, `?` or `#` in a password that is not percent-encoded ends the host: the driver would take
/// a part of the password for the database or a parameter. An `@` after the host shows that.
fn known_parameters(url: &str) -> Result<String, &'static str> {
    const ENCODE: &str = "the characters / ? # @ in a user name or password must be percent-encoded";
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = base.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    let is_known = |pair: &str| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        PARAMETERS.contains(&name) || name.starts_with("options[")
    };
    let (known, unknown): (Vec<_>, Vec<_>) =
        query.split('&').filter(|pair| !pair.is_empty()).partition(|pair| is_known(pair));
    if fragment.contains('@') || path.contains('@') || unknown.iter().any(|pair| pair.contains('@')) {
        return Err(ENCODE);
    }
    if !unknown.is_empty() {
        tracing::warn!(count = unknown.len(), "unknown parameters of the database URL are ignored");
    }
    Ok(if known.is_empty() { base.to_owned() } else { format!("{base}?{}", known.join("&")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_that_the_driver_would_log_are_left_out() {
        for (url, expected) in [
            ("postgres://u:p@h/d", "postgres://u:p@h/d"),
            ("postgres://u:p@h/d?pgbouncer=true&sslmode=require", "postgres://u:p@h/d?sslmode=require"),
            ("postgres://h?pasword=hunter2", "postgres://h"),
            ("postgres:///d?host=/run&options[a]=b#x", "postgres:///d?host=/run&options[a]=b"),
            ("postgres://h?application_name=a@b", "postgres://h?application_name=a@b"),
            ("postgres://u:p@ss@h/d", "postgres://u:p@ss@h/d"),
        ] {
            assert_eq!(known_parameters(url).as_deref(), Ok(expected), "{url}");
        }
    }

    #[test]
    fn a_password_that_is_not_percent_encoded_is_an_error_that_does_not_quote_it() {
        for url in [
            "postgres://u:12#hunter2@h/d",
            "postgres://u:12?hunter2@h/d",
            "postgres://u:12?a=hunter2@h/d",
            "postgres://u:12/hunter2@h/d",
            "postgres://u:hunter2?x@h/d",
        ] {
            let error = PostgresOptions::new(url).map(drop).unwrap_err().to_string();
            assert!(error.contains("percent-encoded") && !error.contains("hunter2"), "{url}: {error}");
        }
    }
}
