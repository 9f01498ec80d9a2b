//! What of a client's messages reaches the protocol engine. Pure: the wall clock is an argument.
//!
//! The engine knows the protocol. What a server on the open internet must refuse beyond it is refused here: credentials
//! that have ended, peers that may not be reached, and more of anything than one client needs.

use crate::credentials::{Credentials, Refused};
use crate::{Peers, Secret};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use turn_server_proto::types::attribute::{AdditionalAddressFamily, XorPeerAddress};
use turn_server_proto::types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH, SEND};
use turn_server_proto::types::stun::attribute::{ErrorCode, Username};
use turn_server_proto::types::stun::message::{
    BINDING, IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials, Message, MessageClass,
    MessageWriteVec,
};
use turn_server_proto::types::stun::prelude::{
    Attribute as _, AttributeFromRaw, AttributeStaticType, MessageWrite, MessageWriteExt,
};

/// Peers that one allocation may have named: a robot has at most seventeen addresses, and some change.
const PEERS_MAX: usize = 64;
/// User names that one client may try: its own, and a newer one of its own.
const USERNAMES_MAX: usize = 2;

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The engine gets it.
    Pass,
    /// The engine gets it, and learns these credentials before.
    Learn(Credentials),
    /// The client gets this answer: the peer may not be reached.
    Forbidden(IpAddr, Vec<u8>),
    /// The engine gets it and refuses it: there are no such credentials.
    Unknown(Refused),
    /// Nobody gets it.
    Drop,
}

/// What stands between one client and its engine.
#[derive(Debug)]
pub(crate) struct Gate {
    secret: Secret,
    realm: String,
    peers: Peers,
    own: IpAddr,
    usernames: Vec<String>,
    named: BTreeSet<SocketAddr>,
}

impl Gate {
    pub(crate) const fn new(secret: Secret, realm: String, peers: Peers, own: IpAddr) -> Self {
        Self { secret, realm, peers, own, usernames: Vec::new(), named: BTreeSet::new() }
    }

    /// The newest user name with which the client came.
    pub(crate) fn username(&self) -> Option<&str> {
        self.usernames.last().map(String::as_str)
    }

    /// What becomes of a message of the client.
    pub(crate) fn look(&mut self, bytes: &[u8], now_s: u64) -> Verdict {
        match bytes.first() {
            // Data on a channel: the engine knows the channels, and their peers were looked at.
            Some(0x40..=0x4f) => return Verdict::Pass,
            Some(0..=3) => {}
            _ => return Verdict::Drop,
        }
        let Ok(message) = Message::from_bytes(bytes) else { return Verdict::Drop };
        match (message.class(), message.method()) {
            (MessageClass::Request, BINDING | REFRESH) => Verdict::Pass,
            (MessageClass::Request, ALLOCATE) => self.allocate(&message, now_s),
            (MessageClass::Request, CREATE_PERMISSION | CHANNEL_BIND) => self.name(&message),
            (MessageClass::Indication, SEND) => Verdict::Pass,
            _ => Verdict::Drop,
        }
    }

    fn allocate(&mut self, message: &Message<'_>, now_s: u64) -> Verdict {
        // One address is enough, and the engine's account of two has gaps.
        if message.has_attribute(AdditionalAddressFamily::TYPE) {
            return Verdict::Drop;
        }
        let Ok(username) = message.attribute::<Username>() else { return Verdict::Pass };
        let username = username.username();
        if self.username() == Some(username) {
            return Verdict::Pass;
        }
        match self.secret.look_up(username, now_s) {
            // The engine would refuse it too, without saying that somebody tries passwords.
            Ok(known) if message.validate_integrity_with_key(&self.key(&known)).is_err() => {
                Verdict::Unknown(Refused::Password)
            }
            Ok(_) if self.usernames.len() >= USERNAMES_MAX => Verdict::Drop,
            Ok(credentials) => {
                self.usernames.push(username.to_owned());
                Verdict::Learn(credentials)
            }
            Err(refused) => Verdict::Unknown(refused),
        }
    }

    /// A client names peers that it wants to reach.
    fn name(&mut self, message: &Message<'_>) -> Verdict {
        let mut peers = Vec::new();
        for (_offset, attribute) in message.iter_attributes() {
            if attribute.get_type() == XorPeerAddress::TYPE {
                let Ok(peer) = XorPeerAddress::from_raw(attribute) else { return Verdict::Drop };
                peers.push(peer.addr(message.transaction_id()));
            }
        }
        let refused = peers.iter().find(|peer| !self.peers.permits(peer.ip(), self.own));
        if let Some(refused) = refused {
            // Only who has the password learns which addresses there are to be refused.
            let answer = self.forbid(message);
            return answer.map_or(Verdict::Pass, |answer| Verdict::Forbidden(refused.ip(), answer));
        }
        let new = peers.iter().filter(|peer| !self.named.contains(peer)).count();
        if self.named.len().saturating_add(new) > PEERS_MAX {
            return Verdict::Drop;
        }
        self.named.extend(peers);
        Verdict::Pass
    }

    fn key(&self, known: &Credentials) -> IntegrityKey {
        let Credentials { username, password } = known.clone();
        LongTermKeyCredentials::new(username, password, self.realm.clone())
            .make_key(IntegrityAlgorithm::Sha1)
    }

    fn forbid(&self, message: &Message<'_>) -> Option<Vec<u8>> {
        let username = self.username()?;
        let of = |username: &str| {
            message.attribute::<Username>().is_ok_and(|u| u.username() == username)
        };
        if !of(username) {
            return None;
        }
        // Good when it came, which was looked at then.
        let known = self.secret.look_up(username, 0).ok()?;
        let key = self.key(&known);
        message.validate_integrity_with_key(&key).ok()?;
        let error = ErrorCode::builder(ErrorCode::FORBIDDEN).build().ok()?;
        let mut answer = Message::builder_error(message, MessageWriteVec::with_capacity(128));
        answer.add_attribute(&error).ok()?;
        answer.add_message_integrity_with_key(&key, IntegrityAlgorithm::Sha1).ok()?;
        Some(answer.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use turn_server_proto::types::stun::attribute::{Nonce, Realm};
    use turn_server_proto::types::stun::message::Method;
    use turn_server_proto::types::stun::prelude::AttributeExt;

    const NOW_S: u64 = 1_000;

    fn gate() -> Gate {
        let own = IpAddr::from([203, 0, 114, 7]);
        Gate::new(Secret::new(b"north"), "here".to_owned(), Peers::default(), own)
    }

    fn request(method: Method, username: &str, password: &str, peers: &[SocketAddr]) -> Vec<u8> {
        let mut message = Message::builder_request(method, MessageWriteVec::new());
        let transaction = message.transaction_id();
        for peer in peers {
            message.add_attribute(&XorPeerAddress::new(*peer, transaction)).unwrap();
        }
        message.add_attribute(&Username::new(username).unwrap()).unwrap();
        message.add_attribute(&Realm::new("here").unwrap()).unwrap();
        let nonce = Nonce::new("nonce").unwrap();
        assert!(nonce.padded_len() > 0);
        message.add_attribute(&nonce).unwrap();
        let (user, password) = (username.to_owned(), password.to_owned());
        let key = LongTermKeyCredentials::new(user, password, "here".to_owned())
            .make_key(IntegrityAlgorithm::Sha1);
        message.add_message_integrity_with_key(&key, IntegrityAlgorithm::Sha1).unwrap();
        message.finish()
    }

    fn in_with(gate: &mut Gate) -> Credentials {
        let good = Secret::new(b"north").credentials("lease", NOW_S + 1);
        let asked = request(ALLOCATE, &good.username, &good.password, &[]);
        assert_eq!(gate.look(&asked, NOW_S), Verdict::Learn(good.clone()));
        assert_eq!(
            gate.look(&asked, NOW_S + 9),
            Verdict::Pass,
            "once known, an allocation may be repeated"
        );
        good
    }

    #[test]
    fn credentials_that_ended_or_never_were_make_no_allocation() {
        let mut gate = gate();
        let old = Secret::new(b"north").credentials("lease", NOW_S);
        let asked = request(ALLOCATE, &old.username, &old.password, &[]);
        assert_eq!(gate.look(&asked, NOW_S), Verdict::Unknown(Refused::Expired));
        assert_eq!(
            gate.look(&request(ALLOCATE, "anna", "x", &[]), NOW_S),
            Verdict::Unknown(Refused::Unknown)
        );
        in_with(&mut gate);
        for n in 0..20 {
            let other = Secret::new(b"north").credentials(&format!("other-{n}"), NOW_S + 5);
            let guessed = request(ALLOCATE, &other.username, "x", &[]);
            assert_eq!(gate.look(&guessed, NOW_S), Verdict::Unknown(Refused::Password));
            let got = gate.look(&request(ALLOCATE, &other.username, &other.password, &[]), NOW_S);
            assert!(matches!(got, Verdict::Learn(_) | Verdict::Drop), "{got:?}");
        }
        assert_eq!(gate.usernames.len(), USERNAMES_MAX);
    }

    #[test]
    fn a_peer_inside_is_refused_and_the_refusal_is_signed() {
        let mut gate = gate();
        let good = in_with(&mut gate);
        let inside = [([8, 8, 8, 8], 53).into(), ([10, 0, 0, 1], 22).into()];
        for method in [CREATE_PERMISSION, CHANNEL_BIND] {
            let asked = request(method, &good.username, &good.password, &inside);
            let Verdict::Forbidden(peer, answer) = gate.look(&asked, NOW_S) else {
                panic!("{method}")
            };
            assert_eq!(peer, IpAddr::from([10, 0, 0, 1]));
            let answer = Message::from_bytes(&answer).unwrap();
            assert_eq!(answer.attribute::<ErrorCode>().unwrap().code(), ErrorCode::FORBIDDEN);
            let forged = request(method, &good.username, "wrong", &inside);
            assert_eq!(gate.look(&forged, NOW_S), Verdict::Pass, "the engine refuses the password");
        }
        assert!(gate.named.is_empty());
    }

    #[test]
    fn nobody_names_peers_without_end() {
        let mut gate = gate();
        let good = in_with(&mut gate);
        for n in 0..200_u8 {
            let peer = [([8, 8, 8, n], 53).into()];
            let got =
                gate.look(&request(CHANNEL_BIND, &good.username, &good.password, &peer), NOW_S);
            let expected = if usize::from(n) < PEERS_MAX { Verdict::Pass } else { Verdict::Drop };
            assert_eq!(got, expected, "{n}");
        }
    }

    #[test]
    fn noise_reaches_nobody() {
        let mut gate = gate();
        for noise in [&[][..], &[0x16, 3, 1], &[0, 1, 0, 0], &[0x80; 200], &[2; 64]] {
            assert_eq!(gate.look(noise, NOW_S), Verdict::Drop, "{noise:?}");
        }
    }
}
