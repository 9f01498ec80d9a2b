//! Where spectators' video is sent from, and to how many.

use anyhow::{Result, ensure};
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use watch_relay::{Limits, Options};

/// Flags.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub struct Args {
    /// UDP address from which spectators' video is sent; port 0 takes a free one [default: that of --http, port 0]
    #[arg(long, value_name = "ADDRESS", env = "LONGREIN_GATEWAY_WATCH")]
    pub watch: Option<SocketAddr>,
    /// Addresses under which spectators reach it from outside [default: that of --watch]
    #[arg(long, value_name = "IP", value_delimiter = ',', env = "LONGREIN_GATEWAY_WATCH_PUBLIC")]
    pub watch_public: Vec<IpAddr>,
}

/// `[watch]` of the configuration file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    listen: Option<SocketAddr>,
    public: Vec<IpAddr>,
    viewers_max: Option<usize>,
    viewers_per_robot_max: Option<usize>,
    viewers_per_account_max: Option<usize>,
}

/// Puts file and flags together. `http` is where the gateway's pages come from.
///
/// # Errors
/// When viewers are to be sent to an address that nobody can reach.
pub fn merge(args: Args, file: File, http: SocketAddr) -> Result<Options> {
    let listen = args.watch.or(file.listen).unwrap_or(SocketAddr::new(http.ip(), 0));
    let named = if args.watch_public.is_empty() { file.public } else { args.watch_public };
    let public = match (named.is_empty(), listen.ip().is_unspecified()) {
        (false, _) => named,
        (true, false) => vec![listen.ip()],
        (true, true) => vec![outward(listen.ip())],
    };
    ensure!(
        public.iter().all(|ip| !ip.is_unspecified()),
        "--watch-public names {public:?}, which nobody can reach: name the gateway's address"
    );
    let usual = Limits::default();
    let limits = Limits {
        viewers_max: file.viewers_max.unwrap_or(usual.viewers_max),
        stream_viewers_max: file.viewers_per_robot_max.unwrap_or(usual.stream_viewers_max),
        account_viewers_max: file.viewers_per_account_max.unwrap_or(usual.account_viewers_max),
    };
    Ok(Options { listen, public, limits })
}

/// The address of this machine from which others are reached; its own when there are none.
pub(crate) fn outward(like: IpAddr) -> IpAddr {
    // Nothing is sent: the system only chooses a way to an address of the documentation's own.
    let (any, far): (SocketAddr, SocketAddr) = match like {
        IpAddr::V4(_) => ((Ipv4Addr::UNSPECIFIED, 0).into(), ([192, 0, 2, 1], 9).into()),
        IpAddr::V6(_) => {
            let far = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
            ((Ipv6Addr::UNSPECIFIED, 0).into(), (far, 9).into())
        }
    };
    let chosen = UdpSocket::bind(any).and_then(|socket| {
        socket.connect(far)?;
        socket.local_addr()
    });
    let loopback = match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    chosen.map_or(loopback, |address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_are_sent_where_they_can_reach() {
        let http: SocketAddr = "127.0.0.1:7070".parse().unwrap();
        let options = merge(Args::default(), File::default(), http).unwrap();
        assert_eq!(options.listen, SocketAddr::from(([127, 0, 0, 1], 0)));
        assert_eq!(options.public, [http.ip()]);
        let any = merge(Args::default(), File::default(), "0.0.0.0:80".parse().unwrap()).unwrap();
        assert!(!any.public[0].is_unspecified());
        let file: File =
            toml::from_str("listen = '0.0.0.0:8189'\npublic = ['203.0.113.7']\nviewers_max = 9")
                .unwrap();
        let named = merge(Args::default(), file, http).unwrap();
        assert_eq!((named.public.len(), named.limits.viewers_max), (1, 9));
        let wrong = Args { watch_public: vec!["0.0.0.0".parse().unwrap()], ..Args::default() };
        assert!(
            merge(wrong, File::default(), http).unwrap_err().to_string().contains("--watch-public")
        );
        assert!(toml::from_str::<File>("viewer_max = 1").is_err());
    }
}
