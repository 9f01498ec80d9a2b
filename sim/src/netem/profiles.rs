//! The profiles that have names. `docs/link.md` says where their numbers come from.

use super::loss::Burst;
use super::profile::{AddressChange, End, Outage, Path, Profile, Queue};
use super::rate::{Fading, Rate, Step};

/// Their names, in the order in which a benchmark runs them.
pub const NAMES: [&str; 8] = [
    "clean-lan",
    "good-lte",
    "poor-lte",
    "loss5-240ms",
    "bottleneck",
    "outage-3s",
    "address-change",
    "robot-address-change",
];

/// The profile of that name.
pub fn named(name: &str) -> Option<Profile> {
    let profile = match name {
        "clean-lan" => clean_lan(),
        "good-lte" => good_lte(),
        "poor-lte" => poor_lte(),
        "loss5-240ms" => loss5_240ms(),
        "bottleneck" => bottleneck(),
        "outage-3s" => outage_3s(),
        "address-change" => address_change(End::Driver),
        "robot-address-change" => address_change(End::Robot),
        _ => return None,
    };
    Some(Profile { name: name.to_owned(), ..profile })
}

fn both(path: &Path) -> Profile {
    Profile { to_driver: path.clone(), to_robot: path.clone(), ..Profile::default() }
}

fn clean_lan() -> Profile {
    Profile {
        words: "a wired local network: 1 ms there and back, nothing lost".to_owned(),
        seconds: 30,
        ..both(&Path { delay_ms: 0.5, ..Path::default() })
    }
}

/// The rates are those of the Saturator trace Verizon-LTE-short, taken over half seconds.
fn good_lte() -> Profile {
    let path = |median_kbps, log_deviation, kbps_max| Path {
        delay_ms: 25.0,
        jitter_ms: 4.0,
        jitter_memory_ms: 20.0,
        burst: Some(Burst::of(0.001, 3.0)),
        rate: Some(Rate::Fading(Fading {
            median_kbps,
            log_deviation,
            memory: 0.82,
            step_ms: 500,
            kbps_min: 840,
            kbps_max,
        })),
        queue: Queue::Ms(1_000),
        ..Path::default()
    };
    Profile {
        words: "LTE with good reception: 50 ms there and back, the uplink mostly over 2 Mbit/s"
            .to_owned(),
        seconds: 60,
        to_driver: path(4_726.0, 0.84, 11_500),
        to_robot: path(3_874.0, 0.82, 11_100),
        ..Profile::default()
    }
}

/// The rates are those of the Saturator trace ATT-LTE-driving-2016, taken over half seconds.
fn poor_lte() -> Profile {
    let path = |median_kbps, log_deviation, memory, kbps_max| Path {
        delay_ms: 60.0,
        jitter_ms: 15.0,
        jitter_memory_ms: 100.0,
        burst: Some(Burst::of(0.01, 5.0)),
        rate: Some(Rate::Fading(Fading {
            median_kbps,
            log_deviation,
            memory,
            step_ms: 500,
            kbps_min: 50,
            kbps_max,
        })),
        queue: Queue::Ms(1_000),
        ..Path::default()
    };
    Profile {
        words: "LTE at the edge of a cell: 120 ms there and back, the uplink about 1 Mbit/s and at times next to nothing"
            .to_owned(),
        seconds: 60,
        to_driver: path(1_185.0, 1.20, 0.68, 4_900),
        to_robot: path(2_977.0, 1.11, 0.64, 11_100),
        ..Profile::default()
    }
}

fn loss5_240ms() -> Profile {
    Profile {
        words: "a long way: 240 ms there and back, every twentieth packet lost each way".to_owned(),
        seconds: 60,
        ..both(&Path { delay_ms: 120.0, loss: 0.05, ..Path::default() })
    }
}

/// Delay and queue are those of the IETF's test cases for congestion control of interactive media.
fn bottleneck() -> Profile {
    let steps = [(0, 4_000), (15_000, 600), (40_000, 4_000)];
    let steps = steps.map(|(at_ms, kbps)| Step { at_ms, kbps });
    let path = Path { delay_ms: 50.0, queue: Queue::Ms(300), ..Path::default() };
    Profile {
        words: "100 ms there and back, and an uplink of 4 Mbit/s that falls to 0.6 for 25 s"
            .to_owned(),
        seconds: 65,
        to_driver: Path { rate: Some(Rate::Steps(steps.to_vec())), ..path.clone() },
        to_robot: Path { rate: Some(Rate::constant(4_000)), ..path },
        ..Profile::default()
    }
}

fn outage_3s() -> Profile {
    Profile {
        words: "50 ms there and back, and after 12 s nothing at all for 3 s".to_owned(),
        seconds: 35,
        outages: vec![Outage { at_ms: 12_000, for_ms: 3_000 }],
        ..both(&Path { delay_ms: 25.0, ..Path::default() })
    }
}

fn address_change(of: End) -> Profile {
    let whose = if of == End::Driver { "driver's" } else { "robot's" };
    Profile {
        words: format!("50 ms there and back, and after 12 s the {whose} end has another address"),
        seconds: 35,
        address_changes: vec![AddressChange { at_ms: 12_000, of }],
        ..both(&Path { delay_ms: 25.0, ..Path::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_profile_can_be_had_and_written_into_a_file() {
        for name in NAMES {
            let profile = named(name).unwrap();
            assert_eq!(profile.name, name);
            assert_eq!(profile.check(), Ok(()), "{name}");
            let text = toml::to_string(&profile).unwrap();
            assert_eq!(toml::from_str::<Profile>(&text).unwrap(), profile, "{name}");
        }
        assert!(named("perfect").is_none());
    }
}
