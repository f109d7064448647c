//! Why an endpoint cannot be used, for logs and health pages.

use std::fmt;

use serde::Serialize;

/// Why an endpoint of Redis cannot be used. A closed set: each cause has a word for labels and a
/// sentence for operators (`Display`). Neither contains text of a server, of a driver or of a URL.
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
    /// The user name or the password is wrong or missing.
    Auth,
    /// The user lacks a permission.
    Permission,
    /// The server accepts no writes.
    ReadOnly,
    /// The server cannot save to its disk.
    Disk,
    /// The server loads its data.
    Loading,
    /// The Sentinels or the cluster have no usable primary.
    NoPrimary,
    /// The server runs a script for too long, or moves the keys.
    Busy,
    /// The server is out of memory, or too many commands are in flight.
    Overloaded,
    /// A key or value is too large.
    TooLarge,
    /// An unexpected reply.
    Protocol,
}

impl Cause {
    /// Every cause, in declaration order.
    pub const ALL: [Self; 16] = [
        Self::Dns,
        Self::Refused,
        Self::Unreachable,
        Self::Timeout,
        Self::Lost,
        Self::Tls,
        Self::Auth,
        Self::Permission,
        Self::ReadOnly,
        Self::Disk,
        Self::Loading,
        Self::NoPrimary,
        Self::Busy,
        Self::Overloaded,
        Self::TooLarge,
        Self::Protocol,
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
            Self::Permission => "permission",
            Self::ReadOnly => "read_only",
            Self::Disk => "disk",
            Self::Loading => "loading",
            Self::NoPrimary => "no_primary",
            Self::Busy => "busy",
            Self::Overloaded => "overloaded",
            Self::TooLarge => "too_large",
            Self::Protocol => "protocol",
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
            Self::Auth => "the user name or password is wrong or missing",
            Self::Permission => "the user lacks a permission (ACL)",
            Self::ReadOnly => "the server accepts no writes: it is a replica or has too few replicas",
            Self::Disk => "the server accepts no writes: it cannot save to its disk",
            Self::Loading => "the server is loading its data",
            Self::NoPrimary => "the Sentinels or the cluster have no usable primary",
            Self::Busy => "the server is busy with a script or moves keys",
            Self::Overloaded => "the server is out of memory, or too many commands are in flight",
            Self::TooLarge => "a key or value is too large",
            Self::Protocol => "the server answered with an error or an unexpected reply",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.sentence())
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
            assert_eq!(
                format!("{cause:?}").len() + cause.as_str().matches('_').count(),
                cause.as_str().len()
            );
        }
    }
}
