//! A Lua script and the hash that names it on the server.
//!
//! Scripts are sent by hash (`EVALSHA`), and by source only when the server says that it does not know the
//! hash: after a restart, a fail-over, or on a cluster node that meets it for the first time.

use std::fmt;

/// A server-side script, to be made once and used many times.
///
/// ```
/// use picarcade_redis::Script;
/// let script = Script::new("answer", "return 42");
/// assert_eq!(script.sha1().len(), 40);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Script {
    name: &'static str,
    source: &'static str,
    sha1: String,
}

impl Script {
    /// A script with a name for logs and its Lua source.
    pub fn new(name: &'static str, source: &'static str) -> Self {
        Self { name, source, sha1: sha1_smol::Sha1::from(source).hexdigest() }
    }

    /// The name given at creation.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The Lua source.
    pub fn source(&self) -> &'static str {
        self.source
    }

    /// The SHA-1 of the source in lower-case hexadecimal: the server's name for the script.
    pub fn sha1(&self) -> &str {
        &self.sha1
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("name", &self.name).field("sha1", &self.sha1).finish_non_exhaustive()
    }
}
