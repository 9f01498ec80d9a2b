//! A [`Network`] between UDP sockets: a robot behind one address, drivers who only know the relay's.
//!
//! One thread owns the network and looks at it when something arrives or is due; each socket has a thread that reads it.
//! To the robot every driver is a socket of its own, as behind a NAT, so that answers find their way back.

use super::profile::{End, Profile};
use super::{Micros, Network, Way};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Drivers' addresses at a time. A browser has one for each of its network interfaces.
const FLOWS_MAX: usize = 64;
/// A flow that was silent for so long makes room for a new one.
const FLOW_IDLE_MAX: Duration = Duration::from_secs(30);
/// Packets read and not yet looked at. Enough for a burst; what comes on top the socket drops and nobody counts.
const INBOX_MAX: usize = 4_096;
/// Threads look this often whether they are still wanted.
const READ_TIMEOUT: Duration = Duration::from_millis(200);
/// How often a relay tells of its account, unless it is told otherwise.
pub const REPORT_EVERY: Duration = Duration::from_secs(1);
const PACKET_LEN_MAX: usize = 65_536;

/// Where a relay stands.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// Where drivers send. Each further port belongs to the robot's further port.
    pub listen: SocketAddr,
    /// Where the robot receives.
    pub robot: SocketAddr,
    /// How many ports from these on are relayed.
    pub ports: u16,
}

/// What a relay can be told while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The profile's own time begins.
    Begin,
    /// Nothing gets through for so many milliseconds from now on.
    Cut(u64),
    /// An end has another address from now on.
    Move(End),
    /// End.
    Stop,
}

impl std::str::FromStr for Order {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["begin"] => Ok(Self::Begin),
            ["cut", ms] => {
                ms.parse().map(Self::Cut).map_err(|_odd| format!("\"{ms}\" is no time in ms"))
            }
            ["move", "robot"] => Ok(Self::Move(End::Robot)),
            ["move", "driver"] => Ok(Self::Move(End::Driver)),
            ["stop"] => Ok(Self::Stop),
            _ => {
                Err(format!("\"{line}\" is no order: begin, cut MS, move robot, move driver, stop"))
            }
        }
    }
}

/// What the relay's thread is woken by.
enum Event {
    FromDriver { port: u16, place: u32, driver: SocketAddr, data: Vec<u8> },
    FromRobot { flow: u64, data: Vec<u8> },
    Order(Order),
}

/// Gives orders to a running relay.
#[derive(Debug, Clone)]
pub struct Handle(SyncSender<Event>);

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Event")
    }
}

impl Handle {
    /// Gives an order; `false` when the relay has ended.
    pub fn order(&self, order: Order) -> bool {
        self.0.send(Event::Order(order)).is_ok()
    }
}

/// A packet on its way through the network.
#[derive(Debug)]
struct Packet {
    flow: u64,
    data: Vec<u8>,
}

/// One driver's address.
#[derive(Debug)]
struct Flow {
    port: u16,
    /// Under which of the robot's addresses that driver knows it.
    place: u32,
    driver: SocketAddr,
    /// As the robot sees that driver.
    socket: Arc<UdpSocket>,
    reading: Arc<AtomicBool>,
    used: Instant,
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.reading.store(false, Ordering::Relaxed);
    }
}

/// One port of the robot's, at one of its addresses.
#[derive(Debug)]
struct Port {
    /// What drivers send to.
    socket: Arc<UdpSocket>,
    reading: Arc<AtomicBool>,
}

/// A relay with its sockets open.
#[derive(Debug)]
pub struct Relay {
    network: Network<Packet>,
    addresses: Addresses,
    /// Where whoever asks for the robot finds it.
    ports: Vec<Port>,
    /// Where it went since, for those who knew it before.
    moved: Vec<Port>,
    /// How often it went.
    place: u32,
    flows: BTreeMap<u64, Flow>,
    next_flow: u64,
    /// Packets of drivers for whom there was no room.
    refused: u64,
    inbox: Receiver<Event>,
    sender: SyncSender<Event>,
    started: Instant,
    /// Since the profile's beginning.
    begun: Option<Instant>,
}

impl Relay {
    /// Opens the relay's ports.
    pub fn open(profile: &Profile, seed: u64, addresses: Addresses) -> io::Result<(Self, Handle)> {
        let (sender, inbox) = sync_channel(INBOX_MAX);
        let mut ports = Vec::new();
        for offset in 0..addresses.ports {
            let socket = UdpSocket::bind(shifted(addresses.listen, offset)?)?;
            ports.push(Port { socket: Arc::new(socket), reading: running() });
            read_drivers(&ports, offset, 0, &sender)?;
        }
        let handle = Handle(sender.clone());
        let relay = Self {
            network: Network::new(profile, seed),
            addresses,
            ports,
            moved: Vec::new(),
            place: 0,
            flows: BTreeMap::new(),
            next_flow: 0,
            refused: 0,
            inbox,
            sender,
            started: Instant::now(),
            begun: None,
        };
        Ok((relay, handle))
    }

    /// Runs until it is told to stop. `report` gets a line `every` so often and whenever something changes.
    pub fn run(mut self, every: Duration, mut report: impl FnMut(&Value)) -> io::Result<()> {
        report(
            &json!({"event": "listening", "mono_ms": mono_ms(), "listen": self.addresses.listen.to_string()}),
        );
        let mut next_report = Instant::now() + every;
        loop {
            let due = self.network.next_us().map(|us| self.started + Duration::from_micros(us));
            let until = due.map_or(next_report, |due| due.min(next_report));
            match self.inbox.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Event::Order(Order::Stop)) => break,
                Ok(Event::Order(order)) => {
                    self.obey(order)?;
                    report(&json!({"event": word(order), "mono_ms": mono_ms()}));
                }
                Ok(Event::FromDriver { port, place, driver, data }) => {
                    self.take_in(port, place, driver, data)?;
                }
                Ok(Event::FromRobot { flow, data }) => self.push(Way::ToDriver, flow, data),
                Err(RecvTimeoutError::Timeout) => {}
                // It holds a sender itself.
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if let Some(end) = self.network.moved(self.now_us()) {
                self.change_address(end)?;
                report(&json!({"event": word(Order::Move(end)), "mono_ms": mono_ms()}));
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
            Order::Move(end) => self.change_address(end)?,
            Order::Stop => {}
        }
        Ok(())
    }

    fn push(&mut self, way: Way, flow: u64, data: Vec<u8>) {
        let now_us = self.now_us();
        self.network.push(way, now_us, data.len(), Packet { flow, data });
    }

    fn take_in(
        &mut self,
        port: u16,
        place: u32,
        driver: SocketAddr,
        data: Vec<u8>,
    ) -> io::Result<()> {
        let known = self.flows.iter().find(|(_, flow)| flow.driver == driver && flow.port == port);
        let number = match known.map(|(number, flow)| (*number, flow.place == place)) {
            Some((number, true)) => number,
            // The robot is not there any more for those who knew it there.
            Some((_, false)) => return Ok(()),
            None => match self.welcome(port, place, driver)? {
                Some(number) => number,
                None => {
                    self.refused += 1;
                    return Ok(());
                }
            },
        };
        if let Some(flow) = self.flows.get_mut(&number) {
            flow.used = Instant::now();
        }
        self.push(Way::ToRobot, number, data);
        Ok(())
    }

    /// Makes room for a new driver; nothing when there is none.
    fn welcome(&mut self, port: u16, place: u32, driver: SocketAddr) -> io::Result<Option<u64>> {
        if self.flows.len() >= FLOWS_MAX {
            self.flows.retain(|_, flow| flow.used.elapsed() < FLOW_IDLE_MAX);
        }
        if self.flows.len() >= FLOWS_MAX {
            return Ok(None);
        }
        let number = self.next_flow;
        self.next_flow += 1;
        let (socket, reading) = self.towards_robot(number, port)?;
        let used = Instant::now();
        self.flows.insert(number, Flow { port, place, driver, socket, reading, used });
        Ok(Some(number))
    }

    /// A new socket as which the robot sees a driver.
    fn towards_robot(&self, flow: u64, port: u16) -> io::Result<(Arc<UdpSocket>, Arc<AtomicBool>)> {
        let robot = shifted(self.addresses.robot, port)?;
        let socket = Arc::new(UdpSocket::bind(SocketAddr::new(self.addresses.listen.ip(), 0))?);
        socket.connect(robot)?;
        let reading = running();
        let (inbox, from, wanted) =
            (self.sender.clone(), Arc::clone(&socket), Arc::clone(&reading));
        read("netem-robot", from, wanted, move |_robot, data| {
            inbox.send(Event::FromRobot { flow, data }).is_ok()
        })?;
        Ok((socket, reading))
    }

    /// An end is reached under another address: its old one is dead to those who knew it. Who asks for the robot only now would be
    /// told where it is now; here such newcomers find it where they always did.
    fn change_address(&mut self, end: End) -> io::Result<()> {
        match end {
            End::Driver => {
                let flows: Vec<(u64, u16)> =
                    self.flows.iter().map(|(number, flow)| (*number, flow.port)).collect();
                for (number, port) in flows {
                    let (socket, reading) = self.towards_robot(number, port)?;
                    if let Some(flow) = self.flows.get_mut(&number) {
                        flow.reading.store(false, Ordering::Relaxed);
                        (flow.socket, flow.reading) = (socket, reading);
                    }
                }
            }
            End::Robot => {
                self.place += 1;
                for port in self.moved.drain(..) {
                    port.reading.store(false, Ordering::Relaxed);
                }
                for offset in 0..self.addresses.ports {
                    let new = UdpSocket::bind(SocketAddr::new(self.addresses.listen.ip(), 0))?;
                    self.moved.push(Port { socket: Arc::new(new), reading: running() });
                    read_drivers(&self.moved, offset, self.place, &self.sender)?;
                }
                for flow in self.flows.values_mut() {
                    flow.place = self.place;
                }
            }
        }
        Ok(())
    }

    fn deliver(&mut self) {
        let now_us = self.now_us();
        for way in [Way::ToRobot, Way::ToDriver] {
            while let Some(packet) = self.network.pop(way, now_us) {
                let Some(flow) = self.flows.get(&packet.flow) else { continue };
                let ports = if flow.place == 0 { &self.ports } else { &self.moved };
                let sent = match (way, ports.get(usize::from(flow.port))) {
                    (Way::ToRobot, _) => flow.socket.send(&packet.data),
                    (Way::ToDriver, Some(port)) => port.socket.send_to(&packet.data, flow.driver),
                    (Way::ToDriver, None) => continue,
                };
                // Nobody there, or no room: UDP promises nothing else.
                drop(sent);
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
            "flows": self.flows.len(),
            "refused": self.refused,
            "to_driver": to_driver,
            "to_robot": to_robot,
        })
    }
}

/// What became of both directions' packets, and how the bottlenecks stand.
pub(super) struct Account {
    pub(super) to_driver: Value,
    pub(super) to_robot: Value,
}

impl Account {
    pub(super) fn of<P>(network: &mut Network<P>, now_us: Micros) -> Self {
        let mut way = |way| {
            let (queue_ms, kbps) = network.state(way, now_us);
            let mut account = json!(network.counts(way));
            (account["queue_ms"], account["kbps"]) = (json!(queue_ms), json!(kbps));
            account
        };
        Self { to_driver: way(Way::ToDriver), to_robot: way(Way::ToRobot) }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        for port in self.ports.iter().chain(&self.moved) {
            port.reading.store(false, Ordering::Relaxed);
        }
    }
}

pub(super) const fn word(order: Order) -> &'static str {
    match order {
        Order::Begin => "begin",
        Order::Cut(_) => "cut",
        Order::Move(End::Robot) => "move robot",
        Order::Move(End::Driver) => "move driver",
        Order::Stop => "stop",
    }
}

fn running() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(true))
}

/// This machine's monotonic clock, as other programs' records have it.
pub(super) fn mono_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000
        + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}

fn shifted(address: SocketAddr, offset: u16) -> io::Result<SocketAddr> {
    let port = address.port().checked_add(offset);
    let port =
        port.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "no port is over 65535"))?;
    Ok(SocketAddr::new(address.ip(), port))
}

fn read_drivers(
    ports: &[Port],
    offset: u16,
    place: u32,
    inbox: &SyncSender<Event>,
) -> io::Result<()> {
    let Some(port) = ports.get(usize::from(offset)) else { return Ok(()) };
    let inbox = inbox.clone();
    let take = move |driver, data| {
        inbox.send(Event::FromDriver { port: offset, place, driver, data }).is_ok()
    };
    read("netem-driver", Arc::clone(&port.socket), Arc::clone(&port.reading), take)
}

/// Reads a socket in a thread of its own until it is no longer wanted.
fn read(
    name: &str,
    socket: Arc<UdpSocket>,
    wanted: Arc<AtomicBool>,
    mut take: impl FnMut(SocketAddr, Vec<u8>) -> bool + Send + 'static,
) -> io::Result<()> {
    socket.set_read_timeout(Some(READ_TIMEOUT))?;
    let reading = move || {
        let mut buffer = vec![0; PACKET_LEN_MAX];
        while wanted.load(Ordering::Relaxed) {
            match socket.recv_from(&mut buffer) {
                // What an address that has been given up still receives is lost.
                Ok((len, from)) if wanted.load(Ordering::Relaxed) => {
                    if !take(from, buffer.get(..len).unwrap_or_default().to_vec()) {
                        return;
                    }
                }
                // Timeouts, and the news that nobody listens at the other end.
                Ok(_) | Err(_) => {}
            }
        }
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(reading).map(drop)
}
