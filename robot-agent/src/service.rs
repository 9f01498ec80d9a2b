//! What systemd is told when it runs the agent (`Type=notify`): that it is ready, and again and again that its drive
//! loop runs. When the loop stands still the agent falls silent, and systemd ends it and starts it anew.

use crate::clock;
use crate::shared::Shared;
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The drive loop steps every 10 ms; after this long without a step it counts as standing still. The wheels are at zero
/// long before: the base times out by itself.
const STANDSTILL_MS: u64 = 1_000;
/// Without a watchdog, how often it is looked whether the agent is ready.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The way to systemd.
#[derive(Debug)]
struct Notifier {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Notifier {
    /// `address` is that of `NOTIFY_SOCKET`: a path, or `@` and an abstract name.
    fn new(address: &OsStr) -> Result<Self> {
        let address = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
            [b'/', ..] => SocketAddr::from_pathname(address),
            _ => bail!("NOTIFY_SOCKET={address:?} is no address of a socket"),
        };
        let address = address.context("NOTIFY_SOCKET is no address")?;
        let socket = UnixDatagram::unbound()?;
        // Should systemd not read: rather fall silent than wait.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address })
    }

    fn say(&self, text: &str) {
        if let Err(error) = self.socket.send_to_addr(text.as_bytes(), &self.address) {
            tracing::debug!(%error, text, "systemd was not told");
        }
    }
}

/// What is to be told.
#[derive(Debug, Default)]
struct Beat {
    ready: bool,
    still: bool,
}

impl Beat {
    /// `stepped_ms` is when the drive loop stepped last, 0 for never.
    fn next(&mut self, now_ms: u64, stepped_ms: u64, watchdog: bool) -> Option<&'static str> {
        if stepped_ms == 0 {
            return None;
        }
        let still = now_ms.saturating_sub(stepped_ms) > STANDSTILL_MS;
        if still {
            if !self.still {
                tracing::error!(
                    "the drive loop stands still: systemd is no longer told that it runs"
                );
            }
            self.still = true;
            return None;
        }
        self.still = false;
        if !self.ready {
            self.ready = true;
            return Some("READY=1\nWATCHDOG=1");
        }
        watchdog.then_some("WATCHDOG=1")
    }
}

/// systemd, if it started this process.
#[derive(Debug)]
pub(crate) struct Service(Option<Arc<Notifier>>);

impl Service {
    /// The agent ends, in order.
    pub(crate) fn stopping(&self) {
        if let Some(notifier) = &self.0 {
            notifier.say("STOPPING=1");
        }
    }
}

/// Tells systemd, if it started this process, from a thread of its own until the agent ends.
pub(crate) fn start(shared: Arc<Shared>) -> Result<Service> {
    let Some(address) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(Service(None)) };
    let notifier = Arc::new(Notifier::new(&address)?);
    let service = Service(Some(Arc::clone(&notifier)));
    let watchdog = std::env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse::<u64>().ok());
    // Four times as often as systemd wants it, so that one late wake-up is no death.
    let every = watchdog.map_or(LOOK_EVERY, |us| LOOK_EVERY.min(Duration::from_micros(us / 4)));
    std::thread::Builder::new().name("service".to_owned()).spawn(move || {
        let mut beat = Beat::default();
        while !shared.stopping.load(Ordering::Acquire) {
            let stepped_ms = shared.stepped_ms.load(Ordering::Acquire);
            if let Some(text) = beat.next(clock::mono_ms().0, stepped_ms, watchdog.is_some()) {
                notifier.say(text);
            }
            std::thread::sleep(every);
        }
    })?;
    Ok(service)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_comes_with_the_first_step_and_silence_with_a_standstill() {
        let mut beat = Beat::default();
        assert_eq!(beat.next(5_000, 0, true), None);
        assert_eq!(beat.next(5_010, 5_005, true), Some("READY=1\nWATCHDOG=1"));
        assert_eq!(beat.next(5_020, 5_015, true), Some("WATCHDOG=1"));
        assert_eq!(beat.next(7_000, 5_015, true), None, "it stands still");
        assert_eq!(beat.next(7_020, 7_015, true), Some("WATCHDOG=1"), "it was late, not dead");
        assert_eq!(beat.next(7_030, 7_025, false), None, "nobody wants to hear it");
    }

    #[test]
    fn systemd_is_told_by_either_kind_of_socket() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("longrein-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixDatagram::bind_addr(&address).unwrap();
        for (socket, address) in
            [(by_path, path.into_os_string()), (by_name, format!("@{name}").into())]
        {
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            Notifier::new(&address).unwrap().say("READY=1");
            let mut text = [0; 32];
            let len = socket.recv(&mut text).unwrap();
            assert_eq!(&text[..len], b"READY=1");
        }
        assert!(Notifier::new(OsStr::new("vsock:2:1")).is_err());
    }
}
