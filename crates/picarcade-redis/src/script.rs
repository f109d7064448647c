//! A Lua script and the hash that names it on the server.
//!
//! Scripts are sent by hash (`EVALSHA`). The source is sent only if the server does not know the
//! hash: after a restart, after a fail-over, or on a cluster node that sees it for the first time.

use std::fmt;

/// A server-side script, created once and used many times.
#[derive(Clone, PartialEq, Eq)]
pub struct Script {
    name: &'static str,
    source: &'static str,
    sha1: String,
}

impl Script {
    /// Creates a script with a name for logs and its Lua source.
    pub fn new(name: &'static str, source: &'static str) -> Self {
        Self { name, source, sha1: sha1_smol::Sha1::from(source).hexdigest() }
    }

    /// Returns the name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the Lua source.
    pub fn source(&self) -> &'static str {
        self.source
    }

    /// Returns the SHA-1 of the source in lower-case hexadecimal, which is the name of the script
    /// on the server.
    pub fn sha1(&self) -> &str {
        &self.sha1
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("name", &self.name).field("sha1", &self.sha1).finish_non_exhaustive()
    }
}
