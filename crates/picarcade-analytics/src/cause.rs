//! Why a database cannot be used, for logs and health pages.

use std::fmt;

use serde::Serialize;

/// Why a database cannot be used. A closed set: each cause has a word for labels and a sentence for
/// operators (`Display`). Neither contains text of a server, of a driver or of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The host name cannot be resolved.
    Dns,
    /// No process listens at the address.
    Refused,
    /// There is no route to the host.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// The connection was closed.
    Lost,
    /// The TLS handshake failed.
    Tls,
    /// The role or the password is wrong.
    Auth,
    /// The database does not exist.
    NoDatabase,
    /// The role lacks a privilege.
    Permission,
    /// The server has no free connection.
    TooManyConnections,
    /// The server starts, stops or recovers.
    Starting,
    /// The database accepts no writes.
    ReadOnly,
    /// A disk is full.
    Disk,
    /// The server is out of memory.
    Memory,
    /// Another session holds a lock.
    Locked,
    /// All connections of this process are in use.
    Pool,
    /// A file or directory cannot be used.
    File,
    /// The schema is not the one of this build.
    Schema,
    /// A row was rejected because of its content.
    Rejected,
    /// Another error.
    Other,
}

impl Cause {
    /// Every cause, in declaration order.
    pub const ALL: [Self; 20] = [
        Self::Dns,
        Self::Refused,
        Self::Unreachable,
        Self::Timeout,
        Self::Lost,
        Self::Tls,
        Self::Auth,
        Self::NoDatabase,
        Self::Permission,
        Self::TooManyConnections,
        Self::Starting,
        Self::ReadOnly,
        Self::Disk,
        Self::Memory,
        Self::Locked,
        Self::Pool,
        Self::File,
        Self::Schema,
        Self::Rejected,
        Self::Other,
    ];

    /// Returns the cause as a word for labels and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Lost => "lost",
            Self::Tls => "tls",
            Self::Auth => "auth",
            Self::NoDatabase => "no_database",
            Self::Permission => "permission",
            Self::TooManyConnections => "too_many_connections",
            Self::Starting => "starting",
            Self::ReadOnly => "read_only",
            Self::Disk => "disk",
            Self::Memory => "memory",
            Self::Locked => "locked",
            Self::Pool => "pool",
            Self::File => "file",
            Self::Schema => "schema",
            Self::Rejected => "rejected",
            Self::Other => "other",
        }
    }

    /// Returns the cause as a sentence without a full stop.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Dns => "the host name was not found (DNS)",
            Self::Refused => "the connection was refused: no server listens at this address",
            Self::Unreachable => "there is no route to the host",
            Self::Timeout => "there was no answer in time",
            Self::Lost => "the connection was closed",
            Self::Tls => {
                "the TLS handshake failed: an unknown CA, a certificate for another name, an expired \
                 certificate, or a server without TLS"
            }
            Self::Auth => "the role or the password is wrong, or the server does not let this client in",
            Self::NoDatabase => "the database does not exist",
            Self::Permission => "the role lacks a privilege",
            Self::TooManyConnections => "the server has no free connection",
            Self::Starting => "the server is starting, stopping or recovering",
            Self::ReadOnly => "the database accepts no writes: it is a standby or read-only",
            Self::Disk => "the disk is full",
            Self::Memory => "the server is out of memory",
            Self::Locked => "another session holds a lock",
            Self::Pool => "all connections of this process are in use",
            Self::File => "a file or directory cannot be opened, read or written",
            Self::Schema => "the schema is not the one of this build",
            Self::Rejected => "a row was rejected because of its content",
            Self::Other => "the database answered with an error",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.sentence())
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl Cause {
    /// Returns the cause of an error of the driver, from its kind and its code.
    pub(crate) fn of_driver(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(error) => Self::of_io(error.kind()),
            sqlx::Error::Tls(_) => Self::Tls,
            sqlx::Error::PoolTimedOut => Self::Pool,
            sqlx::Error::Protocol(_)
            | sqlx::Error::BeginFailed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::PoolClosed => Self::Lost,
            sqlx::Error::Database(answer) => Self::of_code(&answer.code().unwrap_or_default()),
            sqlx::Error::Encode(_) => Self::Rejected,
            _ => Self::Other,
        }
    }

    fn of_io(kind: std::io::ErrorKind) -> Self {
        use std::io::ErrorKind;
        match kind {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::TimedOut => Self::Timeout,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
                Self::Unreachable
            }
            ErrorKind::NotFound | ErrorKind::PermissionDenied => Self::File,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Disk,
            ErrorKind::InvalidData => Self::Tls,
            _ => Self::Lost,
        }
    }

    /// Returns the cause of an SQLSTATE of PostgreSQL, which has five characters, or of an extended
    /// result code of SQLite, a number of at most four digits.
    fn of_code(code: &str) -> Self {
        if code.len() < 5 {
            return match code.parse::<u32>().unwrap_or(0) & 0xff {
                3 => Self::Permission,
                5 | 6 => Self::Locked,
                7 => Self::Memory,
                8 => Self::ReadOnly,
                10 | 14 => Self::File,
                13 => Self::Disk,
                18..=20 | 25 => Self::Rejected,
                _ => Self::Other,
            };
        }
        match code {
            "42501" => Self::Permission,
            "53100" => Self::Disk,
            "53200" => Self::Memory,
            "53300" => Self::TooManyConnections,
            "57014" => Self::Timeout,
            "40P01" => Self::Locked,
            _ => match code.get(..2).unwrap_or_default() {
                "08" => Self::Lost,
                "22" | "23" | "54" => Self::Rejected,
                "25" => Self::ReadOnly,
                "28" => Self::Auth,
                "3D" => Self::NoDatabase,
                "42" => Self::Schema,
                "55" => Self::Locked,
                "57" => Self::Starting,
                "58" => Self::File,
                _ => Self::Other,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cause;

    #[test]
    fn every_cause_has_its_own_word_and_sentence() {
        for (index, cause) in Cause::ALL.into_iter().enumerate() {
            let later = Cause::ALL.into_iter().skip(index + 1);
            assert!(later.clone().all(|other| other.as_str() != cause.as_str()));
            assert!(later.clone().all(|other| other.to_string() != cause.to_string()));
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.as_str());
        }
    }

    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    #[test]
    fn codes_of_both_databases_become_causes() {
        for (code, cause) in [
            ("28P01", Cause::Auth),
            ("3D000", Cause::NoDatabase),
            ("53300", Cause::TooManyConnections),
            ("53100", Cause::Disk),
            ("25006", Cause::ReadOnly),
            ("57P03", Cause::Starting),
            ("42501", Cause::Permission),
            ("42P01", Cause::Schema),
            ("13", Cause::Disk),
            ("8", Cause::ReadOnly),
            ("1032", Cause::ReadOnly),
            ("5", Cause::Locked),
            ("14", Cause::File),
            ("2067", Cause::Rejected),
            ("", Cause::Other),
        ] {
            assert_eq!(Cause::of_code(code), cause, "{code}");
        }
    }
}
