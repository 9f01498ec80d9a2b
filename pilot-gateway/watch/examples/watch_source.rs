//! One end of the benchmark of spectators: 30 access units a second out of a file, again and again, either to viewers of a
//! server in this process, or as plain RTP to another server's port.
//!
//! `watch_source FILE serve` prints `{"ready": true}`, takes `{"offer": SDP}` a line and gives `{"answer": SDP}`.
//! `watch_source FILE rtp ADDRESS` sends until its standard input ends.

#![expect(clippy::print_stdout, reason = "its results are lines on standard output")]

use bytes::Bytes;
use rtc::rtp::codec::h264::H264Payloader;
use rtc::rtp::packetizer::Payloader;
use std::error::Error;
use std::io::BufRead;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};
use watch_relay::{Frame, Join, Limits, Offer, Options, Server, StreamId};

const PERIOD: Duration = Duration::from_nanos(33_333_333);
const PAYLOAD_TYPE: u8 = 96;
const PAYLOAD_LEN_MAX: usize = 1_180;

/// Access units of a stream in which each begins with a delimiter.
fn units(stream: &[u8]) -> Vec<Bytes> {
    const DELIMITER: [u8; 5] = [0, 0, 0, 1, 9];
    let starts: Vec<usize> = stream
        .windows(DELIMITER.len())
        .enumerate()
        .filter(|(_, window)| *window == DELIMITER)
        .map(|(at, _)| at)
        .collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    starts.iter().zip(ends).map(|(from, to)| Bytes::copy_from_slice(&stream[*from..to])).collect()
}

/// Whether an access unit has parameter sets.
fn is_keyframe(unit: &[u8]) -> bool {
    unit.windows(4).any(|w| w[..3] == [0, 0, 1] && w[3] & 0x1f == 7)
}

/// Calls `send` with each frame in its time.
fn play(units: &[Bytes], mut send: impl FnMut(Frame) -> bool) {
    let begun = Instant::now();
    for (seq, unit) in (1..).zip(units.iter().cycle()) {
        let due = PERIOD * u32::try_from(seq).unwrap_or(u32::MAX);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        let capture_ms = u64::try_from(due.as_millis()).unwrap_or(0);
        let keyframe = is_keyframe(unit);
        if !send(Frame { seq, capture_ms, keyframe, data: unit.clone() }) {
            return;
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        [file, "serve"] => serve(units(&std::fs::read(file)?)),
        [file, "rtp", address] => rtp(units(&std::fs::read(file)?), address.parse()?),
        _ => Err("watch_source FILE serve | watch_source FILE rtp ADDRESS".into()),
    }
}

#[tokio::main]
async fn serve(units: Vec<Bytes>) -> Result<(), Box<dyn Error>> {
    let limits =
        Limits { viewers_max: 1_000, stream_viewers_max: 1_000, account_viewers_max: 1_000 };
    let server = Arc::new(Server::start(&Options {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        public: vec![Ipv4Addr::LOCALHOST.into()],
        limits,
    })?);
    let stream: StreamId = "bench/front".into();
    let (to, name) = (Arc::clone(&server), Arc::clone(&stream));
    std::thread::spawn(move || {
        play(&units, |frame| {
            to.frame(&name, frame);
            true
        });
    });
    println!(r#"{{"ready": true}}"#);
    for line in std::io::stdin().lock().lines() {
        let line: serde_json::Value = serde_json::from_str(&line?)?;
        let offer = Offer::parse(line["offer"].as_str().ok_or("an offer is missing")?)?;
        let ends = Instant::now() + Duration::from_secs(3_600);
        let (stream, account) = (Arc::clone(&stream), "bench".to_owned());
        let joined = server.join(Join { stream, account, offer, ends }).await?;
        println!("{}", serde_json::json!({ "answer": joined.answer }));
    }
    Ok(())
}

fn rtp(units: Vec<Bytes>, to: SocketAddr) -> Result<(), Box<dyn Error>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut payloader = H264Payloader::default();
    let mut number = 0_u16;
    std::thread::spawn(move || {
        play(&units, |frame| {
            let Ok(payloads) = payloader.payload(PAYLOAD_LEN_MAX, &frame.data) else {
                return false;
            };
            let last = payloads.len().saturating_sub(1);
            for (at, payload) in payloads.iter().enumerate() {
                let timestamp = (frame.capture_ms * 90) as u32;
                let mut packet = vec![0x80, u8::from(at == last) << 7 | PAYLOAD_TYPE];
                packet.extend_from_slice(&number.to_be_bytes());
                packet.extend_from_slice(&timestamp.to_be_bytes());
                packet.extend_from_slice(&7_u32.to_be_bytes());
                packet.extend_from_slice(payload);
                number = number.wrapping_add(1);
                // Who does not listen yet misses it.
                socket.send_to(&packet, to).ok();
            }
            true
        });
    });
    println!(r#"{{"ready": true}}"#);
    // Until whoever started it closes its standard input.
    std::io::stdin().lock().lines().for_each(drop);
    Ok(())
}
