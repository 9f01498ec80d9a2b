//! Under which addresses a driver's end finds this robot: what is bound, and what the answer tells.
//!
//! A robot behind a port forwarding or a one-to-one NAT is reached at an address that it does not have. The answer then
//! names that one as well, or, with [`Reach::only_advertised`], nothing else; and then the robot sends nothing to addresses
//! that the driver's end names either, so that everything goes by the advertised ones.

use super::LinkError;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Sessions that overlap, as at a handover, take this many ports from the first one on.
pub(crate) const PORTS: u16 = 4;
/// Local addresses bound at most: a machine with many container networks has dozens.
const ADDRESSES_MAX: usize = 16;
/// A name server that does not answer must not hold up a drive.
const RESOLVE_WITHIN: Duration = Duration::from_secs(2);
/// One step of local preference (RFC 8445, 5.1.2.1): an advertised address is tried after the robot's own.
const LESS_PREFERRED: u32 = 1 << 8;

/// Where this robot's end can be reached.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// Local addresses to bind; all of the machine's without any.
    pub bind: Vec<IpAddr>,
    /// First UDP port; any that is free without one.
    pub port: Option<u16>,
    /// Further addresses under which those ports are reached.
    pub advertise: Vec<Advertised>,
    /// Whether nothing but these is offered, and no other path is looked for.
    pub only_advertised: bool,
}

/// An address under which the robot is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertised {
    /// An address, or a name that is looked up for each session.
    pub host: String,
    /// The port that leads to [`Reach::port`], those after it to those after it; the same ones without.
    pub port: Option<u16>,
}

impl std::str::FromStr for Advertised {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let odd = || {
            format!(
                "{text:?} is no address: write HOST or HOST:PORT, for example \"203.0.113.7:40000\""
            )
        };
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self { host: address.ip().to_string(), port: Some(address.port()) });
        }
        if text.parse::<IpAddr>().is_ok() {
            return Ok(Self { host: text.to_owned(), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().map_err(|_odd| odd())?)),
            None => (text, None),
        };
        let named = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if host.is_empty() || !host.chars().all(named) {
            return Err(odd());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

/// What one session binds, and what leads there from outside.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) bind: Vec<SocketAddr>,
    advertised: Vec<SocketAddr>,
    only_advertised: bool,
}

impl Reach {
    /// Chooses the ports of a session, and looks up its advertised addresses.
    pub(super) async fn place(&self) -> Result<Place, LinkError> {
        let ips = if self.bind.is_empty() { local_ips() } else { self.bind.clone() };
        if ips.is_empty() {
            return Err(LinkError::NoAddress);
        }
        let offset = self.free_offset(&ips)?;
        let port = self.port.map_or(0, |port| port + offset);
        let bind = ips.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        let mut advertised = Vec::new();
        for one in &self.advertise {
            let port = one.port.map_or(port, |port| port.saturating_add(offset));
            let found = tokio::net::lookup_host((one.host.as_str(), port));
            match tokio::time::timeout(RESOLVE_WITHIN, found).await {
                Ok(Ok(addresses)) => advertised.extend(addresses),
                Ok(Err(error)) => {
                    tracing::warn!(host = one.host, %error, "an advertised address is not found");
                }
                Err(_late) => tracing::warn!(host = one.host, "no name server answers"),
            }
        }
        if self.only_advertised && advertised.is_empty() {
            let hosts = self.advertise.iter().map(|one| one.host.as_str()).collect::<Vec<_>>();
            return Err(LinkError::NotAdvertised { hosts: hosts.join(", ") });
        }
        Ok(Place { bind, advertised, only_advertised: self.only_advertised })
    }

    /// How far from the first port the first free one is.
    fn free_offset(&self, ips: &[IpAddr]) -> Result<u16, LinkError> {
        let Some(first) = self.port else { return Ok(0) };
        let free = |offset: &u16| {
            let port = first + *offset;
            ips.iter().any(|ip| UdpSocket::bind((*ip, port)).is_ok())
        };
        (0..PORTS)
            .find(free)
            .ok_or(LinkError::NoPort { first, last: first.saturating_add(PORTS - 1) })
    }
}

impl Place {
    /// The offer as this session heeds it: without the far end's addresses, if none is to be looked for.
    pub(super) fn heard(&self, offer: &str) -> String {
        lines(offer, |line, to| {
            if !(self.only_advertised && line.starts_with("a=candidate:")) {
                to.push(line.to_owned());
            }
        })
    }

    /// The answer as the far end gets it: with the advertised addresses.
    pub(super) fn told(&self, answer: &str) -> String {
        if self.advertised.is_empty() {
            return answer.to_owned();
        }
        let mut in_section = 0;
        lines(answer, |line, to| {
            if line.starts_with("m=") {
                in_section = 0;
            }
            let Some(own) = line.strip_prefix("a=candidate:") else {
                to.push(line.to_owned());
                return;
            };
            if !self.only_advertised {
                to.push(line.to_owned());
            }
            // Once for each section, after the model of its first.
            if in_section == 0 {
                to.extend(self.advertised_like(own));
            }
            in_section += 1;
        })
    }

    fn advertised_like(&self, own: &str) -> Vec<String> {
        let priority = own.split(' ').nth(3).and_then(|word| word.parse::<u32>().ok()).unwrap_or(0);
        let component = own.split(' ').nth(1).unwrap_or("1");
        let line = |(foundation, address): (u32, &SocketAddr)| {
            let priority = priority.saturating_sub(foundation * LESS_PREFERRED);
            let (ip, port) = (address.ip(), address.port());
            format!("a=candidate:{foundation} {component} udp {priority} {ip} {port} typ host")
        };
        (1..).zip(&self.advertised).map(line).collect()
    }
}

/// A description, line by line.
fn lines(sdp: &str, mut each: impl FnMut(&str, &mut Vec<String>)) -> String {
    let mut to = Vec::new();
    sdp.lines().for_each(|line| each(line, &mut to));
    to.into_iter().flat_map(|line| [line, "\r\n".to_owned()]).collect()
}

/// Every address of this machine but link-local ones, loopback included: a driver's end on the same machine may
/// have no other.
fn local_ips() -> Vec<IpAddr> {
    let interfaces = rtc::shared::ifaces::ifaces().unwrap_or_else(|error| {
        tracing::warn!(%error, "the network interfaces could not be listed");
        Vec::new()
    });
    let mut ips: Vec<IpAddr> = interfaces
        .into_iter()
        .filter_map(|interface| interface.addr)
        .map(|address| address.ip())
        .filter(|ip| !ip.is_unspecified() && !is_link_local(ip))
        .collect();
    ips.sort_by_key(|ip| (ip.is_loopback(), *ip));
    ips.dedup();
    ips.truncate(ADDRESSES_MAX);
    ips
}

fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 102\r\na=candidate:7 1 udp 2130706431 10.0.0.5 40000 typ host\r\n\
                          a=candidate:8 1 udp 2130706175 127.0.0.1 40000 typ host\r\na=end-of-candidates\r\n\
                          m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=candidate:7 1 udp 2130706431 10.0.0.5 40000 \
                          typ host\r\n";

    fn place(only_advertised: bool) -> Place {
        let advertised = vec!["203.0.113.7:41000".parse().unwrap()];
        Place { bind: Vec::new(), advertised, only_advertised }
    }

    fn candidates(sdp: &str) -> Vec<&str> {
        sdp.lines().filter(|line| line.starts_with("a=candidate:")).collect()
    }

    #[test]
    fn an_advertised_address_is_told_in_each_section_after_the_robots_own() {
        let told = place(false).told(ANSWER);
        assert_eq!(candidates(&told).len(), 5);
        let advertised = "a=candidate:1 1 udp 2130706175 203.0.113.7 41000 typ host";
        assert_eq!(candidates(&told).iter().filter(|line| **line == advertised).count(), 2);
        assert!(told.contains("a=end-of-candidates\r\n"));
    }

    #[test]
    fn where_only_advertised_addresses_count_no_other_is_told_or_heard() {
        let told = place(true).told(ANSWER);
        assert_eq!(candidates(&told).len(), 2);
        assert!(!told.contains("10.0.0.5") && !told.contains("127.0.0.1"), "{told}");
        assert!(candidates(&place(true).heard(ANSWER)).is_empty());
        assert_eq!(place(false).heard(ANSWER), ANSWER);
    }

    #[test]
    fn addresses_are_read_with_and_without_their_port() {
        let read = |text: &str| text.parse::<Advertised>().map(|one| (one.host, one.port));
        assert_eq!(read("203.0.113.7:40000"), Ok(("203.0.113.7".to_owned(), Some(40_000))));
        assert_eq!(read("203.0.113.7"), Ok(("203.0.113.7".to_owned(), None)));
        assert_eq!(read("[2001:db8::7]:40000"), Ok(("2001:db8::7".to_owned(), Some(40_000))));
        assert_eq!(read("2001:db8::7"), Ok(("2001:db8::7".to_owned(), None)));
        assert_eq!(read("robot.example:40000"), Ok(("robot.example".to_owned(), Some(40_000))));
        for odd in ["", ":40000", "robot:port", "robot:70000", "robot example", "a/b"] {
            assert!(read(odd).is_err(), "{odd}");
        }
    }

    #[tokio::test]
    async fn sessions_that_overlap_take_the_next_port_and_the_advertised_one_goes_along() {
        // Four ports in a row that were free just now.
        let free = |first: &u16| {
            (*first..first + PORTS).all(|p| UdpSocket::bind(("127.0.0.1", p)).is_ok())
        };
        let first = (42_000..60_000).step_by(16).find(free).unwrap();
        let reach = Reach {
            bind: vec!["127.0.0.1".parse().unwrap()],
            port: Some(first),
            advertise: vec!["192.0.2.1:5000".parse().unwrap(), "192.0.2.2".parse().unwrap()],
            only_advertised: true,
        };
        let mut held = Vec::new();
        for offset in 0..PORTS {
            let place = reach.place().await.unwrap();
            assert_eq!(place.bind, [SocketAddr::from(([127, 0, 0, 1], first + offset))]);
            let told: Vec<u16> = place.advertised.iter().map(SocketAddr::port).collect();
            assert_eq!(told, [5_000 + offset, first + offset]);
            held.push(UdpSocket::bind(place.bind[0]).unwrap());
        }
        assert!(matches!(reach.place().await, Err(LinkError::NoPort { .. })));
    }
}
