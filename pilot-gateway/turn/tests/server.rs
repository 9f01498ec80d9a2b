//! The server over real sockets, with a client that says what no browser would.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, SystemTime};
use turn_relay::{Credentials, Limits, Options, Peers, Secret, Server};
use turn_server_proto::types::attribute::{
    Data, Lifetime, RequestedTransport, XorPeerAddress, XorRelayedAddress,
};
use turn_server_proto::types::message::{ALLOCATE, CREATE_PERMISSION, REFRESH, SEND};
use turn_server_proto::types::stun::attribute::{ErrorCode, Nonce, Realm, Username};
use turn_server_proto::types::stun::message::{
    BINDING, IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageWriteVec, Method,
};
use turn_server_proto::types::stun::prelude::{MessageWrite, MessageWriteExt};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PATIENCE: Duration = Duration::from_secs(5);

fn secret() -> Secret {
    Secret::new(b"north")
}

fn good(subject: &str) -> Credentials {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    secret().credentials(subject, now.as_secs() + 60)
}

/// A server on loopback whose clients may reach `peers`.
async fn server(peers: &[&str], limits: Limits) -> Server {
    Server::start(Options {
        listen: (LOCAL, 0).into(),
        public: LOCAL,
        ports: None,
        realm: "here".to_owned(),
        secret: secret(),
        peers: Peers::new(peers.iter().map(|net| net.parse().unwrap()).collect()),
        limits,
    })
    .await
    .unwrap()
}

enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

/// A client that waits for each answer.
struct Client {
    wire: Wire,
    credentials: Credentials,
    nonce: String,
}

impl Client {
    fn udp(server: SocketAddr, credentials: Credentials) -> Self {
        let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { wire: Wire::Udp(socket), credentials, nonce: String::new() }
    }

    fn tcp(server: SocketAddr, credentials: Credentials) -> Self {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { wire: Wire::Tcp(stream), credentials, nonce: String::new() }
    }

    fn send(&mut self, bytes: &[u8]) {
        match &mut self.wire {
            Wire::Udp(socket) => drop(socket.send(bytes).unwrap()),
            Wire::Tcp(stream) => stream.write_all(bytes).unwrap(),
        }
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        match &mut self.wire {
            Wire::Udp(socket) => {
                let mut buffer = vec![0; 4096];
                let len = socket.recv(&mut buffer).ok()?;
                buffer.truncate(len);
                Some(buffer)
            }
            Wire::Tcp(stream) => {
                let mut message = vec![0; 20];
                stream.read_exact(&mut message).ok()?;
                let body = usize::from(u16::from_be_bytes([message[2], message[3]]));
                message.resize(20 + body, 0);
                stream.read_exact(&mut message[20..]).ok()?;
                Some(message)
            }
        }
    }

    fn ask(&mut self, method: Method, add: impl Fn(&mut MessageWriteVec)) -> Vec<u8> {
        let mut request = Message::builder_request(method, MessageWriteVec::new());
        add(&mut request);
        if !self.nonce.is_empty() {
            let Credentials { username, password } = self.credentials.clone();
            request.add_attribute(&Username::new(&username).unwrap()).unwrap();
            request.add_attribute(&Realm::new("here").unwrap()).unwrap();
            request.add_attribute(&Nonce::new(&self.nonce).unwrap()).unwrap();
            let key = LongTermKeyCredentials::new(username, password, "here".to_owned())
                .make_key(IntegrityAlgorithm::Sha1);
            request.add_message_integrity_with_key(&key, IntegrityAlgorithm::Sha1).unwrap();
        }
        self.send(&request.finish());
        self.receive().unwrap()
    }

    /// Asks for an allocation as browsers do: first without a name. The relayed address, or the error's code.
    fn allocate(&mut self) -> Result<SocketAddr, u16> {
        let udp = |request: &mut MessageWriteVec| {
            request.add_attribute(&RequestedTransport::new(17)).unwrap();
        };
        let answer = self.ask(ALLOCATE, udp);
        let answer = Message::from_bytes(&answer).unwrap();
        assert_eq!(code(&answer), Some(401));
        self.nonce = answer.attribute::<Nonce>().unwrap().nonce().to_owned();
        let answer = self.ask(ALLOCATE, udp);
        let answer = Message::from_bytes(&answer).unwrap();
        match code(&answer) {
            Some(code) => Err(code),
            None => {
                let relayed = answer.attribute::<XorRelayedAddress>().unwrap();
                Ok(relayed.addr(answer.transaction_id()))
            }
        }
    }

    fn permit(&mut self, peer: SocketAddr) -> Option<u16> {
        let answer = self.ask(CREATE_PERMISSION, |request| {
            let transaction = request_id(request);
            request.add_attribute(&XorPeerAddress::new(peer, transaction)).unwrap();
        });
        code(&Message::from_bytes(&answer).unwrap())
    }

    fn say(&mut self, peer: SocketAddr, data: &[u8]) {
        let mut message = Message::builder_indication(SEND, MessageWriteVec::new());
        let transaction = request_id(&message);
        message.add_attribute(&XorPeerAddress::new(peer, transaction)).unwrap();
        message.add_attribute(&Data::new(data)).unwrap();
        self.send(&message.finish());
    }
}

fn request_id(message: &MessageWriteVec) -> turn_server_proto::types::stun::message::TransactionId {
    let mut id = [0; 16];
    id[4..].copy_from_slice(&message[8..20]);
    u128::from_be_bytes(id).into()
}

fn code(message: &Message<'_>) -> Option<u16> {
    message.attribute::<ErrorCode>().ok().map(|error| error.code())
}

/// Somebody behind the relay.
fn peer() -> UdpSocket {
    let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn there_and_back(client: &mut Client) {
    let relayed = client.allocate().unwrap();
    let peer = peer();
    let at = peer.local_addr().unwrap();
    assert_eq!(client.permit(at), None);
    for n in 0..50_u8 {
        client.say(at, &[n; 1_100]);
        let mut buffer = [0; 2_048];
        let (len, from) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!((len, from, buffer[0]), (1_100, relayed, n));
        peer.send_to(&[n, 1, 2], relayed).unwrap();
        let answer = client.receive().unwrap();
        let answer = Message::from_bytes(&answer).unwrap();
        assert_eq!(answer.attribute::<Data<'_>>().unwrap().data(), [n, 1, 2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_relayed_arrives_both_ways_over_udp_and_tcp() {
    let server = server(&["127.0.0.0/8"], Limits::default()).await;
    there_and_back(&mut Client::udp(server.address(), good("a")));
    there_and_back(&mut Client::tcp(server.address(), good("b")));
    assert_eq!(server.stats().allocations.get(), 2);
    assert_eq!(server.stats().bytes.get(), 2 * 50 * 1_103);
    assert_eq!(server.stats().dropped.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_good_credentials_gets_no_path() {
    let server = server(&["127.0.0.0/8"], Limits::default()).await;
    let expired = secret().credentials("a", 1_700_000_000);
    let wrong = Credentials { password: "guessed".to_owned(), ..good("a") };
    let forged = Secret::new(b"south").credentials("a", 4_000_000_000);
    let nobody = Credentials { username: "anna".to_owned(), password: "anna".to_owned() };
    for credentials in [expired, wrong, forged, nobody] {
        assert_eq!(Client::udp(server.address(), credentials.clone()).allocate(), Err(401));
        assert_eq!(Client::tcp(server.address(), credentials).allocate(), Err(401));
    }
    assert_eq!(server.stats().allocations.get(), 0);
    assert!(server.stats().refused_credentials.get() >= 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_behind_the_operators_walls_is_refused() {
    let server = server(&[], Limits::default()).await;
    let mut client = Client::udp(server.address(), good("a"));
    client.allocate().unwrap();
    let inside = SocketAddr::from(([10, 0, 0, 1], 22));
    assert_eq!(client.permit(inside), Some(403));
    // The server's own machine: permitted for the sake of other relayed addresses, and still no way to its other doors.
    let door = peer();
    let at = door.local_addr().unwrap();
    assert_eq!(client.permit(at), None);
    client.say(at, b"knock");
    door.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(door.recv_from(&mut [0; 64]).is_err(), "nothing may come through");
    assert_eq!(server.stats().refused_peers.get(), 2);
    // Nor may that door speak to the client.
    let mut other = Client::udp(server.address(), good("b"));
    let relayed = other.allocate().unwrap();
    assert_eq!(other.permit(at), None);
    door.send_to(b"knock", relayed).unwrap();
    // Two relayed addresses reach each other.
    assert_eq!(client.permit(relayed), None);
    let mut third = Client::udp(server.address(), good("c"));
    let third_relayed = third.allocate().unwrap();
    assert_eq!(other.permit(third_relayed), None);
    assert_eq!(third.permit(relayed), None);
    third.say(relayed, b"hello");
    let got = other.receive().unwrap();
    let got = Message::from_bytes(&got).unwrap();
    assert_eq!(got.attribute::<Data<'_>>().unwrap().data(), b"hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_subject_has_so_many_paths_and_gets_them_back() {
    let limits = Limits { allocations_per_subject_max: 2, ..Limits::default() };
    let server = server(&[], limits).await;
    let (mut first, mut second) =
        (Client::udp(server.address(), good("a")), Client::tcp(server.address(), good("a")));
    assert!(first.allocate().is_ok() && second.allocate().is_ok());
    assert_eq!(Client::udp(server.address(), good("a")).allocate(), Err(508));
    assert!(
        Client::udp(server.address(), good("b")).allocate().is_ok(),
        "others are not concerned"
    );
    let answer = first.ask(REFRESH, |request| {
        request.add_attribute(&Lifetime::new(0)).unwrap();
    });
    assert_eq!(code(&Message::from_bytes(&answer).unwrap()), None);
    drop(second);
    // The end of a connection is noticed a moment later.
    let deadline = std::time::Instant::now() + PATIENCE;
    for free in 0..2 {
        loop {
            if Client::udp(server.address(), good("a")).allocate().is_ok() {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "path {free} never came back");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_a_client_with_good_credentials_is_cut() {
    let limits = Limits { bytes_per_s_max: 200_000, ..Limits::default() };
    let server = server(&["127.0.0.0/8"], limits).await;
    let mut client = Client::udp(server.address(), good("a"));
    client.allocate().unwrap();
    let peer = peer();
    let at = peer.local_addr().unwrap();
    assert_eq!(client.permit(at), None);
    // How many of them reach the server is the kernel's affair, so the flood goes on until it was cut often enough.
    let began = std::time::Instant::now();
    while server.stats().dropped.get() <= 1_000 {
        assert!(began.elapsed() < PATIENCE, "only {} were cut", server.stats().dropped.get());
        for _ in 0..100 {
            client.say(at, &[7; 1_000]);
        }
        tokio::task::yield_now().await;
    }
    let passed = server.stats().bytes.get() as f64;
    let most = 100_000.0 + 200_000.0 * began.elapsed().as_secs_f64();
    assert!(passed > 50_000.0 && passed <= most, "{passed} bytes passed, at most {most} may");
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_neither_stops_the_server_nor_stays() {
    let server = server(&["127.0.0.0/8"], Limits::default()).await;
    let noisy = UdpSocket::bind((LOCAL, 0)).unwrap();
    let mut client = Client::udp(server.address(), good("a"));
    client.allocate().unwrap();
    let template = {
        let mut request = Message::builder_request(ALLOCATE, MessageWriteVec::new());
        request.add_attribute(&RequestedTransport::new(17)).unwrap();
        request.add_attribute(&Username::new("1:x").unwrap()).unwrap();
        request.add_attribute(&Realm::new("here").unwrap()).unwrap();
        request.add_attribute(&Nonce::new("n").unwrap()).unwrap();
        let key = LongTermKeyCredentials::new("1:x".into(), "y".into(), "here".into())
            .make_key(IntegrityAlgorithm::Sha1);
        request.add_message_integrity_with_key(&key, IntegrityAlgorithm::Sha1).unwrap();
        request.finish()
    };
    // Seeded, so that a failure comes again.
    let mut seed = 7_u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    for round in 0..20_000 {
        let mut bytes = template.clone();
        bytes[0..2]
            .copy_from_slice(&[(next() % 2) as u8, [1, 3, 4, 6, 8, 9, 0x11, 0x13][next() % 8]]);
        for _flip in 0..next() % 6 {
            let at = next() % bytes.len();
            bytes[at] = next() as u8;
        }
        if next() % 4 == 0 {
            bytes.truncate(next() % bytes.len());
        }
        // From a stranger, and from somebody who has a path.
        noisy.send_to(&bytes, server.address()).unwrap();
        client.send(&bytes);
        if round % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for _ in 0..20 {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(stream.read(&mut [0; 16]).unwrap_or(0), 0, "closed without a word");
    }
    there_and_back(&mut Client::udp(server.address(), good("b")));
    let asked = Message::builder_request(BINDING, MessageWriteVec::new()).finish();
    let mut another = Client::udp(server.address(), good("c"));
    another.send(&asked);
    assert!(another.receive().is_some());
}
