//! Whom clients may reach through the server: the internet, and nothing behind the operator's own walls.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// A range of addresses, such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// A text is no range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no range of addresses such as 10.0.0.0/8 or fd00::/8")]
pub struct NetworkError(String);

impl Network {
    /// Whether an address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let shift = 32_u32.saturating_sub(u32::from(self.prefix));
                let top = |ip: Ipv4Addr| ip.to_bits().checked_shr(shift).unwrap_or(0);
                top(net) == top(ip)
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let shift = 128_u32.saturating_sub(u32::from(self.prefix));
                let top = |ip: Ipv6Addr| ip.to_bits().checked_shr(shift).unwrap_or(0);
                top(net) == top(ip)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let wrong = || NetworkError(text.to_owned());
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_no_address| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(most), str::parse).map_err(|_no_number| wrong())?;
        if prefix > most { Err(wrong()) } else { Ok(Self { address, prefix }) }
    }
}

/// Whom clients may reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peers {
    allowed: Vec<Network>,
    /// Sockets of this program that are not relayed ports.
    services: Vec<SocketAddr>,
}

impl Peers {
    /// Public addresses, and those of `allowed` whatever they are.
    pub const fn new(allowed: Vec<Network>) -> Self {
        Self { allowed, services: Vec::new() }
    }

    /// And these sockets, wherever they are: other services of the same program.
    #[must_use]
    pub fn with_services(mut self, services: &[SocketAddr]) -> Self {
        self.services.extend_from_slice(services);
        self
    }

    /// Whether `own`, an address of the server itself, or another may be reached at all. Behind an address of the
    /// server only relayed ports may be: [`Peers::reaches`] says which.
    pub(crate) fn permits(&self, address: IpAddr, own: IpAddr) -> bool {
        let address = address.to_canonical();
        let serves = self.services.iter().any(|service| service.ip() == address);
        address == own || serves || self.names(address) || is_public(address)
    }

    /// Whether a datagram may pass to or from `peer`.
    pub(crate) fn reaches(&self, peer: SocketAddr, own: [IpAddr; 2], relayed: bool) -> bool {
        let address = peer.ip().to_canonical();
        if peer.port() == 0 {
            return false;
        }
        if self.services.contains(&SocketAddr::new(address, peer.port())) {
            return true;
        }
        if own.contains(&address) {
            // Other doors of this machine are not for those whom it lets through.
            return relayed || self.names(address);
        }
        self.names(address) || is_public(address)
    }

    fn names(&self, address: IpAddr) -> bool {
        self.allowed.iter().any(|network| network.contains(address))
    }
}

/// Whether an address belongs to the internet at large (RFC 6890 and its registries).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let special = match ip.octets() {
        // Shared by carriers, protocol assignments, 6to4 relays, benchmarks, class E and broadcast.
        [0, ..] | [240..=255, ..] => true,
        [100, second, ..] => second & 0xc0 == 64,
        [192, 0, 0, _] | [192, 88, 99, _] => true,
        [198, 18 | 19, ..] => true,
        _ => false,
    };
    let named = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || ip.is_multicast();
    !special && !named
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    // An IPv4 address in disguise leads where that one leads.
    let inner = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => inner(high, low),
        // Teredo, benchmarks, ORCHID, documentation.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        // All that is given out is in 2000::/3; the rest is loopback, local, multicast or nobody's.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    const OWN: &str = "203.0.114.7";

    #[test]
    fn the_internet_and_nothing_else() {
        let peers = Peers::default();
        for public in ["8.8.8.8", "100.128.0.1", "172.32.0.1", "2606:4700::1", "2002:808:808::1"] {
            assert!(peers.permits(ip(public), ip(OWN)), "{public}");
        }
        for inside in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.168.1.1",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001::1",
            "2001:db8::1",
        ] {
            assert!(!peers.permits(ip(inside), ip(OWN)), "{inside}");
        }
    }

    #[test]
    fn what_the_operator_names_may_be_reached_too() {
        let peers = Peers::new(vec!["10.7.0.0/16".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        assert!(peers.permits(ip("10.7.255.1"), ip(OWN)) && peers.permits(ip("fd12::1"), ip(OWN)));
        assert!(peers.permits(ip("::ffff:10.7.0.1"), ip(OWN)), "the same in other letters");
        assert!(!peers.permits(ip("10.8.0.1"), ip(OWN)) && !peers.permits(ip("fe80::1"), ip(OWN)));
        let all = Peers::new(vec!["0.0.0.0/0".parse().unwrap()]);
        assert!(all.permits(ip("127.0.0.1"), ip(OWN)) && !all.permits(ip("::1"), ip(OWN)));
    }

    #[test]
    fn a_service_of_the_same_program_is_reached_and_nothing_beside_it() {
        let own = [ip(OWN), ip("10.0.0.2")];
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let peers = Peers::default().with_services(&[at("203.0.114.7:8189"), at("10.0.0.3:8189")]);
        for service in ["203.0.114.7:8189", "10.0.0.3:8189", "[::ffff:10.0.0.3]:8189"] {
            assert!(peers.reaches(at(service), own, false), "{service}");
            assert!(peers.permits(at(service).ip(), own[0]));
        }
        for beside in ["203.0.114.7:22", "10.0.0.3:22", "10.0.0.2:8189"] {
            assert!(!peers.reaches(at(beside), own, false), "{beside}");
        }
    }

    #[test]
    fn the_server_itself_is_reached_only_where_it_relays() {
        let (peers, own) = (Peers::default(), [ip(OWN), ip("10.0.0.2")]);
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert!(peers.permits(own[0], own[0]), "another client's relayed address lies here");
        assert!(peers.reaches(at("203.0.114.7:50000"), own, true));
        assert!(!peers.reaches(at("203.0.114.7:22"), own, false));
        assert!(!peers.reaches(at("10.0.0.2:22"), own, false));
        assert!(
            peers.reaches(at("8.8.8.8:53"), own, false)
                && !peers.reaches(at("8.8.8.8:0"), own, false)
        );
    }

    #[test]
    fn ranges_are_read_or_refused() {
        assert!("10.0.0.1".parse::<Network>().unwrap().contains(ip("10.0.0.1")));
        for wrong in ["", "ten", "10.0.0.0/33", "fd00::/129", "10.0.0.0/x", "10.0.0.0/"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
