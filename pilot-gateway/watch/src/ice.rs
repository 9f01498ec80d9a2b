//! The little of ICE (RFC 8445) and STUN (RFC 8489) that an end needs which has one public address and never asks:
//! ICE lite. It answers who knows the password, and remembers from where that was.

use ring::hmac;
use std::net::{IpAddr, SocketAddr};

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const HEADER_LEN: usize = 20;
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const INTEGRITY_LEN: usize = 20;
const FINGERPRINT_XOR: u32 = 0x5354_554e;
/// Longer requests than this nobody makes.
const LEN_MAX: usize = 600;

/// A binding request, not checked yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    datagram: &'a [u8],
    transaction: [u8; 12],
    /// The part of its user name that is ours.
    pub(crate) ufrag: &'a str,
    /// Whether the far end has chosen this path.
    pub(crate) nominated: bool,
    /// Where its proof stands in the datagram.
    integrity_at: usize,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

impl<'a> Request<'a> {
    /// Reads a datagram; `None` for whatever is no binding request with a user name and a proof.
    pub(crate) fn parse(datagram: &'a [u8]) -> Option<Self> {
        let header = datagram.get(..HEADER_LEN).filter(|_| datagram.len() <= LEN_MAX)?;
        let length = usize::from(u16_at(header, 2)?);
        let fits = length + HEADER_LEN == datagram.len() && length.is_multiple_of(4);
        if !fits || header.get(..2)? != BINDING_REQUEST || header.get(4..8)? != COOKIE {
            return None;
        }
        let transaction = header.get(8..20)?.try_into().ok()?;
        let (mut ufrag, mut nominated, mut integrity_at) = (None, false, None);
        let mut at = HEADER_LEN;
        while at < datagram.len() {
            let (kind, len) = (u16_at(datagram, at)?, usize::from(u16_at(datagram, at + 2)?));
            let value = datagram.get(at + 4..at + 4 + len)?;
            match kind {
                USERNAME => ufrag = std::str::from_utf8(value).ok()?.split(':').next(),
                USE_CANDIDATE => nominated = true,
                MESSAGE_INTEGRITY if len == INTEGRITY_LEN => {
                    integrity_at = Some(at);
                    // What comes after is not covered by the proof.
                    break;
                }
                _other => {}
            }
            at += 4 + len.next_multiple_of(4);
        }
        let (ufrag, integrity_at) = (ufrag?, integrity_at?);
        Some(Self { datagram, transaction, ufrag, nominated, integrity_at })
    }

    /// Whether who sent it knows `password`.
    pub(crate) fn is_by(&self, password: &str) -> bool {
        let proof_at = self.integrity_at + 4;
        let (Some(covered), Some(proof)) = (
            self.datagram.get(..self.integrity_at),
            self.datagram.get(proof_at..proof_at + INTEGRITY_LEN),
        ) else {
            return false;
        };
        // As if the proof were the last attribute.
        let length = self.integrity_at + 4 + INTEGRITY_LEN - HEADER_LEN;
        let mut covered = covered.to_vec();
        set_length(&mut covered, length);
        hmac::verify(&key(password), &covered, proof).is_ok()
    }

    /// The answer to it, for who sent it from `from`.
    pub(crate) fn answer(&self, from: SocketAddr, password: &str) -> Vec<u8> {
        let mut answer = Vec::with_capacity(96);
        answer.extend_from_slice(&BINDING_SUCCESS);
        answer.extend_from_slice(&[0, 0]);
        answer.extend_from_slice(&COOKIE);
        answer.extend_from_slice(&self.transaction);
        attribute(&mut answer, XOR_MAPPED_ADDRESS, &self.xor_mapped(from));
        let length = answer.len() + 4 + INTEGRITY_LEN - HEADER_LEN;
        set_length(&mut answer, length);
        let proof = hmac::sign(&key(password), &answer);
        attribute(&mut answer, MESSAGE_INTEGRITY, proof.as_ref());
        let length = answer.len() + 8 - HEADER_LEN;
        set_length(&mut answer, length);
        let fingerprint = crc32(&answer) ^ FINGERPRINT_XOR;
        attribute(&mut answer, FINGERPRINT, &fingerprint.to_be_bytes());
        answer
    }

    fn xor_mapped(&self, from: SocketAddr) -> Vec<u8> {
        let mask = COOKIE.iter().chain(&self.transaction);
        let port = from.port() ^ u16::from_be_bytes([COOKIE[0], COOKIE[1]]);
        let (family, octets) = match from.ip() {
            IpAddr::V4(ip) => (1, ip.octets().to_vec()),
            IpAddr::V6(ip) => (2, ip.octets().to_vec()),
        };
        let mut value = vec![0, family];
        value.extend_from_slice(&port.to_be_bytes());
        value.extend(octets.iter().zip(mask).map(|(octet, mask)| octet ^ mask));
        value
    }
}

fn key(password: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes())
}

fn set_length(message: &mut [u8], length: usize) {
    let length = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    if let Some(place) = message.get_mut(2..4) {
        place.copy_from_slice(&length);
    }
}

fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    message.extend_from_slice(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

/// As of ISO 3309, bit by bit: a few dozen bytes every few seconds.
fn crc32(bytes: &[u8]) -> u32 {
    let fold = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    };
    !bytes.iter().fold(u32::MAX, fold)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rtc::stun::message::Message;
    use rtc::stun::xoraddr::XorMappedAddress;

    /// A request as a browser makes it.
    pub(crate) fn request(ufrag: &str, password: &str, nominated: bool) -> Vec<u8> {
        let mut request = Vec::new();
        request.extend_from_slice(&BINDING_REQUEST);
        request.extend_from_slice(&[0, 0]);
        request.extend_from_slice(&COOKIE);
        request.extend_from_slice(&[7; 12]);
        attribute(&mut request, USERNAME, format!("{ufrag}:theirs").as_bytes());
        if nominated {
            attribute(&mut request, USE_CANDIDATE, &[]);
        }
        let length = request.len() + 24 - HEADER_LEN;
        set_length(&mut request, length);
        let proof = hmac::sign(&key(password), &request);
        attribute(&mut request, MESSAGE_INTEGRITY, proof.as_ref());
        let length = request.len() + 8 - HEADER_LEN;
        set_length(&mut request, length);
        let fingerprint = crc32(&request) ^ FINGERPRINT_XOR;
        attribute(&mut request, FINGERPRINT, &fingerprint.to_be_bytes());
        request
    }

    #[test]
    fn a_request_is_believed_for_its_password_alone() {
        let datagram = request("ours", "secret", true);
        let parsed = Request::parse(&datagram).unwrap();
        assert_eq!((parsed.ufrag, parsed.nominated), ("ours", true));
        assert!(parsed.is_by("secret"));
        assert!(!parsed.is_by("guess"));
        let mut changed = datagram.clone();
        changed[HEADER_LEN + 5] ^= 1;
        assert!(!Request::parse(&changed).unwrap().is_by("secret"));
    }

    #[test]
    fn another_implementation_reads_the_answer() {
        let datagram = request("ours", "secret", false);
        let parsed = Request::parse(&datagram).unwrap();
        for from in ["198.51.100.7:4000", "[2001:db8::7]:4000"] {
            let from: SocketAddr = from.parse().unwrap();
            let mut answer = Message::new();
            answer.unmarshal_binary(&parsed.answer(from, "secret")).unwrap();
            let mut mapped = XorMappedAddress::default();
            rtc::stun::message::Getter::get_from(&mut mapped, &answer).unwrap();
            assert_eq!((mapped.ip, mapped.port), (from.ip(), from.port()));
            rtc::stun::fingerprint::FINGERPRINT.check(&answer).unwrap();
            let crypto = rtc::crypto::default_provider().unwrap();
            let check = rtc::stun::integrity::MessageIntegrity::check;
            check(&mut answer, b"secret", crypto.crypto()).unwrap();
        }
    }

    #[test]
    fn noise_is_no_request() {
        let good = request("ours", "secret", true);
        for len in 0..good.len() {
            assert_eq!(Request::parse(&good[..len]), None, "{len}");
        }
        let mut response = good.clone();
        response[0] = 1;
        assert_eq!(Request::parse(&response), None);
        let mut lies = good.clone();
        lies[HEADER_LEN + 2] = 0xff;
        assert_eq!(Request::parse(&lies), None, "an attribute longer than the datagram");
        assert_eq!(Request::parse(&[0; 2_000]), None);
    }
}
