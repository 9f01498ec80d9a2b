//! Clients over UDP: who sent a datagram, and whether it is worth a task.

use crate::client::{Client, INLET_LEN, Way};
use crate::context::Context;
use crate::frame;
use bytes::Bytes;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinSet;
use turn_server_proto::types::message::ALLOCATE;
use turn_server_proto::types::stun::attribute::XorMappedAddress;
use turn_server_proto::types::stun::message::{BINDING, Message, MessageClass, MessageWriteVec};
use turn_server_proto::types::stun::prelude::{MessageWrite, MessageWriteExt};

/// Clients without an allocation, at most: those who only began. Whoever began first has to go, so a flood of them keeps
/// newcomers out and touches nobody who has a path.
const PENDING_MAX: usize = 1_024;
const SWEEP_EVERY: Duration = Duration::from_secs(2);

struct Entry {
    inlet: mpsc::Sender<Bytes>,
    allocated: Arc<AtomicBool>,
    began: Instant,
}

impl Entry {
    fn is_pending(&self) -> bool {
        !self.allocated.load(Ordering::Acquire)
    }
}

/// Serves clients over UDP, for ever.
pub(crate) async fn serve(context: Arc<Context>, socket: Arc<UdpSocket>) {
    let mut clients: HashMap<SocketAddr, Entry> = HashMap::new();
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; frame::LEN_MAX];
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    loop {
        tokio::select! {
            got = socket.recv_from(&mut buffer) => match got {
                Ok((len, from)) => {
                    let datagram = buffer.get(..len).unwrap_or_default();
                    if let Some(client) = deliver(&context, &socket, &mut clients, datagram, from) {
                        tasks.spawn(client);
                    }
                }
                // An ICMP error of an earlier answer; it must not stop the server, nor spin it.
                Err(error) => {
                    tracing::trace!(%error, "relay");
                    tokio::task::yield_now().await;
                }
            },
            _tick = sweep.tick() => clients.retain(|_, entry| !entry.inlet.is_closed()),
            Some(ended) = tasks.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    tracing::error!("relay: a client's engine failed; only this client lost its path");
                }
            }
        }
    }
}

/// Gives a datagram to its client; for a new client returns what is to be run.
fn deliver(
    context: &Arc<Context>,
    socket: &Arc<UdpSocket>,
    clients: &mut HashMap<SocketAddr, Entry>,
    datagram: &[u8],
    from: SocketAddr,
) -> Option<impl Future<Output = ()> + use<>> {
    let dropped = || context.stats.dropped.add(1);
    if let Some(entry) = clients.get(&from) {
        match entry.inlet.try_send(Bytes::copy_from_slice(datagram)) {
            Ok(()) => return None,
            Err(TrySendError::Full(_)) => {
                dropped();
                return None;
            }
            Err(TrySendError::Closed(_)) => drop(clients.remove(&from)),
        }
    }
    match first_word(datagram, from) {
        Word::Answer(answer) => {
            // A question about one's own address costs no memory.
            if socket.try_send_to(&answer, from).is_err() {
                dropped();
            }
            return None;
        }
        Word::Nothing => {
            dropped();
            return None;
        }
        Word::Allocate => {}
    }
    make_room(clients);
    let (inlet, outlet) = mpsc::channel(INLET_LEN);
    let allocated = Arc::new(AtomicBool::new(false));
    let way = Way::Udp(Arc::clone(socket));
    let client = Client::new(Arc::clone(context), from, way, Arc::clone(&allocated));
    // The channel is new and empty.
    inlet.try_send(Bytes::copy_from_slice(datagram)).ok()?;
    clients.insert(from, Entry { inlet, allocated, began: Instant::now() });
    Some(client.run(outlet))
}

fn make_room(clients: &mut HashMap<SocketAddr, Entry>) {
    if clients.len() < PENDING_MAX {
        return;
    }
    let pending = || clients.iter().filter(|(_, entry)| entry.is_pending());
    if pending().count() >= PENDING_MAX
        && let Some(oldest) = pending().min_by_key(|(_, entry)| entry.began).map(|(at, _)| *at)
    {
        clients.remove(&oldest);
    }
}

/// What somebody says whom the server does not know.
#[derive(Debug, PartialEq, Eq)]
enum Word {
    Allocate,
    Answer(Vec<u8>),
    Nothing,
}

fn first_word(datagram: &[u8], from: SocketAddr) -> Word {
    let Ok(message) = Message::from_bytes(datagram) else { return Word::Nothing };
    if message.class() != MessageClass::Request {
        return Word::Nothing;
    }
    match message.method() {
        ALLOCATE => Word::Allocate,
        BINDING => {
            let mapped = XorMappedAddress::new(from, message.transaction_id());
            let mut answer = Message::builder_success(&message, MessageWriteVec::with_capacity(64));
            let made = answer.add_attribute(&mapped).and_then(|()| answer.add_fingerprint());
            made.map_or(Word::Nothing, |()| Word::Answer(answer.finish()))
        }
        _ => Word::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_its_address_gets_it_and_noise_gets_nothing() {
        let from = SocketAddr::from(([198, 51, 100, 9], 4_000));
        let asked = Message::builder_request(BINDING, MessageWriteVec::new()).finish();
        let Word::Answer(answer) = first_word(&asked, from) else { panic!("no answer") };
        let answer = Message::from_bytes(&answer).unwrap();
        let mapped = answer.attribute::<XorMappedAddress>().unwrap();
        assert_eq!(mapped.addr(answer.transaction_id()), from);
        let allocate = Message::builder_request(ALLOCATE, MessageWriteVec::new()).finish();
        assert_eq!(first_word(&allocate, from), Word::Allocate);
        for noise in [&[][..], &[1; 3], &[0x40; 40], &[0; 20]] {
            assert_eq!(first_word(noise, from), Word::Nothing);
        }
    }

    #[test]
    fn a_flood_of_beginners_takes_no_more_room_and_no_path_away() {
        let mut clients = HashMap::new();
        let entry = |allocated| {
            let (inlet, _outlet) = mpsc::channel(1);
            Entry { inlet, allocated: Arc::new(AtomicBool::new(allocated)), began: Instant::now() }
        };
        let at = |n: u32| SocketAddr::from((n.to_be_bytes(), 9));
        clients.insert(at(0), entry(true));
        for n in 1..3_000 {
            make_room(&mut clients);
            clients.insert(at(n), entry(false));
        }
        assert!(clients.len() <= PENDING_MAX + 1, "{}", clients.len());
        assert!(clients.contains_key(&at(0)) && clients.contains_key(&at(2_999)));
    }
}
