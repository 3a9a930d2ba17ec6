//! `trusted_proxies` and `proxy_header`.

use ipnet::IpNet;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Where a reverse proxy says whom it speaks for. Only one header counts: a proxy that writes one
/// lets a client's own through under the other name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyHeader {
    /// What nearly all proxies write.
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

/// Reads addresses, such as `127.0.0.1`, and networks, such as `10.0.0.0/8`.
pub(super) fn read_networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    let network = |text: &String| {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        address.ok().or_else(|| text.parse().ok()).ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} is no address and no network: write \"127.0.0.1\" or \"10.0.0.0/8\""
            ))
        })
    };
    texts.iter().map(network).collect()
}
