//! Endpoints of Web Push come from clients: the server must not be made to talk to what only it can
//! reach.
//!
//! The URL is looked at when a device registers; the address that its name stands for is looked at
//! whenever something is sent, by the resolver that the connection is made with, so that there is
//! nothing between looking and connecting.

use hyper::Uri;
use hyper::http::uri::Scheme;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest endpoint.
const BYTES_MAX: usize = 2048;

/// Why nothing is sent to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("an endpoint is a URL of at most {BYTES_MAX} bytes, as the browser gives it")]
    NoUrl,
    #[error("an endpoint is https")]
    NotEncrypted,
    #[error("an endpoint is at a public address")]
    NotPublic,
}

/// The endpoint as a URL, if something may be sent there, as far as the URL tells.
pub(crate) fn check(url: &str, allow_private: bool) -> Result<Uri, Refused> {
    let fits = url.len() <= BYTES_MAX && !url.contains('#');
    let uri: Uri =
        Some(url).filter(|_| fits).and_then(|it| it.parse().ok()).ok_or(Refused::NoUrl)?;
    let host = uri.host().filter(|host| !host.is_empty()).ok_or(Refused::NoUrl)?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(Refused::NoUrl);
    }
    // What comes after the host is a port, or nothing.
    let has_more = uri.authority().is_some_and(|authority| authority.as_str() != host);
    if has_more && uri.port_u16().is_none() {
        return Err(Refused::NoUrl);
    }
    let encrypted = uri.scheme() == Some(&Scheme::HTTPS);
    let plain = allow_private && uri.scheme() == Some(&Scheme::HTTP);
    if !encrypted && !plain {
        return Err(Refused::NotEncrypted);
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let name = bare.trim_end_matches('.').to_ascii_lowercase();
    let private = if let Ok(address) = bare.parse::<IpAddr>() {
        !is_public(address)
    } else {
        // A last part that is a number makes a resolver take the name for an address: 127.1, 0x7f000001.
        let last = name.rsplit('.').next().unwrap_or_default();
        let local = ["localhost", "local", "internal"].contains(&last);
        local || last.starts_with(|c: char| c.is_ascii_digit()) || !name.contains('.')
    };
    if private && !allow_private { Err(Refused::NotPublic) } else { Ok(uri) }
}

/// Whether anybody can reach `address`.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast();
    // This network, shared (RFC 6598), protocol assignments, 6to4 relays, benchmarks, reserved.
    let reserved = match (first, second, third) {
        (0 | 240.., ..) | (198, 18 | 19, _) | (192, 0, 0) | (192, 88, 99) => true,
        (100, shared, _) => (64..128).contains(&shared),
        _ => false,
    };
    !special && !reserved
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, rest @ .., high, low] = address.segments();
    // NAT64 (RFC 6052) leads to an address of version 4.
    if (first, second, rest) == (0x64, 0xff9b, [0; 4]) {
        return is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    }
    // Of global unicast, without protocol assignments and Teredo, documentation, and 6to4.
    let special = (first == 0x2001 && (second < 0x0200 || second == 0x0db8))
        || first == 0x2002
        || (first == 0x3fff && second < 0x1000);
    (first & 0xe000) == 0x2000 && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_https_at_a_public_address() {
        for url in [
            "https://fcm.googleapis.com/fcm/send/abc:def",
            "https://updates.push.services.mozilla.com/wpush/v2/gAAA",
            "https://web.push.apple.com/QGuQ",
            "https://93.184.215.14:8443/x",
            "https://[2606:4700::1111]/x",
            "https://[2606:4700::1111]:8443/x",
        ] {
            assert!(check(url, false).is_ok(), "{url}");
        }
        for (url, refused) in [
            ("http://push.example.com/x", Refused::NotEncrypted),
            ("ftp://push.example.com/x", Refused::NotEncrypted),
            ("https://user@push.example.com/x", Refused::NoUrl),
            ("https://push.example.com:99999/x", Refused::NoUrl),
            ("https://push.example.com:/x", Refused::NoUrl),
            ("https://[2606:4700::1111]:65536/x", Refused::NoUrl),
            ("/x", Refused::NoUrl),
            ("", Refused::NoUrl),
            ("https://127.0.0.1/x", Refused::NotPublic),
            ("https://127.1/x", Refused::NotPublic),
            ("https://0x7f000001/x", Refused::NotPublic),
            ("https://2130706433/x", Refused::NotPublic),
            ("https://10.1.2.3/x", Refused::NotPublic),
            ("https://169.254.169.254/latest/meta-data", Refused::NotPublic),
            ("https://100.64.0.1/x", Refused::NotPublic),
            ("https://[::1]/x", Refused::NotPublic),
            ("https://[::ffff:127.0.0.1]/x", Refused::NotPublic),
            ("https://[fd00::1]/x", Refused::NotPublic),
            ("https://[fe80::1]/x", Refused::NotPublic),
            ("https://[64:ff9b::10.0.0.1]/x", Refused::NotPublic),
            ("https://[2002:a00:1::]/x", Refused::NotPublic),
            ("https://localhost/x", Refused::NotPublic),
            ("https://LOCALHOST./x", Refused::NotPublic),
            ("https://printer.local/x", Refused::NotPublic),
            ("https://metadata.google.internal/x", Refused::NotPublic),
            ("https://intranet/x", Refused::NotPublic),
        ] {
            assert_eq!(check(url, false), Err(refused), "{url}");
        }
        let long = format!("https://push.example.com/{}", "x".repeat(BYTES_MAX));
        assert_eq!(check(&long, false), Err(Refused::NoUrl));
    }

    #[test]
    fn a_setting_allows_tests_and_intranets_and_no_other_schemes() {
        for url in ["http://127.0.0.1:1234/x", "https://intranet/x", "https://10.0.0.1/x"] {
            assert!(check(url, true).is_ok(), "{url}");
        }
        assert_eq!(check("file:///etc/passwd", true), Err(Refused::NoUrl));
        assert_eq!(check("ftp://10.0.0.1/x", true), Err(Refused::NotEncrypted));
    }
}
