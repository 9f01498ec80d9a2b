//! What the bad network does to packets: on its pure core with made-up time, and between real sockets.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use proptest::prelude::*;
use sim::netem::relay::{Addresses, Order, REPORT_EVERY, Relay};
use sim::netem::{
    AddressChange, Burst, Cause, End, Fate, Network, Outage, Path, Pipe, Profile, Queue, Rate,
    Step, named,
};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// What a packet of 1,172 bytes is on the wire.
const LEN: usize = 1_172;
const WIRE_BITS: u64 = (LEN as u64 + 28) * 8;

fn pipe(path: &Path) -> Pipe<u64> {
    let mut pipe = Pipe::new(path, &[], 5, 1);
    pipe.begin(0);
    pipe
}

fn steps(steps: &[(u64, u32)]) -> Option<Rate> {
    Some(Rate::Steps(steps.iter().map(|&(at_ms, kbps)| Step { at_ms, kbps }).collect()))
}

/// Offers a packet every `every_us` for `for_ms`, and gives what came out: when, and which.
fn run(pipe: &mut Pipe<u64>, every_us: u64, for_ms: u64) -> Vec<(u64, u64)> {
    let mut out = Vec::new();
    let mut take = |pipe: &mut Pipe<u64>, now_us| {
        while let Some(due_us) = pipe.next_us().filter(|due_us| *due_us <= now_us) {
            out.extend(pipe.pop(due_us).map(|packet| (due_us, packet)));
        }
    };
    for number in 0..for_ms * 1_000 / every_us {
        take(pipe, number * every_us);
        pipe.push(number * every_us, LEN, number);
    }
    take(pipe, u64::MAX);
    out
}

#[test]
fn a_clean_path_only_delays() {
    let mut pipe = pipe(&Path { delay_ms: 25.0, ..Path::default() });
    let out = run(&mut pipe, 1_000, 1_000);
    assert_eq!(out.len(), 1_000);
    assert!(out.iter().all(|(at_us, number)| *at_us == number * 1_000 + 25_000));
}

#[test]
fn a_bottleneck_lets_through_what_it_may_and_its_queue_is_bounded() {
    // Twice as much as fits.
    let path = Path {
        rate: steps(&[(0, 1_000)]),
        queue: Queue::Ms(300),
        delay_ms: 10.0,
        ..Path::default()
    };
    let mut pipe = pipe(&path);
    let out = run(&mut pipe, WIRE_BITS * 1_000 / 2_000, 20_000);
    let in_time = out.iter().filter(|(at_us, _)| (5_000_000..15_000_000).contains(at_us)).count();
    let kbps = in_time as u64 * WIRE_BITS / 10_000;
    assert!((990..=1_010).contains(&kbps), "{kbps} kbit/s");
    let queue = &pipe.counts().queue;
    assert!((300.0..=311.0).contains(&queue.max_ms()), "{} ms", queue.max_ms());
    assert!(queue.percentile_ms(0.5).unwrap() > 280.0, "it stands full");
    assert!(pipe.counts().lost_in_queue > 900, "{:?}", pipe.counts().lost_in_queue);
}

#[test]
fn a_queue_of_bytes_holds_so_many() {
    let path = Path { rate: steps(&[(0, 1_000)]), queue: Queue::Bytes(12_000), ..Path::default() };
    let mut pipe = pipe(&path);
    let fates: Vec<Fate> = (0..20).map(|number| pipe.push(0, LEN, number)).collect();
    let taken = fates.iter().filter(|fate| matches!(fate, Fate::Delivered { .. })).count();
    assert_eq!(taken, 10);
    assert_eq!(fates[10], Fate::Dropped(Cause::Queue));
}

#[test]
fn a_step_of_the_rate_holds_for_what_waits_already() {
    // 4 Mbit/s fill a queue of which the next step makes something else: the ms are those of the time of asking.
    let path = Path {
        rate: steps(&[(0, 4_000), (1_000, 600), (2_000, 4_000)]),
        queue: Queue::Ms(300),
        ..Path::default()
    };
    let mut pipe = pipe(&path);
    let out = run(&mut pipe, WIRE_BITS * 1_000 / 2_000, 4_000);
    let kbps = |from_ms: u64| {
        let inside = |at_us: &u64| (from_ms * 1_000..(from_ms + 500) * 1_000).contains(at_us);
        out.iter().filter(|(at_us, _)| inside(at_us)).count() as u64 * WIRE_BITS / 500
    };
    assert!((1_950..=2_050).contains(&kbps(300)), "{}", kbps(300));
    assert!((570..=630).contains(&kbps(1_300)), "{}", kbps(1_300));
    assert!((1_950..=2_050).contains(&kbps(3_000)), "{}", kbps(3_000));
}

#[test]
fn jitter_is_as_large_as_asked_for_and_turns_no_packets_round() {
    let path = Path { delay_ms: 60.0, jitter_ms: 15.0, jitter_memory_ms: 100.0, ..Path::default() };
    let mut pipe = pipe(&path);
    let out = run(&mut pipe, 5_000, 600_000);
    let mut extra: Vec<u64> = out.iter().map(|(at, number)| at - number * 5_000 - 60_000).collect();
    extra.sort_unstable();
    let at = |share: f64| extra[(extra.len() as f64 * share) as usize] as f64 / 1_000.0;
    // Half-normal: median 0.67, 95th percentile 1.96 deviations; waiting for those before adds a little.
    assert!((9.0..=13.0).contains(&at(0.5)), "{}", at(0.5));
    assert!((27.0..=33.0).contains(&at(0.95)), "{}", at(0.95));
    assert!(out.windows(2).all(|pair| pair[0].1 < pair[1].1));

    let mut pipe = self::pipe(&Path { reorder: true, jitter_memory_ms: 0.0, ..path });
    let out = run(&mut pipe, 5_000, 60_000);
    assert!(out.windows(2).any(|pair| pair[0].1 > pair[1].1), "allowed to overtake, some do");
}

#[test]
fn losses_have_their_share_and_take_up_the_bottlenecks_time() {
    let path = Path {
        rate: steps(&[(0, 1_000)]),
        queue: Queue::Ms(100),
        burst: Some(Burst::of(0.1, 4.0)),
        ..Path::default()
    };
    let mut pipe = pipe(&path);
    let out = run(&mut pipe, WIRE_BITS * 1_000 / 2_000, 120_000);
    let kbps = out.len() as u64 * WIRE_BITS / 120_000;
    assert!((880..=920).contains(&kbps), "{kbps} kbit/s of 1,000 less a tenth");
}

#[test]
fn an_outage_takes_what_is_sent_and_what_is_under_way() {
    let outages = [Outage { at_ms: 1_000, for_ms: 500 }];
    let mut pipe: Pipe<u64> =
        Pipe::new(&Path { delay_ms: 50.0, ..Path::default() }, &outages, 1, 1);
    assert!(matches!(pipe.push(0, LEN, 0), Fate::Delivered { .. }), "not begun: no outage");
    pipe.begin(0);
    let out = run(&mut pipe, 10_000, 3_000);
    assert!(out.iter().all(|(at_us, _)| !(1_000_000..1_500_000).contains(at_us)));
    let numbers: Vec<u64> = out.iter().map(|(_, number)| *number).filter(|n| *n > 0).collect();
    let expected: Vec<u64> = (1..95).chain(150..300).collect();
    assert_eq!(numbers, expected);
    assert_eq!(pipe.counts().lost_in_outage, 55);

    pipe.cut(10_000_000, 3_000_000);
    assert_eq!(pipe.push(12_999_999, LEN, 1), Fate::Dropped(Cause::Outage));
    assert!(matches!(pipe.push(13_000_000, LEN, 2), Fate::Delivered { .. }));
}

#[test]
fn delays_count_from_the_beginning_of_the_profile() {
    let path = Path { rate: Some(Rate::constant(800)), ..Path::default() };
    let mut pipe: Pipe<u64> = Pipe::new(&path, &[], 1, 1);
    for number in 0..10 {
        pipe.push(0, LEN, number);
    }
    let before = pipe.counts().queue.max_ms();
    pipe.begin(60_000_000);
    pipe.push(60_000_000, LEN, 10);
    let queue = &pipe.counts().queue;
    assert!(queue.count() == 1 && queue.max_ms() < before / 5.0, "{} of {before}", queue.max_ms());
    // Who begins again changes nothing.
    pipe.begin(61_000_000);
    assert_eq!(pipe.counts().queue.count(), 1);
    assert_eq!(pipe.counts().packets_in, 11);
}

#[test]
fn changes_of_address_come_once_and_in_order() {
    let change = |at_ms, of| AddressChange { at_ms, of };
    let profile = Profile {
        address_changes: vec![change(2_000, End::Robot), change(1_000, End::Driver)],
        ..Profile::default()
    };
    let mut network: Network<()> = Network::new(&profile, 1);
    assert_eq!(network.moved(9_000_000), None, "not begun");
    network.begin(10_000_000);
    assert_eq!(network.next_us(), Some(11_000_000));
    assert_eq!(network.moved(10_999_999), None);
    assert_eq!(network.moved(11_000_000), Some(End::Driver));
    assert_eq!(network.moved(11_000_000), None);
    assert_eq!(network.moved(60_000_000), Some(End::Robot));
    assert_eq!(network.next_us(), None);
}

fn paths() -> impl Strategy<Value = Path> {
    let rate = prop_oneof![
        Just(None),
        (1_u32..20_000).prop_map(|kbps| Some(Rate::constant(kbps))),
        (0_u32..5_000, 1_u32..5_000, 1_u64..2_000).prop_map(|(first, then, at_ms)| {
            Some(Rate::Steps(vec![Step { at_ms: 0, kbps: first }, Step { at_ms, kbps: then }]))
        }),
        Just(named("poor-lte").unwrap().to_driver.rate),
    ];
    let queue =
        prop_oneof![(0_u64..2_000).prop_map(Queue::Ms), (0_usize..500_000).prop_map(Queue::Bytes)];
    let burst = proptest::option::of((0.0..0.5, 1.0..20.0).prop_map(|(s, l)| Burst::of(s, l)));
    (rate, queue, burst, 0.0..0.5, 0.0..200.0, 0.0..50.0, 0.0..200.0).prop_map(
        |(rate, queue, burst, loss, delay_ms, jitter_ms, jitter_memory_ms)| Path {
            delay_ms,
            jitter_ms,
            jitter_memory_ms,
            reorder: false,
            loss,
            burst,
            rate,
            queue,
        },
    )
}

/// Packets: how long after the one before, and how large.
fn packets() -> impl Strategy<Value = Vec<(u64, usize)>> {
    proptest::collection::vec((0_u64..20_000, 0_usize..1_500), 1..400)
}

/// Everything that came out, and the account.
fn fates(path: &Path, seed: u64, packets: &[(u64, usize)]) -> (Vec<(u64, usize)>, Pipe<usize>) {
    let mut pipe = Pipe::new(path, &[Outage { at_ms: 700, for_ms: 300 }], seed, 1);
    pipe.begin(0);
    let (mut now_us, mut out) = (0, Vec::new());
    for (number, (after_us, len)) in packets.iter().enumerate() {
        now_us += after_us;
        pipe.push(now_us, *len, number);
        while let Some(packet) = pipe.pop(now_us) {
            out.push((now_us, packet));
        }
    }
    while let Some(due_us) = pipe.next_us() {
        out.extend(pipe.pop(due_us).map(|packet| (due_us, packet)));
    }
    (out, pipe)
}

proptest! {
    #[test]
    fn every_packet_is_accounted_for_none_comes_early_and_none_overtakes(
        path in paths(), seed in any::<u64>(), packets in packets(),
    ) {
        let (out, pipe) = fates(&path, seed, &packets);
        let counts = pipe.counts();
        prop_assert_eq!(counts.packets_in, packets.len() as u64);
        prop_assert_eq!(counts.packets_out, out.len() as u64);
        prop_assert_eq!(counts.packets_in, counts.packets_out + counts.lost_in_all());
        let bytes: usize = out.iter().map(|(_, number)| packets[*number].1).sum();
        prop_assert_eq!(counts.bytes_out, bytes as u64);
        prop_assert!(out.windows(2).all(|pair| pair[0].1 < pair[1].1));
        let sent: Vec<u64> = packets.iter().scan(0, |at, (after, _)| { *at += after; Some(*at) }).collect();
        let delay_us = (path.delay_ms * 1_000.0) as u64;
        prop_assert!(out.iter().all(|(at_us, number)| *at_us >= sent[*number] + delay_us.saturating_sub(1)));
    }

    #[test]
    fn no_more_gets_through_than_the_rate_allows(
        kbps in 50_u32..5_000, packets in packets(),
    ) {
        let path = Path { rate: Some(Rate::constant(kbps)), queue: Queue::Ms(60_000), ..Path::default() };
        let mut pipe = Pipe::new(&path, &[], 1, 1);
        pipe.begin(0);
        let (mut now_us, mut bits, mut left_us) = (0, 0, 0);
        for (number, (after_us, len)) in packets.iter().enumerate() {
            now_us += after_us;
            if let Fate::Delivered { at_us, .. } = pipe.push(now_us, *len, number) {
                bits += (*len as u64 + 28) * 8;
                left_us = at_us;
            }
        }
        // Each packet may gain the part of a microsecond that it is rounded by, and none is ahead of the rate.
        prop_assert!(bits * 1_000 <= left_us * u64::from(kbps) + u64::from(kbps));
    }

    #[test]
    fn a_queue_in_milliseconds_is_never_longer_at_a_constant_rate(
        kbps in 100_u32..5_000, ms in 0_u64..1_000, packets in packets(),
    ) {
        let path = Path { rate: Some(Rate::constant(kbps)), queue: Queue::Ms(ms), ..Path::default() };
        let (_, pipe) = fates(&path, 1, &packets);
        // Those that wait, and one that is on the wire.
        let wire_ms = 1_528.0 * 8.0 / f64::from(kbps);
        prop_assert!(pipe.counts().queue.max_ms() <= ms as f64 + wire_ms + 0.01);
    }

    #[test]
    fn equal_seeds_give_equal_fates(path in paths(), seed in any::<u64>(), packets in packets()) {
        prop_assert_eq!(fates(&path, seed, &packets).0, fates(&path, seed, &packets).0);
    }

    #[test]
    fn no_order_makes_it_panic(line in ".{0,40}") {
        drop(line.parse::<Order>());
    }
}

/// A robot and a driver with a relay between them.
struct Ends {
    robot: UdpSocket,
    driver: UdpSocket,
    handle: sim::netem::relay::Handle,
    relay: Option<std::thread::JoinHandle<Vec<serde_json::Value>>>,
}

impl Ends {
    fn with(profile: &Profile) -> Self {
        let socket = || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            socket
        };
        let (robot, driver) = (socket(), socket());
        // A port that was free just now.
        let listen = socket().local_addr().unwrap();
        let addresses = Addresses { listen, robot: robot.local_addr().unwrap(), ports: 1 };
        let (relay, handle) = Relay::open(profile, 1, addresses).unwrap();
        driver.connect(listen).unwrap();
        let relay = std::thread::spawn(move || {
            let mut said = Vec::new();
            relay.run(REPORT_EVERY, |line| said.push(line.clone())).unwrap();
            said
        });
        Self { robot, driver, handle, relay: Some(relay) }
    }

    fn stop(&mut self) -> Vec<serde_json::Value> {
        self.handle.order(Order::Stop);
        self.relay.take().unwrap().join().unwrap()
    }
}

#[test]
fn between_real_sockets_both_directions_are_delayed_and_counted() {
    let path = Path { delay_ms: 40.0, ..Path::default() };
    let profile = Profile { to_driver: path.clone(), to_robot: path, ..Profile::default() };
    let mut ends = Ends::with(&profile);
    let mut buffer = [0; 2_000];
    let start = Instant::now();
    ends.driver.send(b"stick").unwrap();
    let (len, seen_as) = ends.robot.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], b"stick");
    assert_ne!(seen_as, ends.driver.local_addr().unwrap(), "the robot sees the relay only");
    ends.robot.send_to(b"picture", seen_as).unwrap();
    let len = ends.driver.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], b"picture");
    let there_and_back = start.elapsed();
    assert!(there_and_back >= Duration::from_millis(80), "{there_and_back:?}");
    let said = ends.stop();
    let end = said.last().unwrap();
    assert_eq!(end["event"], "ended");
    assert_eq!(
        (&end["to_robot"]["bytes_out"], &end["to_driver"]["bytes_out"]),
        (&5.into(), &7.into())
    );
}

#[test]
fn when_the_drivers_address_changes_the_robot_sees_a_stranger_and_the_old_address_is_dead() {
    let mut ends = Ends::with(&Profile::default());
    let mut buffer = [0; 100];
    ends.driver.send(b"one").unwrap();
    let (_, before) = ends.robot.recv_from(&mut buffer).unwrap();
    ends.handle.order(Order::Move(End::Driver));
    ends.driver.send(b"two").unwrap();
    let (_, after) = ends.robot.recv_from(&mut buffer).unwrap();
    assert_ne!(before, after);
    drop(ends.robot.send_to(b"old", before));
    ends.robot.send_to(b"new", after).unwrap();
    let len = ends.driver.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], b"new");
    ends.stop();
}

#[test]
fn when_the_robots_address_changes_the_driver_hears_it_from_a_stranger() {
    let mut ends = Ends::with(&Profile::default());
    let mut buffer = [0; 100];
    ends.driver.send(b"one").unwrap();
    let (_, seen_as) = ends.robot.recv_from(&mut buffer).unwrap();
    let listen = ends.driver.peer_addr().unwrap();
    ends.handle.order(Order::Move(End::Robot));
    // A driver's socket that listens to everybody, as a browser's does.
    let local = ends.driver.local_addr().unwrap();
    let anybody = UdpSocket::bind("127.0.0.1:0").unwrap();
    drop(std::mem::replace(&mut ends.driver, anybody));
    let driver = UdpSocket::bind(local).unwrap();
    driver.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    ends.robot.send_to(b"from elsewhere", seen_as).unwrap();
    let (len, from) = driver.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], b"from elsewhere");
    assert_ne!(from, listen);
    driver.send_to(b"lost", listen).unwrap();
    driver.send_to(b"found", from).unwrap();
    let (len, _) = ends.robot.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], b"found", "its old address is dead to who knew it");
    // Who asks for the robot only now is told where it is.
    ends.driver.send_to(b"newcomer", listen).unwrap();
    let (len, seen_as) = ends.robot.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], b"newcomer");
    ends.robot.send_to(b"welcome", seen_as).unwrap();
    let (len, from) = ends.driver.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..len], from), (&b"welcome"[..], listen));
    ends.stop();
}
