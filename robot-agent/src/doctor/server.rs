//! The fleet-server, the message router, and the clock against the server's.

use super::report::Check;
use crate::clock;
use crate::fabric;
use fabric_tunnel::Files;
use std::time::{Duration, Instant, SystemTime};

const AREA: &str = "server";
const WITHIN: Duration = Duration::from_secs(5);
/// The Date header has whole seconds; beyond this the clock is wrong and not the header coarse.
const CLOCK_OFF_S_WARN: f64 = 3.0;
/// Beyond this, leases and tokens seem expired or not valid yet.
const CLOCK_OFF_S_MAX: f64 = 10.0;

/// The server of `url`: TCP, TLS, its answer, and the clock.
pub(super) async fn server(url: &str) -> Vec<Check> {
    let parsed = match reqwest::Url::parse(url) {
        Ok(parsed) => parsed,
        Err(error) => {
            let advice = "set `server` to a URL such as https://fleet.example";
            return vec![Check::failed(AREA, "URL", format!("{url:?}: {error}"), advice)];
        }
    };
    let (host, port) = (parsed.host_str().unwrap_or_default(), parsed.port_or_known_default());
    let address = format!("{host}:{}", port.unwrap_or(0));
    let tcp = connect("TCP", &address).await;
    let reached = tcp.advice.is_none();
    let mut checks = vec![tcp];
    if !reached {
        checks.push(Check::not_checked(AREA, "HTTP", "no connection to ask over"));
        checks.push(Check::not_checked("clock", "wall", "no server to compare with"));
        return checks;
    }
    if parsed.scheme() != "https" {
        let why =
            "not configured: the server's URL is http, so what is sent can be read on the way";
        checks.push(Check::not_checked(AREA, "TLS", why));
    }
    checks.extend(http(url, parsed.scheme() == "https").await);
    checks
}

async fn http(url: &str, tls: bool) -> Vec<Check> {
    let begun = Instant::now();
    let asked = reqwest::Client::new().get(format!("{url}/readyz")).timeout(WITHIN).send().await;
    let rtt = begun.elapsed();
    let response = match asked {
        Ok(response) => response,
        Err(error) => {
            let what = if tls { "TLS" } else { "HTTP" };
            let error = crate::episodes::words(&error);
            let advice = if tls {
                "check the server's certificate, its name, and this robot's clock and CA certificates"
            } else {
                "is that a fleet-server, and is it running?"
            };
            return vec![
                Check::failed(AREA, what, error, advice),
                Check::not_checked("clock", "wall", "no answer to compare with"),
            ];
        }
    };
    let mut checks = Vec::new();
    if tls {
        checks.push(Check::ok(AREA, "TLS", "certificate accepted"));
    }
    let rtt_ms = u64::try_from(rtt.as_millis()).unwrap_or(u64::MAX);
    let status = response.status();
    let date = response.headers().get("date").and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
    checks.push(if status.is_success() {
        Check::ok(AREA, "HTTP", format!("ready, answers in {rtt_ms} ms")).with("rtt_ms", rtt_ms)
    } else {
        let advice = "ask the fleet's operator; is the URL that of a fleet-server?";
        Check::failed(AREA, "HTTP", format!("{url}/readyz answers {status}"), advice)
    });
    checks.push(match date {
        Some(date) => wall(date, SystemTime::now(), rtt),
        None => Check::not_checked("clock", "wall", "the server's answer has no Date header"),
    });
    checks
}

/// Compares this robot's clock with the server's, whose header is cut to whole seconds.
fn wall(server: SystemTime, here: SystemTime, rtt: Duration) -> Check {
    let server = server + Duration::from_millis(500) + rtt / 2;
    let off_s = match here.duration_since(server) {
        Ok(ahead) => ahead.as_secs_f64(),
        Err(behind) => -behind.duration().as_secs_f64(),
    };
    let found = format!(
        "{:.1} s {} the server's",
        off_s.abs(),
        if off_s < 0.0 { "behind" } else { "ahead of" }
    );
    let advice = "set the clock: timedatectl set-ntp true, and let the robot reach a time server";
    let check = if off_s.abs() > CLOCK_OFF_S_MAX {
        Check::failed("clock", "wall", found, advice)
    } else if off_s.abs() > CLOCK_OFF_S_WARN {
        Check::warning("clock", "wall", found, advice)
    } else {
        Check::ok("clock", "wall", format!("within {CLOCK_OFF_S_WARN} s of the server's"))
    };
    check.with("off_s", off_s)
}

/// Both clocks at once, to see later whether they ran alike.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    mono_ms: u64,
    wall: SystemTime,
}

impl Clocks {
    pub(super) fn now() -> Self {
        Self { mono_ms: clock::mono_ms().0, wall: SystemTime::now() }
    }

    /// Whether the wall clock was set, or the monotonic one ran wrongly, since `self`.
    pub(super) fn compare(self, later: Self) -> Check {
        let Some(mono_ms) = later.mono_ms.checked_sub(self.mono_ms) else {
            let advice = "this machine's clock source is broken: the safety core refuses to drive";
            return Check::failed("clock", "monotonic", "it went backwards", advice);
        };
        let wall_ms = match later.wall.duration_since(self.wall) {
            Ok(forward) => i128::try_from(forward.as_millis()).unwrap_or(i128::MAX),
            Err(back) => -i128::try_from(back.duration().as_millis()).unwrap_or(i128::MAX),
        };
        let off_ms = wall_ms - i128::from(mono_ms);
        if off_ms.abs() > 100 {
            let found = format!("the wall clock jumped by {off_ms} ms within {mono_ms} ms");
            let advice =
                "let one program alone set the clock (chrony or systemd-timesyncd), and slowly";
            return Check::warning("clock", "monotonic", found, advice);
        }
        Check::ok("clock", "monotonic", format!("steady over {mono_ms} ms"))
    }
}

/// The message router at a Zenoh endpoint.
pub(super) async fn router(endpoint: &str, files: &Files) -> Vec<Check> {
    let Some((scheme, rest)) = endpoint.split_once('/') else {
        let advice = "set zenoh.endpoint to one such as tls/192.0.2.1:7447";
        return vec![Check::failed(AREA, "router", format!("{endpoint:?} is no endpoint"), advice)];
    };
    // What follows are options of the endpoint.
    let address = rest.split(['?', '#']).next().unwrap_or(rest);
    let mut checks = Vec::new();
    if matches!(scheme, "tcp" | "tls") {
        checks.push(connect("router TCP", address).await);
    } else {
        let why = format!("an endpoint of {scheme} is tried only as a whole");
        checks.push(Check::not_checked(AREA, "router TCP", why));
    }
    let files = fabric_tunnel::is_tls(endpoint).then_some(files);
    let begun = Instant::now();
    checks.push(match tokio::time::timeout(WITHIN, fabric::open(endpoint, files)).await {
        Ok(Ok(linked)) => {
            let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            let closed = linked.session.close().await;
            tracing::debug!(?closed, "the trial session");
            Check::ok(AREA, "router", format!("{endpoint}: session open in {ms} ms"))
                .with("open_ms", ms)
        }
        Ok(Err(error)) => {
            let advice = "is it the fleet's router, and does a firewall let this robot out?";
            Check::failed(AREA, "router", format!("{endpoint}: {error}"), advice)
        }
        Err(_late) => {
            let advice = "something that answers there speaks no Zenoh: is it the fleet's router?";
            Check::failed(
                AREA,
                "router",
                format!("{endpoint}: no session within {} s", WITHIN.as_secs()),
                advice,
            )
        }
    });
    let why = "not used: the router is reached by TLS over TCP, video by UDP";
    checks.push(Check::not_checked(AREA, "QUIC", why));
    let why = "tried only with a driver: TURN servers come with each driver's offer";
    checks.push(Check::not_checked(AREA, "UDP, TURN", why));
    checks
}

async fn connect(what: &str, address: &str) -> Check {
    let begun = Instant::now();
    let advice = "does a firewall or a captive portal stand between? Try: nc -vz HOST PORT";
    match tokio::time::timeout(WITHIN, tokio::net::TcpStream::connect(address)).await {
        Ok(Ok(_stream)) => {
            let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            Check::ok(AREA, what, format!("{address} in {ms} ms")).with("connect_ms", ms)
        }
        Ok(Err(error)) => Check::failed(AREA, what, format!("{address}: {error}"), advice),
        Err(_late) => {
            let found = format!("{address}: nothing within {} s", WITHIN.as_secs());
            Check::failed(AREA, what, found, advice)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Verdict;

    #[test]
    fn a_clock_that_is_off_is_told_with_its_direction() {
        let server = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let at = |off_s: f64| {
            let here = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(1_800_000_000.5 + off_s);
            wall(server, here, Duration::ZERO)
        };
        assert_eq!(at(0.4).verdict, Verdict::Ok);
        assert_eq!(at(-5.0).verdict, Verdict::Warning);
        let behind = at(-60.0);
        assert_eq!(behind.verdict, Verdict::Failed);
        assert!(behind.found.contains("60.0 s behind"), "{}", behind.found);
        assert!(at(60.0).found.contains("ahead"));
    }

    #[test]
    fn a_clock_that_jumps_is_told() {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let begun = Clocks { mono_ms: 10_000, wall };
        let later =
            |mono_ms, seconds| Clocks { mono_ms, wall: wall + Duration::from_secs(seconds) };
        assert_eq!(begun.compare(later(15_000, 5)).verdict, Verdict::Ok);
        assert_eq!(begun.compare(later(15_000, 9)).verdict, Verdict::Warning);
        assert_eq!(begun.compare(later(9_000, 5)).verdict, Verdict::Failed);
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_told_and_what_depends_on_it_is_not_checked() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let checks = server(&format!("http://127.0.0.1:{free}")).await;
        assert_eq!(checks[0].verdict, Verdict::Failed);
        assert!(checks[1..].iter().all(|check| check.verdict == Verdict::NotChecked), "{checks:?}");
        assert_eq!(server("fleet").await[0].what, "URL");
    }
}
