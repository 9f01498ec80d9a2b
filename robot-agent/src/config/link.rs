//! Where drivers find this robot, as the configuration names it.

use crate::link::rate::Congestion;
use crate::link::{Advertised, PORTS, Reach};
use anyhow::{Result, anyhow, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Where drivers find this robot. Nothing is needed where the robot can reach out: it then finds a way by itself. A robot behind
/// a router that forwards ports to it, or behind a one-to-one NAT, is found faster when it says so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Link {
    /// First UDP port for drivers; the three after it serve sessions that overlap, as at a handover. Forward all four. 0: any that
    /// is free.
    #[schemars(range(max = 65_532))]
    pub port: u16,
    /// Local addresses for drivers, for example `["192.168.1.20"]`. Without any: all of the robot's.
    pub bind: Vec<String>,
    /// Addresses under which those ports are reached from outside, `HOST` or `HOST:PORT`, for example `["203.0.113.7:40000"]`. A
    /// name is looked up for each session.
    #[schemars(length(max = 4))]
    pub advertise: Vec<String>,
    /// Whether drivers get to know nothing but the advertised addresses, and no other way is looked for.
    pub only_advertised: bool,
    /// What decides how much video is sent: delay, the delay of queues on the way, the best that we know; gcc, Google Congestion
    /// Control as the WebRTC stack has it; off, the configured bitrate whatever becomes of it, for measurements.
    pub congestion: Congestion,
}

impl Link {
    /// What the types do not say.
    pub(super) fn check(&self) -> Result<()> {
        let reach = self.reach()?;
        ensure!(
            !self.only_advertised || !self.advertise.is_empty(),
            "link.only_advertised = true leaves no way to this robot: name one in link.advertise"
        );
        ensure!(
            self.advertise.is_empty() || self.port > 0,
            "link.advertise needs link.port: without it the port is another one for each session"
        );
        for one in &reach.advertise {
            ensure!(
                one.port.is_none_or(|port| (1..=u16::MAX - (PORTS - 1)).contains(&port)),
                "link.advertise: {}: the port and the three after it must lie in 1 to 65535",
                one.host
            );
        }
        Ok(())
    }

    /// As the link needs it.
    pub(crate) fn reach(&self) -> Result<Reach> {
        let ip = |text: &String| {
            let ip = text.parse::<IpAddr>().ok().filter(|ip| !ip.is_unspecified());
            ip.ok_or_else(|| anyhow!("link.bind: {text:?} is no address of this robot"))
        };
        let advertised = |text: &String| {
            text.parse::<Advertised>().map_err(|why| anyhow!("link.advertise: {why}"))
        };
        Ok(Reach {
            bind: self.bind.iter().map(ip).collect::<Result<_>>()?,
            port: (self.port > 0).then_some(self.port),
            advertise: self.advertise.iter().map(advertised).collect::<Result<_>>()?,
            only_advertised: self.only_advertised,
        })
    }
}
