//! A driver with a valid lease, a link of its own making and bad manners: offers that are none, pictures that it never saw,
//! floods on every lane and of every report, channels of its own, and strangers at the robot's port. Each is bounded and
//! logged, none moves the robot, and who behaves is served meanwhile.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use bytes::Bytes;
use protocol::drive::{DriveCommand, Seen};
use protocol::signal::{SDP_LEN_MAX, channel};
use rtc::rtcp::payload_feedbacks::full_intra_request::{FirEntry, FullIntraRequest};
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::raw_packet::RawPacket;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use system_tests::{Linked, Rig, mono_ms};
use tokio::net::UdpSocket;

/// The robot may never stand without telemetry for so long: its drive loop and its link go on whatever comes.
const SILENCE_MAX: Duration = Duration::from_millis(600);
/// What all of it may add to the agent's memory, KiB.
const GROWTH_KIB_MAX: u64 = 60 * 1_024;

struct Hostile {
    rig: Rig,
    driver: Linked,
}

impl Hostile {
    fn fastest_since(&self, from: u64) -> f64 {
        let trace = self.rig.trace_since(from).unwrap();
        assert!(!trace.is_empty(), "the simulator's trace stands still");
        trace.iter().map(|line| line.speed_mps.abs()).fold(0.0, f64::max)
    }

    /// The highest speed while `make` makes bad commands of good ones for a second.
    async fn fastest_while(&mut self, make: impl FnMut(DriveCommand) -> DriveCommand) -> f64 {
        self.driver.rest().await.unwrap();
        let (from, mut make) = (mono_ms(), make);
        let second = Duration::from_millis(1_200);
        self.driver.drive(second, |good| make(good).encode().to_vec()).await.unwrap();
        self.fastest_since(from)
    }

    /// Drives well for a while, and tells the longest silence of telemetry meanwhile.
    async fn drive_well(&mut self, spell: Duration) -> Duration {
        self.driver.link.forget_times();
        self.driver.drive(spell, |good| good.encode().to_vec()).await.unwrap();
        let times = self.driver.link.arrived().telemetry_at;
        let gaps = times.windows(2).map(|two| two[1] - two[0]);
        // Twenty in a second.
        assert!(
            times.len() > spell.as_millis() as usize / 100,
            "{} packets of telemetry in {spell:?}",
            times.len()
        );
        gaps.max().unwrap()
    }

    /// The agent's memory, KiB.
    fn memory_kib(&self) -> u64 {
        let pid = self.rig.stack.agent.pid();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.rig.data().join("logs/robot-agent.log")).unwrap()
    }
}

/// Good offers with something wrong.
fn bad_offers(good: &str) -> Vec<(&'static str, String)> {
    let video = good.find("m=video").unwrap();
    let fingerprint = good.find("a=fingerprint:").unwrap();
    let section = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n";
    let candidates = "a=candidate:1 1 udp 2130706431 192.0.2.1 9 typ host\r\n".repeat(500);
    let binary: String = good.chars().map(|c| if c == 'a' { '\u{0}' } else { c }).collect();
    vec![
        ("no SDP", "hello".to_owned()),
        ("longer than allowed", format!("{good}{}", "a=x\r\n".repeat(SDP_LEN_MAX / 5))),
        ("hundreds of sections", format!("{good}{}", section.repeat(300))),
        ("hundreds of candidates", format!("{good}{candidates}")),
        ("half of it", good[..good.len() / 2].to_owned()),
        ("no media", good[..video].to_owned()),
        ("no fingerprint", good.replace("a=fingerprint:", "a=fingerprinted:")),
        (
            "a wrong fingerprint",
            format!("{}zz{}", &good[..fingerprint + 24], &good[fingerprint + 26..]),
        ),
        ("no fragment", good.replace("a=ice-ufrag:", "a=ufrag:")),
        ("zeros in between", binary),
        (
            "numbers beyond all bounds",
            good.replace("m=application 9", "m=application 99999999999999999999"),
        ),
        ("payload types that are none", good.replace("a=rtpmap:", "a=rtpmap:-")),
        (
            "no codec of ours",
            good.replace("H264/90000", "H263/90000").replace("VP8/90000", "VP7/90000"),
        ),
        ("lines without end", good.replace("\r\n", " ")),
    ]
}

/// Packets that strangers send: noise, and what looks like STUN, DTLS, RTP and RTCP.
fn noise(n: u32) -> Vec<u8> {
    let mut state = u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes: Vec<u8> = (0..40 + n as usize % 1_000)
        .map(|_at| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 56) as u8
        })
        .collect();
    match n % 5 {
        // A binding request with somebody else's name, or with attributes of absurd lengths.
        0 => bytes[..8].copy_from_slice(&[0, 1, 0, 16, 0x21, 0x12, 0xa4, 0x42]),
        1 => bytes[..13].copy_from_slice(&[0x16, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
        2 => bytes[..2].copy_from_slice(&[0x80, 102]),
        3 => bytes[..4].copy_from_slice(&[0x81, 205, 0xff, 0xff]),
        _ => {}
    }
    bytes
}

/// Where the robot's end of the link is: the first address of its answer.
fn robots_port(answer: &str) -> SocketAddr {
    let candidate = |line: &str| {
        let mut words = line.strip_prefix("a=candidate:")?.split(' ').skip(4);
        let (ip, port) = (words.next()?, words.next()?);
        let at: SocketAddr = format!("{ip}:{port}").parse().ok()?;
        at.ip().is_loopback().then_some(at)
    };
    answer.lines().find_map(candidate).unwrap()
}

/// Strangers flood a port from some hundred addresses, until told to end; gives how much they sent.
async fn flood(port: SocketAddr, ended: tokio::sync::oneshot::Receiver<()>) -> u64 {
    let mut sockets = Vec::new();
    for _stranger in 0..200 {
        sockets.push(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    }
    let mut sent = 0_u64;
    let flooding = async {
        for n in 0_u32.. {
            let socket = &sockets[n as usize % sockets.len()];
            sent += u64::from(socket.send_to(&noise(n), port).await.is_ok());
            if n.is_multiple_of(16) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    };
    tokio::select! { () = flooding => {}, _told = ended => {} }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hostile_driver_moves_nothing_costs_little_and_disturbs_no_other() {
    let rig = Rig::start_with("hostile-link", &["--no-people"]).unwrap();
    let driver = Linked::open(&rig.stack).await.unwrap();
    let mut hostile = Hostile { rig, driver };
    lies_about_pictures(&mut hostile).await;
    let memory = hostile.memory_kib();
    offers_that_are_none(&mut hostile).await;
    floods_of_reports(&mut hostile).await;
    floods_on_lanes(&mut hostile).await;
    strangers_at_the_port(&mut hostile).await;
    let grown = hostile.memory_kib().saturating_sub(memory);
    xtask::progress(&format!("all of it added {} MiB to the agent's memory", grown / 1_024));
    assert!(grown < GROWTH_KIB_MAX, "it grew by {grown} KiB");
    channels_of_its_own(&mut hostile).await;
    old_leases(hostile).await;
}

/// What it says that it saw decides whether the robot goes, and only what was sent counts.
async fn lies_about_pictures(hostile: &mut Hostile) {
    let good = hostile.fastest_while(|good| good).await;
    assert!(good > 0.2, "good commands must move the robot: {good} m/s");
    let old = hostile.driver.good().unwrap().seen;
    let never = |seen: Seen, by: u32| match seen {
        Seen::Rtp(stamp) => Seen::Rtp(stamp.wrapping_add(by)),
        other => other,
    };
    let mut n = 0_u32;
    let mut random = move || {
        n = n.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        n
    };
    let speed =
        hostile.fastest_while(|good| DriveCommand { seen: Seen::Rtp(random()), ..good }).await;
    assert!(speed < 0.02, "made-up stamps moved the robot: {speed} m/s");
    // One tick of the clock beside the truth, and a second ahead of it.
    for by in [1, u32::MAX, 90_000] {
        let speed =
            hostile.fastest_while(|good| DriveCommand { seen: never(good.seen, by), ..good }).await;
        assert!(speed < 0.02, "a stamp that is {by} off moved the robot: {speed} m/s");
    }
    for camera in [1, 9, 255] {
        let speed = hostile.fastest_while(|good| DriveCommand { camera, ..good }).await;
        assert!(speed < 0.02, "another camera's stamp moved the robot: {camera}, {speed} m/s");
    }
    let speed = hostile.fastest_while(|good| DriveCommand { seen: old, ..good }).await;
    assert!(speed < 0.02, "a picture of long ago moved the robot: {speed} m/s");
    let ahead = |good: DriveCommand| good.robot_stamp_ms.wrapping_add(2_000);
    let speed = hostile
        .fastest_while(|good| DriveCommand { seen: Seen::CaptureMs(ahead(good)), ..good })
        .await;
    assert!(speed < 0.02, "a picture of the time to come moved the robot: {speed} m/s");
    let good = hostile.fastest_while(|good| good).await;
    assert!(good > 0.2, "good commands must move the robot again: {good} m/s");
}

/// Offers that cannot be answered are refused in words, quickly, and do not touch the link that is there.
async fn offers_that_are_none(hostile: &mut Hostile) {
    let good = hostile.driver.link.offer.clone();
    let sockets = |hostile: &Hostile| {
        let folder = format!("/proc/{}/fd", hostile.rig.stack.agent.pid());
        std::fs::read_dir(folder).unwrap().count()
    };
    let before = sockets(hostile);
    for (what, offer) in bad_offers(&good) {
        let begun = Instant::now();
        let answered = hostile.driver.call(&offer);
        assert!(begun.elapsed() < Duration::from_secs(8), "{what}: {:?}", begun.elapsed());
        let said = match &answered {
            Ok(_answer) => "answered".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        // Beyond six at once a gateway lets one through in a second.
        assert!(!said.contains("too-many"), "{what}: {said}");
        let short: String = said.chars().take(120).collect();
        xtask::progress(&format!("an offer with {what}: {short}"));
        let silence = hostile.drive_well(Duration::from_millis(1_100)).await;
        assert!(silence < SILENCE_MAX, "{what}: {silence:?} without telemetry");
    }
    // A refused offer leaves nothing behind; of those that were answered one waits to be connected.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = sockets(hostile);
    assert!(after < before + 40, "{before} files open, then {after}");
    let speed = hostile.fastest_while(|good| good).await;
    assert!(speed > 0.2, "the drive goes on over the link that it has: {speed} m/s");
}

/// Reports on what arrived: storms, lies and garbage.
async fn floods_of_reports(hostile: &mut Hostile) {
    let media_ssrc = hostile.driver.link.arrived().ssrc[0].unwrap();
    let nacks = || TransportLayerNack {
        sender_ssrc: 1,
        media_ssrc,
        nacks: (0..250).map(|n| NackPair { packet_id: n * 17, lost_packets: 0xffff }).collect(),
    };
    let everybody = FullIntraRequest {
        sender_ssrc: 1,
        media_ssrc,
        fir: (0..100)
            .map(|n| FirEntry { ssrc: media_ssrc.wrapping_sub(n), sequence_number: 1 })
            .collect(),
    };
    // A transport-wide report with a count that is far beyond its bytes; a length of 64 Ki words; no header at all.
    let garbage = [
        vec![
            0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0xff,
            0xff, 0xff, 0xff,
        ],
        vec![0x81, 205, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 2],
        vec![0x9f, 200, 0, 6, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff],
        vec![0x80, 207, 0, 0],
        [vec![0x81, 206, 0, 200], vec![0xff; 800]].concat(),
    ];
    let until = Instant::now() + Duration::from_secs(4);
    let mut sent = 0_u64;
    while Instant::now() < until {
        hostile.driver.idle().await.unwrap();
        let link = &hostile.driver.link;
        for _burst in 0..8 {
            link.rtcp(vec![Box::new(nacks())]).await.unwrap();
            link.rtcp(vec![Box::new(PictureLossIndication { sender_ssrc: 1, media_ssrc })])
                .await
                .unwrap();
        }
        link.rtcp(vec![Box::new(everybody.clone())]).await.unwrap();
        for bytes in &garbage {
            // What this end's own stack refuses to send does not count.
            let packet = Box::new(RawPacket(Bytes::from(bytes.clone())));
            sent += u64::from(link.rtcp(vec![packet]).await.is_ok());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(sent > 100, "{sent} packets of garbage");
    hostile.driver.rest().await.unwrap();
    let from = mono_ms();
    let silence = hostile.drive_well(Duration::from_secs(2)).await;
    assert!(silence < SILENCE_MAX, "{silence:?} without telemetry");
    assert!(hostile.fastest_since(from) > 0.2, "whoever reports too much may drive all the same");
}

/// Messages that no driver sends, and too many of those that drivers do send.
async fn floods_on_lanes(hostile: &mut Hostile) {
    hostile.driver.rest().await.unwrap();
    let from = mono_ms();
    for n in 0..3_000_u32 {
        let link = &hostile.driver.link;
        link.send(channel::DRIVE, &vec![1; n as usize % 300]).await.unwrap();
        link.send(channel::ESTOP, &vec![3; n as usize % 100]).await.unwrap();
        if n.is_multiple_of(10) {
            link.send(channel::TELEMETRY, &[2; 80]).await.unwrap();
            link.send(channel::SESSION, b"no text").await.unwrap();
            link.send_text(channel::SESSION, r#"{"type":"goal","id":4294967296}"#).await.unwrap();
            link.send_text(channel::SESSION, &"[".repeat(30_000)).await.unwrap();
            hostile.driver.idle().await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    assert!(hostile.fastest_since(from) < 0.02, "a flood moved the robot");
    // Nothing of it was a stop; else the latch would have to be cleared first.
    hostile.driver.rest().await.unwrap();
    let from = mono_ms();
    let silence = hostile.drive_well(Duration::from_secs(2)).await;
    assert!(silence < SILENCE_MAX, "{silence:?} without telemetry");
    assert!(hostile.fastest_since(from) > 0.2, "and the robot is driven after it");
    assert!(hostile.log().contains("a message that no driver sends"), "the log says so");
}

/// A flood from addresses that nobody knows, while somebody drives.
async fn strangers_at_the_port(hostile: &mut Hostile) {
    let answer = hostile.driver.link.connection.remote_description().await.unwrap().sdp;
    let (end, ended) = tokio::sync::oneshot::channel();
    let flooding = tokio::spawn(flood(robots_port(&answer), ended));
    hostile.driver.rest().await.unwrap();
    let from = mono_ms();
    let silence = hostile.drive_well(Duration::from_secs(4)).await;
    let trace = hostile.rig.trace_since(from + 1_500).unwrap();
    end.send(()).unwrap();
    let sent = flooding.await.unwrap();
    assert!(sent > 8_000, "{sent} packets are no flood");
    assert!(
        silence < SILENCE_MAX,
        "{silence:?} without telemetry among {sent} packets of strangers"
    );
    let slowest = trace.iter().map(|line| line.cmd_linear).fold(f64::MAX, f64::min);
    assert!(slowest > 0.2, "the drive broke off among {sent} packets of strangers: {slowest} m/s");
    assert!(hostile.log().contains("packets of strangers"), "the log says so");
}

/// A channel that both ends do not know beforehand ends the link, and the robot stands; another link goes on.
async fn channels_of_its_own(hostile: &mut Hostile) {
    hostile.driver.rest().await.unwrap();
    hostile.drive_well(Duration::from_secs(1)).await;
    let opened_ms = mono_ms();
    for n in 0..50 {
        let label = format!("another {n}");
        // The robot may have closed the link meanwhile.
        drop(hostile.driver.link.connection.create_data_channel(&label, None).await);
    }
    hostile.driver.link.closed().await.unwrap();
    let stop = hostile.rig.stop_after(opened_ms).unwrap();
    assert!(stop.at_rest_ms < 1_500, "{stop:?}");
    assert!(hostile.log().contains("opened a channel of its own"), "the log says so");
    hostile.driver.link = hostile.driver.another_link().await.unwrap();
    hostile.driver.rest().await.unwrap();
    let from = mono_ms();
    hostile.drive_well(Duration::from_secs(2)).await;
    assert!(hostile.fastest_since(from) > 0.2, "the drive goes on over another link");
}

/// A lease that was given back opens nothing, whoever has kept it.
async fn old_leases(hostile: Hostile) {
    let Hostile { rig, driver } = hostile;
    let offer = driver.link.offer.clone();
    let kept = driver.kept();
    driver.release().await.unwrap();
    let refused = kept.call(&offer).unwrap_err().to_string();
    assert!(refused.contains("ended") || refused.contains("epoch"), "{refused}");
    // And the next driver is served.
    let mut next = Linked::open(&rig.stack).await.unwrap();
    let from = mono_ms();
    next.rest().await.unwrap();
    next.drive(Duration::from_secs(2), |good| good.encode().to_vec()).await.unwrap();
    let trace = rig.trace_since(from).unwrap();
    assert!(trace.iter().any(|line| line.speed_mps > 0.2), "the next driver drives");
}
