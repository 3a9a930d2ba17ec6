//! Where a connection really comes from, when a reverse proxy is in between.
//!
//! Each proxy appends the address that it was called from. What a client writes itself stands further
//! left, so the list is read from the right, and the first address that is no trusted proxy's counts.

use crate::config::{ProxyHeader, Server};
use hyper::header::{FORWARDED, HeaderMap, HeaderName};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose word counts.
pub(super) struct Proxies {
    trusted: Vec<IpNet>,
    header: ProxyHeader,
}

impl Proxies {
    pub(super) fn of(server: &Server) -> Self {
        Self { trusted: server.trusted_proxies.clone(), header: server.proxy_header }
    }

    /// Who sent a request with `headers` that `peer` has delivered.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        let name = match self.header {
            ProxyHeader::XForwardedFor => X_FORWARDED_FOR,
            ProxyHeader::Forwarded => FORWARDED,
        };
        let lines: Vec<_> = headers.get_all(name).iter().collect();
        for line in lines.into_iter().rev() {
            for hop in line.as_bytes().rsplit(|byte| *byte == b',') {
                // Who wrote something that is no address is the last of whom there is one.
                let Some(address) = self.address(hop) else { return client };
                client = address;
                if !self.trusts(client) {
                    return client;
                }
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }

    fn address(&self, hop: &[u8]) -> Option<IpAddr> {
        let hop = std::str::from_utf8(hop).ok()?.trim();
        match self.header {
            ProxyHeader::XForwardedFor => address(hop),
            ProxyHeader::Forwarded => {
                let mut pairs = hop.split(';').filter_map(|pair| pair.trim().split_once('='));
                let (_, value) = pairs.find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
                address(value.trim().trim_matches('"'))
            }
        }
    }
}

/// `192.0.2.7`, `192.0.2.7:80`, `2001:db8::7`, `[2001:db8::7]`, `[2001:db8::7]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse().map(|socket: SocketAddr| socket.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], header: ProxyHeader, peer: &str, lines: &[&str]) -> String {
        let trusted = trusted.iter().map(|it| it.parse().unwrap()).collect();
        let proxies = Proxies { trusted, header };
        let mut headers = HeaderMap::new();
        let name = match header {
            ProxyHeader::XForwardedFor => X_FORWARDED_FOR,
            ProxyHeader::Forwarded => FORWARDED,
        };
        for line in lines {
            headers.append(name.clone(), line.parse().unwrap());
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    const LOCAL: [&str; 2] = ["127.0.0.1/32", "10.0.0.0/8"];

    fn forwarded_for(peer: &str, lines: &[&str]) -> String {
        client(&LOCAL, ProxyHeader::XForwardedFor, peer, lines)
    }

    #[test]
    fn a_stranger_is_who_it_is_whatever_it_says() {
        assert_eq!(forwarded_for("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        let nobody = client(&[], ProxyHeader::XForwardedFor, "127.0.0.1", &["198.51.100.7"]);
        assert_eq!(nobody, "127.0.0.1");
    }

    #[test]
    fn the_rightmost_address_that_is_not_trusted_counts() {
        assert_eq!(forwarded_for("127.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(forwarded_for("127.0.0.1", &["6.6.6.6, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(
            forwarded_for("127.0.0.1", &["6.6.6.6", "198.51.100.7, 10.1.1.1"]),
            "198.51.100.7",
            "over several lines and proxies"
        );
        assert_eq!(forwarded_for("127.0.0.1", &["10.0.0.9, 10.0.0.8"]), "10.0.0.9", "all trusted");
        assert_eq!(forwarded_for("127.0.0.1", &[]), "127.0.0.1", "the proxy itself");
    }

    #[test]
    fn what_is_no_address_hides_nobody_behind_it() {
        for nonsense in ["unknown", "", "1.2.3", "198.51.100.7 6.6.6.6", "\u{e9}"] {
            let line = format!("198.51.100.7, {nonsense}, 10.0.0.8");
            assert_eq!(forwarded_for("127.0.0.1", &[&line]), "10.0.0.8", "{nonsense:?}");
        }
    }

    #[test]
    fn ports_brackets_and_mapped_addresses_are_understood() {
        for (text, expected) in [
            ("198.51.100.7:4711", "198.51.100.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
        ] {
            assert_eq!(forwarded_for("127.0.0.1", &[text]), expected);
        }
        assert_eq!(forwarded_for("::ffff:127.0.0.1", &["198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn forwarded_is_read_when_it_is_the_header_that_counts() {
        let of = |lines: &[&str]| client(&LOCAL, ProxyHeader::Forwarded, "127.0.0.1", lines);
        assert_eq!(of(&["for=198.51.100.7;proto=https"]), "198.51.100.7");
        assert_eq!(of(&["For=6.6.6.6, proto=http; for=\"[2001:db8::7]:47\""]), "2001:db8::7");
        assert_eq!(of(&["for=198.51.100.7, for=_hidden, for=10.0.0.8"]), "10.0.0.8");
        assert_eq!(of(&["for=198.51.100.7, for=10.0.0.8"]), "198.51.100.7");
        let other = client(&LOCAL, ProxyHeader::XForwardedFor, "127.0.0.1", &[]);
        assert_eq!(other, "127.0.0.1");
    }
}
