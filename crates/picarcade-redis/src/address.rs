//! Redis URLs. This crate parses them, not the driver, so a URL means the same for every driver.
//!
//! | form | meaning |
//! | --- | --- |
//! | `redis://[user[:password]@]host[:port][/db]` | one server |
//! | `redis-cluster://[user[:password]@]host[:port][,...]` | a cluster, found through any node |
//! | `redis-sentinel://[user[:password]@]host[:port][,...][/db][?master=NAME]` | a Sentinel master
//! |
//!
//! The schemes `rediss`, `rediss-cluster` and `rediss-sentinel` use TLS for all connections. The
//! default port is 6379, for Sentinels 26379. The default master is `mymaster`. Further nodes may
//! also be listed as `?node=host:port`, and the master as `?sentinelServiceName=NAME`.
//!
//! Credentials are for the data servers. Sentinels with other credentials take `?sentinelUsername=`
//! and `?sentinelPassword=`. Percent-encoded parts are decoded.
//!
//! Errors never quote the URL, because it may contain a password.

use std::{borrow::Cow, fmt};

/// The location of Redis and the way to connect.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// The kind of Redis.
    pub topology: Topology,
    /// The servers (or Sentinels) to connect to first: at least one.
    pub nodes: Vec<Node>,
    /// Whether every connection uses TLS.
    pub tls: bool,
    /// The number of the database, 0 to 15 on most servers; always 0 in a cluster.
    pub database: u8,
    /// The credentials for the data servers.
    pub credentials: Credentials,
}

/// The kind of Redis that an address names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topology {
    /// One server.
    Standalone,
    /// A Redis Cluster.
    Cluster,
    /// A master that Sentinels know.
    Sentinel {
        /// The name of the master.
        master: String,
        /// The credentials for the Sentinels.
        credentials: Credentials,
    },
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// A user name and a password. `Debug` shows only whether they are set.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    /// The ACL user; `None` is the user `default` of the server.
    pub username: Option<String>,
    /// The password.
    pub password: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username.is_some())
            .field("password", &self.password.as_ref().map(|_| "***"))
            .finish()
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("topology", &self.topology)
            .field("nodes", &self.nodes)
            .field("tls", &self.tls)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

/// Why a URL is not usable, without the URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AddressError {
    Scheme,
    Malformed(Cow<'static, str>),
}

impl Address {
    /// Parses a URL of one of the forms above.
    pub(crate) fn parse(url: &str) -> Result<Self, AddressError> {
        let malformed = |problem: &'static str| AddressError::Malformed(Cow::Borrowed(problem));
        let (scheme, rest) = url.trim().split_once("://").ok_or(AddressError::Scheme)?;
        let (tls, kind) = match scheme.to_ascii_lowercase().as_str() {
            "redis" => (false, Kind::Standalone),
            "rediss" => (true, Kind::Standalone),
            "redis-cluster" => (false, Kind::Cluster),
            "rediss-cluster" => (true, Kind::Cluster),
            "redis-sentinel" => (false, Kind::Sentinel),
            "rediss-sentinel" => (true, Kind::Sentinel),
            _ => return Err(AddressError::Scheme),
        };
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let mut pairs = query.split('&').filter(|pair| !pair.is_empty());
        // A separator in a password that is not percent-encoded would turn a part of the password
        // into a host.
        if fragment.contains('@') || path.contains('@') || pairs.any(|pair| !pair.contains('=')) {
            return Err(malformed(
                "the characters / ? # @ in a user name or password must be percent-encoded",
            ));
        }
        let (userinfo, hosts) = match authority.rsplit_once('@') {
            Some((userinfo, hosts)) => (Some(userinfo), hosts),
            None => (None, authority),
        };

        let port = if kind == Kind::Sentinel { 26379 } else { 6379 };
        let mut nodes = hosts
            .split(',')
            .map(|text| Node::parse(text, port).map_err(malformed))
            .collect::<Result<Vec<_>, _>>()?;
        let credentials = match userinfo {
            Some(text) => Credentials::parse(text).map_err(malformed)?,
            None => Credentials::default(),
        };

        let mut master = String::from("mymaster");
        let mut sentinel = Credentials::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = decode(value).map_err(malformed)?;
            match name {
                "node" => nodes.push(Node::parse(&value, port).map_err(malformed)?),
                "master" | "sentinelServiceName" => master = value,
                "sentinelUsername" => sentinel.username = Some(value),
                "sentinelPassword" => sentinel.password = Some(value),
                _ => return Err(malformed("unknown query parameter")),
            }
        }

        let database = match path.trim_matches('/') {
            "" => 0,
            text => text.parse().map_err(|_| malformed("the database is not a number from 0 to 255"))?,
        };
        let topology = match kind {
            Kind::Standalone if nodes.len() > 1 => {
                return Err(malformed("several hosts need the scheme redis-cluster or redis-sentinel"));
            }
            Kind::Cluster if database != 0 => return Err(malformed("a cluster has only database 0")),
            Kind::Sentinel if master.is_empty() => return Err(malformed("the master's name is empty")),
            Kind::Standalone => Topology::Standalone,
            Kind::Cluster => Topology::Cluster,
            Kind::Sentinel => Topology::Sentinel { master, credentials: sentinel },
        };
        Ok(Self { topology, nodes, tls, database, credentials })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Standalone,
    Cluster,
    Sentinel,
}

impl Node {
    fn parse(text: &str, default_port: u16) -> Result<Self, &'static str> {
        let (host, port) = if let Some(bracketed) = text.strip_prefix('[') {
            let (host, after) =
                bracketed.split_once(']').ok_or("an IPv6 address lacks its closing bracket")?;
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err("something follows the closing bracket of an IPv6 address"),
            }
        } else {
            match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '@' || c == '%') {
            return Err("a host is missing or malformed");
        }
        let port = match port {
            Some(port) => match port.parse() {
                Ok(0) | Err(_) => return Err("a port is not a number from 1 to 65535"),
                Ok(port) => port,
            },
            None => default_port,
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

impl Credentials {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (username, password) = match text.split_once(':') {
            Some((username, password)) => (username, Some(decode(password)?)),
            None => (text, None),
        };
        let username = decode(username)?;
        Ok(Self { username: (!username.is_empty()).then_some(username), password })
    }
}

/// Decodes percent-encoding (RFC 3986, section 2.1).
fn decode(text: &str) -> Result<String, &'static str> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
            let (Some(high), Some(low)) = (digit(), digit()) else {
                return Err("a percent sign is not followed by two hexadecimal digits");
            };
            out.push((high * 16 + low) as u8);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).map_err(|_| "percent-encoded text is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::{Address, AddressError, Credentials, Node, Topology, decode};
    use proptest::prelude::*;

    fn node(host: &str, port: u16) -> Node {
        Node { host: host.into(), port }
    }

    #[test]
    fn every_form_is_parsed() {
        let plain = Address::parse("redis://cache.internal").unwrap();
        assert_eq!(plain.nodes, [node("cache.internal", 6379)]);
        assert_eq!((plain.tls, plain.database, &plain.topology), (false, 0, &Topology::Standalone));

        let full = Address::parse("rediss://app:p%40ss%3Aword@[::1]:7000/3").unwrap();
        assert_eq!(full.nodes, [node("::1", 7000)]);
        assert!(full.tls);
        assert_eq!(full.database, 3);
        assert_eq!(full.credentials.username.as_deref(), Some("app"));
        assert_eq!(full.credentials.password.as_deref(), Some("p@ss:word"));

        let only_password = Address::parse("redis://:hunter2@h").unwrap();
        assert_eq!(only_password.credentials.username, None);
        assert_eq!(only_password.credentials.password.as_deref(), Some("hunter2"));

        let cluster = Address::parse("redis-cluster://a:1,b:2?node=c:3").unwrap();
        assert_eq!(cluster.nodes, [node("a", 1), node("b", 2), node("c", 3)]);
        assert_eq!(cluster.topology, Topology::Cluster);

        let sentinel = Address::parse("redis-sentinel://u:p@a,b:2/1?master=main&sentinelPassword=s").unwrap();
        assert_eq!(sentinel.nodes, [node("a", 26379), node("b", 2)]);
        assert_eq!(
            sentinel.topology,
            Topology::Sentinel {
                master: "main".into(),
                credentials: Credentials { username: None, password: Some("s".into()) }
            }
        );
    }

    #[test]
    fn unusable_urls_are_rejected_without_quoting_them() {
        for url in ["http://h", "h:6379", "", "memcached://h", "redis:h"] {
            assert_eq!(Address::parse(url), Err(AddressError::Scheme), "{url}");
        }
        for url in [
            "redis://",
            "redis://h:port",
            "redis://h:0",
            "redis://h:70000",
            "redis://h/abc",
            "redis://h/300",
            "redis://a,b",
            "redis://u:%zz@h",
            "redis://[::1",
            "redis://[::1]x",
            "redis-cluster://a/1",
            "redis-cluster://a,,b",
            "redis-sentinel://a?master=",
            "redis://h?tiemout=1",
            "redis://h h",
            "redis://u:12#x@h",
            "redis://u:12?x@h",
            "redis://u:12/x@h",
            "redis://u:12?a=x@h",
            "redis://h?tiemout",
        ] {
            assert!(matches!(Address::parse(url), Err(AddressError::Malformed(_))), "{url}");
        }
    }

    #[test]
    fn debug_hides_secrets() {
        let shown = format!(
            "{:?}",
            Address::parse("redis-sentinel://me:hunter2@h?sentinelPassword=hunter3").unwrap()
        );
        assert!(!shown.contains("hunter") && !shown.contains("\"me\""), "{shown}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_but_never_panics(text in "\\PC{0,60}") {
            let _ = Address::parse(&text);
            let _ = Address::parse(&format!("redis://{text}"));
            let _ = Address::parse(&format!("redis-sentinel://{text}"));
        }

        #[test]
        fn any_password_survives_percent_encoding(password in "\\PC{1,20}") {
            let encoded: String = password.bytes().flat_map(|byte| format!("%{byte:02x}").into_bytes()).map(char::from).collect();
            prop_assert_eq!(decode(&encoded), Ok(password.clone()));
            let address = Address::parse(&format!("redis://:{encoded}@host")).unwrap();
            prop_assert_eq!(address.credentials.password, Some(password));
        }
    }
}
