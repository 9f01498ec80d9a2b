//! A [`Network`] between two network namespaces: everything that their programs say to each other, whatever the protocol. Needs
//! root, and Linux with `ip`.
//!
//! Each namespace has one device, which is all that it can reach the other by. A packet that is sent into one comes out of the other
//! when the network says so.

use super::profile::{End, Profile};
use super::relay::{Account, Order, mono_ms, word};
use super::{Micros, Network, Way};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Packets read and not yet looked at. What comes on top waits in the device's own queue.
const INBOX_MAX: usize = 4_096;
const PACKET_LEN_MAX: usize = 65_536;
/// What a pipe adds to a packet for UDP and IP: here they are in it already.
const HEADERS_LEN: usize = 28;
/// The device in each namespace.
pub const DEVICE: &str = "netem0";

enum Event {
    Packet(Way, Vec<u8>),
    Order(Order),
}

/// Gives orders to a running tunnel.
#[derive(Debug, Clone)]
pub struct Handle(SyncSender<Event>);

impl Handle {
    /// Gives an order; `false` when the tunnel has ended.
    pub fn order(&self, order: Order) -> bool {
        self.0.send(Event::Order(order)).is_ok()
    }
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Event")
    }
}

/// A namespace with its device. Dropping it removes both, with whatever still runs in them cut off.
#[derive(Debug)]
struct Space {
    name: String,
    end: End,
    device: Arc<File>,
    /// Counts its addresses.
    address: u8,
}

impl Space {
    /// Makes the namespace and its device.
    fn make(name: &str, end: End) -> io::Result<Self> {
        ip(&["netns", "add", name])?;
        // What fails from here on leaves nothing behind.
        let made = attach(end).and_then(|device| {
            let mut space =
                Self { name: name.to_owned(), end, device: Arc::new(device), address: 0 };
            ip(&["link", "set", temporary(end), "netns", name])?;
            space.ip(&["link", "set", temporary(end), "name", DEVICE])?;
            space.ip(&["link", "set", "lo", "up"])?;
            space.ip(&["link", "set", DEVICE, "up"])?;
            space.readdress()?;
            Ok(space)
        });
        if made.is_err() {
            drop(ip(&["netns", "del", name]));
        }
        made
    }

    fn ip(&self, args: &[&str]) -> io::Result<()> {
        ip(&[&["-n", &self.name], args].concat())
    }

    fn address(&self) -> String {
        let net = if self.end == End::Robot { 1 } else { 2 };
        format!("10.77.{net}.{}", self.address)
    }

    /// Gives it another address than it has. Everything that is not there goes into the device, so no route changes.
    fn readdress(&mut self) -> io::Result<()> {
        let before = (self.address > 0).then(|| format!("{}/32", self.address()));
        self.address = self.address % 250 + 1;
        self.ip(&["addr", "add", &format!("{}/32", self.address()), "dev", DEVICE])?;
        if let Some(before) = before {
            self.ip(&["addr", "del", &before, "dev", DEVICE])?;
        }
        // Goes with the address that it had as its source.
        self.ip(&["route", "replace", "default", "dev", DEVICE, "src", &self.address()])
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // It may have been removed by hand: then it is gone, as is wanted.
        drop(ip(&["netns", "del", &self.name]));
    }
}

fn ip(args: &[&str]) -> io::Result<()> {
    let out = Command::new("ip").args(args).output()?;
    let words =
        || format!("ip {}: {}", args.join(" "), String::from_utf8_lossy(&out.stderr).trim());
    if out.status.success() { Ok(()) } else { Err(io::Error::other(words())) }
}

/// The device's name until it is in its namespace.
const fn temporary(end: End) -> &'static str {
    match end {
        End::Robot => "netem-robot",
        End::Driver => "netem-driver",
    }
}

/// A new device, whose packets are read from and written to the file.
fn attach(end: End) -> io::Result<File> {
    /// `struct ifreq` as far as the kernel reads it here: the name, and flags.
    #[repr(C)]
    struct Request {
        name: [u8; 16],
        flags: u16,
        rest: [u8; 22],
    }
    /// `TUNSETIFF`, and `IFF_TUN | IFF_NO_PI`: whole IP packets with nothing before them.
    const TUNSETIFF: rustix::ioctl::Opcode = 0x4004_54ca;
    const FLAGS: u16 = 0x0001 | 0x1000;

    let device = File::options().read(true).write(true).open("/dev/net/tun")?;
    let mut request = Request { name: [0; 16], flags: FLAGS, rest: [0; 22] };
    for (to, from) in request.name.iter_mut().zip(temporary(end).bytes()) {
        *to = from;
    }
    #[expect(unsafe_code, reason = "there is no other way to make such a device")]
    // SAFETY: TUNSETIFF reads a `struct ifreq`, 40 bytes, which `Request` is as long as; it keeps no pointer to it.
    unsafe {
        rustix::ioctl::ioctl(
            device.as_fd(),
            rustix::ioctl::Setter::<TUNSETIFF, Request>::new(request),
        )
    }?;
    Ok(device)
}

/// Two namespaces with a network between them.
#[derive(Debug)]
pub struct Tunnel {
    network: Network<Vec<u8>>,
    robot: Space,
    driver: Space,
    inbox: Receiver<Event>,
    started: Instant,
    begun: Option<Instant>,
}

impl Tunnel {
    /// Makes two namespaces, which must not be there yet, with nothing else between them.
    pub fn open(
        profile: &Profile,
        seed: u64,
        robot: &str,
        driver: &str,
    ) -> io::Result<(Self, Handle)> {
        let (sender, inbox) = sync_channel(INBOX_MAX);
        let (robot, driver) = (Space::make(robot, End::Robot)?, Space::make(driver, End::Driver)?);
        for (space, way) in [(&robot, Way::ToDriver), (&driver, Way::ToRobot)] {
            let (device, inbox) = (Arc::clone(&space.device), sender.clone());
            let name = temporary(space.end).to_owned();
            std::thread::Builder::new().name(name).spawn(move || read(&device, way, &inbox))?;
        }
        let network = Network::new(profile, seed);
        let started = Instant::now();
        Ok((Self { network, robot, driver, inbox, started, begun: None }, Handle(sender)))
    }

    /// Runs until it is told to stop, and removes the namespaces. `report` gets a line `every` so often and whenever something
    /// changes.
    pub fn run(mut self, every: Duration, mut report: impl FnMut(&Value)) -> io::Result<()> {
        report(&json!({
            "event": "listening", "mono_ms": mono_ms(), "robot": self.robot.address(), "driver": self.driver.address(),
        }));
        let mut next_report = Instant::now() + every;
        loop {
            let due = self.network.next_us().map(|us| self.started + Duration::from_micros(us));
            let until = due.map_or(next_report, |due| due.min(next_report));
            match self.inbox.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Event::Order(Order::Stop)) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(Event::Order(order)) => {
                    self.obey(order)?;
                    report(&self.said(word(order)));
                }
                Ok(Event::Packet(way, packet)) => {
                    let now_us = self.now_us();
                    let len = packet.len().saturating_sub(HEADERS_LEN);
                    self.network.push(way, now_us, len, packet);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if let Some(end) = self.network.moved(self.now_us()) {
                self.readdress(end)?;
                report(&self.said(word(Order::Move(end))));
            }
            self.deliver();
            if Instant::now() >= next_report {
                next_report += every;
                report(&self.account("running"));
            }
        }
        report(&self.account("ended"));
        Ok(())
    }

    fn said(&self, event: &str) -> Value {
        json!({"event": event, "mono_ms": mono_ms(), "robot": self.robot.address(), "driver": self.driver.address()})
    }

    fn now_us(&self) -> Micros {
        Micros::try_from(self.started.elapsed().as_micros()).unwrap_or(Micros::MAX)
    }

    fn obey(&mut self, order: Order) -> io::Result<()> {
        let now_us = self.now_us();
        match order {
            Order::Begin => {
                self.network.begin(now_us);
                self.begun.get_or_insert_with(Instant::now);
            }
            Order::Cut(ms) => self.network.cut(now_us, ms.saturating_mul(1_000)),
            Order::Move(end) => self.readdress(end)?,
            Order::Stop => {}
        }
        Ok(())
    }

    fn readdress(&mut self, end: End) -> io::Result<()> {
        match end {
            End::Robot => self.robot.readdress(),
            End::Driver => self.driver.readdress(),
        }
    }

    fn deliver(&mut self) {
        let now_us = self.now_us();
        for (way, space) in [(Way::ToRobot, &self.robot), (Way::ToDriver, &self.driver)] {
            while let Some(packet) = self.network.pop(way, now_us) {
                // A device that is down takes nothing: lost, as on any network.
                drop((&*space.device).write(&packet));
            }
        }
    }

    fn account(&mut self, event: &str) -> Value {
        let now_us = self.now_us();
        let Account { to_driver, to_robot } = Account::of(&mut self.network, now_us);
        json!({
            "event": event,
            "mono_ms": mono_ms(),
            "profile_ms": self.begun.map(|begun| u64::try_from(begun.elapsed().as_millis()).unwrap_or(0)),
            "to_driver": to_driver,
            "to_robot": to_robot,
        })
    }
}

/// Hands over what a device gives until nobody wants it any more or the device is gone.
fn read(mut device: &File, way: Way, inbox: &SyncSender<Event>) {
    let mut buffer = vec![0; PACKET_LEN_MAX];
    while let Ok(len) = device.read(&mut buffer) {
        let packet = buffer.get(..len).unwrap_or_default().to_vec();
        if len == 0 || inbox.send(Event::Packet(way, packet)).is_err() {
            return;
        }
    }
}
