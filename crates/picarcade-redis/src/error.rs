//! Errors, named for what the caller does next.
//!
//! [`ConfigError`] is for start-up: the author of the configuration must change it. [`Error`] is
//! for the running system: the caller degrades, retries or gives up. Neither contains a password, a
//! key, a value or the text of a URL. Messages of servers are reduced to their code, because
//! servers quote the arguments of failed commands.

use std::borrow::Cow;

use crate::Cause;

/// A setting that can never work, returned once by
/// [`RedisHandle::connect`](crate::RedisHandle::connect).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The URL cannot be parsed.
    #[error("the {setting} is not a usable redis URL: {problem}")]
    Url {
        /// The setting: `url` or `backup url`.
        setting: &'static str,
        /// The problem, without the URL.
        problem: Cow<'static, str>,
    },
    /// The URL names something other than Redis.
    #[error(
        "the {setting} has an unsupported scheme: use redis, rediss, redis-sentinel, rediss-sentinel, redis-cluster or rediss-cluster"
    )]
    Scheme {
        /// The setting: `url` or `backup url`.
        setting: &'static str,
    },
    /// The CA bundle is not PEM, or contains no certificate.
    #[error("the redis CA bundle is not usable: {problem}")]
    Ca {
        /// The problem.
        problem: Cow<'static, str>,
    },
    /// A number or duration is out of its range.
    #[error("{setting} must be {expected}")]
    Range {
        /// The name of the setting.
        setting: &'static str,
        /// The range in words.
        expected: &'static str,
    },
    /// The chosen driver is not compiled in.
    #[error("the {driver} driver is not compiled in: enable the cargo feature of that name")]
    DriverMissing {
        /// The name of the driver, which is the name of the feature.
        driver: &'static str,
    },
    /// There is no tokio runtime for the tasks of the connection.
    #[error("a redis handle must be made inside a tokio runtime")]
    NoRuntime,
}

/// Why a command failed.
///
/// Two of the kinds mean that the *outcome is unknown* (the server may have executed the command):
/// [`Error::is_outcome_unknown`]. The others mean that it was not executed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No answer within the deadline. The command may have been executed.
    #[error("redis did not answer within the deadline")]
    Timeout,
    /// The connection broke during the command. The command may have been executed.
    #[error("the redis connection broke while a command was under way")]
    Lost,
    /// There is no connection, or the server is unavailable now (loading, fail-over).
    #[error("redis is not reachable")]
    Refused,
    /// The server accepts reads but no writes: a replica, or a primary that cannot persist.
    #[error("redis refuses writes")]
    ReadOnly,
    /// Too many commands are in flight. Nothing was sent.
    #[error("too many redis commands are under way")]
    Overloaded,
    /// The server rejects the credentials or forbids the command.
    #[error("redis refused the credentials or the permission")]
    Auth,
    /// TLS failed: a wrong CA, a wrong name, an expired certificate.
    #[error("the TLS handshake with redis failed")]
    Tls,
    /// A key or a value is larger than [`Config`](crate::Config) allows. Nothing was sent.
    #[error("a redis {what} is larger than {limit} bytes")]
    TooLarge {
        /// `key` or `value`; arguments of scripts and messages are values.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The server answered with an error that has a cause of its own. The command was not executed.
    #[error("redis cannot execute the command: {cause}")]
    Server {
        /// The cause.
        cause: Cause,
    },
    /// The answer of the server is invalid for this command. Retrying does not help.
    #[error("redis answered with an error or an unexpected reply: {code}")]
    Protocol {
        /// The error code of the server (`WRONGTYPE`, `CROSSSLOT`, ...), or what was unexpected.
        code: Cow<'static, str>,
    },
}

impl Error {
    /// Returns the error for a reply of an unexpected shape.
    pub(crate) fn unexpected(what: &'static str) -> Self {
        Self::Protocol { code: Cow::Borrowed(what) }
    }

    /// Returns the kind as a bounded word for labels and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Lost => "lost",
            Self::Refused => "refused",
            Self::ReadOnly => "read_only",
            Self::Overloaded => "overloaded",
            Self::Auth => "auth",
            Self::Tls => "tls",
            Self::TooLarge { .. } => "too_large",
            Self::Server { cause: Cause::Permission } => "auth",
            Self::Server { cause: Cause::Disk } => "read_only",
            Self::Server { .. } => "refused",
            Self::Protocol { .. } => "protocol",
        }
    }

    /// Returns the cause, as far as the error has it. [`RedisStatus`](crate::RedisStatus) has the
    /// exact cause of an endpoint that cannot be reached.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Timeout => Cause::Timeout,
            Self::Lost => Cause::Lost,
            Self::Refused => Cause::Refused,
            Self::ReadOnly => Cause::ReadOnly,
            Self::Overloaded => Cause::Overloaded,
            Self::Auth => Cause::Auth,
            Self::Tls => Cause::Tls,
            Self::TooLarge { .. } => Cause::TooLarge,
            Self::Server { cause } => *cause,
            Self::Protocol { .. } => Cause::Protocol,
        }
    }

    /// Returns whether the command may have been executed despite the error.
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::Timeout | Self::Lost)
    }

    /// Returns whether the same command may succeed later without a change of configuration.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout | Self::Lost | Self::Refused | Self::ReadOnly | Self::Overloaded => true,
            Self::Server { cause } => *cause != Cause::Permission,
            _ => false,
        }
    }

    /// Returns whether the error counts against the endpoint (and not against the command).
    pub(crate) fn blames_endpoint(&self) -> bool {
        !matches!(
            self,
            Self::Overloaded
                | Self::Auth
                | Self::TooLarge { .. }
                | Self::Protocol { .. }
                | Self::Server { cause: Cause::Permission }
        )
    }

    /// Returns whether the connection is unusable and must be replaced at once.
    pub(crate) fn ends_connection(&self) -> bool {
        matches!(self, Self::Lost | Self::ReadOnly | Self::Server { cause: Cause::Disk })
    }

    /// Returns the kind for an error code of a Redis server.
    #[cfg(any(feature = "redis", feature = "fred"))]
    pub(crate) fn from_code(code: &str) -> Self {
        match code {
            "READONLY" | "NOREPLICAS" => Self::ReadOnly,
            "MISCONF" => Self::Server { cause: Cause::Disk },
            "NOAUTH" | "WRONGPASS" => Self::Auth,
            "NOPERM" => Self::Server { cause: Cause::Permission },
            "LOADING" => Self::Server { cause: Cause::Loading },
            "CLUSTERDOWN" | "MASTERDOWN" => Self::Server { cause: Cause::NoPrimary },
            "TRYAGAIN" | "BUSY" => Self::Server { cause: Cause::Busy },
            "OOM" => Self::Overloaded,
            other => {
                let code: String =
                    other.chars().take(32).filter(|c| c.is_ascii_uppercase() || *c == '_').collect();
                Self::Protocol { code: if code.is_empty() { "ERR".into() } else { code.into() } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Error;
    use crate::Cause;

    #[test]
    fn codes_become_kinds_and_never_quote_the_server() {
        assert_eq!(Error::from_code("READONLY"), Error::ReadOnly);
        assert_eq!(Error::from_code("WRONGPASS"), Error::Auth);
        assert_eq!(Error::from_code("LOADING"), Error::Server { cause: Cause::Loading });
        assert_eq!(Error::from_code("MISCONF").kind(), "read_only");
        assert_eq!(
            (Error::from_code("NOPERM").kind(), Error::from_code("NOPERM").is_transient()),
            ("auth", false)
        );
        assert_eq!(Error::from_code("OOM"), Error::Overloaded);
        assert_eq!(Error::from_code("WRONGTYPE").to_string().split(": ").last(), Some("WRONGTYPE"));
        assert_eq!(Error::from_code("secret value"), Error::Protocol { code: "ERR".into() });
    }
}
