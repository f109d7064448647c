//! The address of a client behind a proxy (RFC 7239, and the older `X-Forwarded-For`).
//!
//! A header field is believed only on a connection from a trusted proxy. Each proxy appends the
//! address that it sees, so the list is read from its end: the first address that is no trusted
//! proxy is the client. Everything before it may be forged.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HeaderName, HeaderValue};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The most proxies in a row.
const MAX_PROXIES: usize = 16;

/// The address ranges of the proxies whose header fields are believed.
#[derive(Clone, Debug)]
pub(crate) struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    pub(crate) const fn new(ranges: Vec<IpNet>) -> Self {
        Self(ranges)
    }

    /// Returns whether an address is one of the proxies.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|range| range.contains(&address))
    }

    /// Returns the address of the client that a proxy at `peer` names, or `None` if it names none
    /// that can be believed.
    ///
    /// A proxy writes one of the two header fields and passes the other one on as the client sent
    /// it. So if both are there, they must name the same address.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        if !self.contains(peer) {
            return None;
        }
        let forwarded = headers.contains_key(FORWARDED).then(|| self.last_stranger(headers, &FORWARDED));
        let older =
            headers.contains_key(X_FORWARDED_FOR).then(|| self.last_stranger(headers, &X_FORWARDED_FOR));
        match (forwarded, older) {
            (Some(forwarded), Some(older)) if forwarded == older => forwarded,
            (Some(client), None) | (None, Some(client)) => client,
            _ => None,
        }
    }

    /// Returns the last address of a list that is no trusted proxy. An entry that is no address
    /// ends the search: a proxy that hides its client vouches for nothing before it.
    fn last_stranger(&self, headers: &HeaderMap, name: &HeaderName) -> Option<IpAddr> {
        let entry = if name == FORWARDED { forwarded_for } else { address };
        let fields: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
        let entries = fields.iter().rev().flat_map(|field| field.as_bytes().rsplit(|byte| *byte == b','));
        for text in entries.take(MAX_PROXIES) {
            let address = entry(str::from_utf8(text).ok()?.trim())?;
            if !self.contains(address) {
                return Some(address);
            }
        }
        None
    }
}

/// Parses one element of `Forwarded`, such as `for="[2001:db8::1]:4711";proto=https`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut values = element.split(';').filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then_some(value)
    });
    let value = values.next().filter(|_| values.next().is_none())?;
    match value.strip_prefix('"') {
        Some(quoted) => address(quoted.strip_suffix('"')?),
        None => address(value),
    }
}

/// Parses an address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let address = text.parse().ok().or_else(bracketed);
    let address = address.or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))?;
    Some(address.to_canonical()).filter(|address| *address != IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PROXY: [u8; 4] = [10, 0, 0, 1];

    fn trusted() -> TrustedProxies {
        TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap(), "2001:db8:aaaa::/48".parse().unwrap()])
    }

    fn client(fields: &[(&'static str, &str)]) -> Option<IpAddr> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        trusted().client(PROXY.into(), &headers)
    }

    #[test]
    fn the_last_address_that_is_no_proxy_is_the_client() {
        let cases = [
            ("x-forwarded-for", "192.0.2.7", "192.0.2.7"),
            ("x-forwarded-for", "1.1.1.1, 192.0.2.7, 10.2.3.4", "192.0.2.7"),
            ("x-forwarded-for", "192.0.2.7:4711", "192.0.2.7"),
            ("x-forwarded-for", "2001:db8::1", "2001:db8::1"),
            ("x-forwarded-for", "[2001:db8::1]:4711,2001:db8:aaaa::2", "2001:db8::1"),
            ("x-forwarded-for", "::ffff:192.0.2.7", "192.0.2.7"),
            ("forwarded", "for=192.0.2.7", "192.0.2.7"),
            ("forwarded", "for=1.1.1.1;proto=http, For=\"192.0.2.7:80\";by=10.0.0.9", "192.0.2.7"),
            ("forwarded", "proto=https;for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
        ];
        for (name, value, wanted) in cases {
            assert_eq!(client(&[(name, value)]), Some(wanted.parse().unwrap()), "{name}: {value}");
        }
    }

    #[test]
    fn a_field_that_names_no_address_is_not_believed() {
        for value in
            ["", ",", "unknown", "_hidden", "192.0.2.7, unknown", "[::1", "1.2.3", "10.0.0.1, 10.0.0.2"]
        {
            assert_eq!(client(&[("x-forwarded-for", value)]), None, "{value}");
        }
        for value in [
            "for=unknown",
            "for=_secret",
            "for=",
            "for=\"192.0.2.7",
            "by=192.0.2.7",
            "for=1.1.1.1;for=2.2.2.2",
        ] {
            assert_eq!(client(&[("forwarded", value)]), None, "{value}");
        }
        let long = vec!["10.0.0.1"; 1000].join(",");
        assert_eq!(client(&[("x-forwarded-for", &format!("192.0.2.7,{long}"))]), None);
    }

    #[test]
    fn several_fields_are_one_list() {
        let fields = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "192.0.2.7, 10.0.0.2")];
        assert_eq!(client(&fields), Some([192, 0, 2, 7].into()));
    }

    #[test]
    fn both_fields_must_agree() {
        let both = |forwarded, older| client(&[("forwarded", forwarded), ("x-forwarded-for", older)]);
        assert_eq!(both("for=192.0.2.7", "192.0.2.7"), Some([192, 0, 2, 7].into()));
        assert_eq!(both("for=192.0.2.8", "192.0.2.7"), None);
        assert_eq!(both("for=unknown", "192.0.2.7"), None);
    }

    #[test]
    fn a_peer_that_is_no_proxy_is_not_believed() {
        let headers = HeaderMap::from_iter([(X_FORWARDED_FOR, HeaderValue::from_static("192.0.2.7"))]);
        assert_eq!(trusted().client([192, 0, 2, 1].into(), &headers), None);
        assert!(trusted().client("::ffff:10.0.0.1".parse().unwrap(), &headers).is_some());
    }

    proptest! {
        #[test]
        fn no_text_panics_or_names_a_proxy(value in "[0-9a-f.:,;=\"\\[\\] for]{0,60}") {
            for name in ["forwarded", "x-forwarded-for"] {
                if let Some(client) = client(&[(name, value.as_str())]) {
                    prop_assert!(!trusted().contains(client));
                }
            }
        }
    }
}
