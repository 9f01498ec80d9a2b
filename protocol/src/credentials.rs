//! What lets a robot or a gateway into the message fabric: a short-lived certificate, and the key with which the
//! robot's messages are sealed.
//!
//! The identity key (a [`Did`]) signs; it is never used for TLS, so it can live in a chip that does nothing but sign. TLS
//! has a key of its own, new with each certificate, that never leaves the machine either.

use crate::api::Role;
use crate::dsse::{Envelope, EnvelopeError, payload_type};
use crate::ids::RobotId;
use crate::keys::{Did, PrivateKey};
use crate::sealed::{BoxKey, Boxed, FabricKey, SealError};
use crate::units::WallMs;
use serde::{Deserialize, Serialize};

/// How far the clocks of who asks and of the fleet may be apart, ms.
pub const CLOCK_OFF_MS_MAX: u64 = 60_000;

/// `POST /v1/certificates`: asks for a certificate, now and whenever it is time to renew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateRequest {
    /// Who asks: an enrolled robot, or a gateway.
    pub did: Did,
    /// The public key that the certificate will hold.
    pub tls_key: Did,
    /// To which the fabric key is sent: [`crate::sealed::BoxKey::public_hex`].
    pub box_key: String,
    /// When it was asked.
    pub at: WallMs,
    /// By `did` over [`request_bytes`], in hexadecimal.
    pub signature: String,
    /// By `tls_key` over the same: whoever asks holds both.
    pub tls_signature: String,
}

/// What is signed to ask for a certificate.
pub fn request_bytes(tls_key: &Did, box_key: &str, at: WallMs) -> Vec<u8> {
    format!("longrein-certificate-v1\n{tls_key}\n{box_key}\n{}", at.0).into_bytes()
}

impl CertificateRequest {
    /// A signed request.
    pub fn sign(key: &PrivateKey, tls_key: &PrivateKey, box_key: String, at: WallMs) -> Self {
        let bytes = request_bytes(&tls_key.did(), &box_key, at);
        Self {
            did: key.did(),
            tls_key: tls_key.did(),
            box_key,
            at,
            signature: hex::encode(key.sign(&bytes)),
            tls_signature: hex::encode(tls_key.sign(&bytes)),
        }
    }

    /// Whether both keys have signed it, not long before `now`.
    pub fn is_valid(&self, now: WallMs) -> bool {
        let bytes = request_bytes(&self.tls_key, &self.box_key, self.at);
        let signed = |did: &Did, signature: &str| {
            hex::decode(signature).is_ok_and(|signature| did.verify(&bytes, &signature).is_ok())
        };
        self.at.0.abs_diff(now.0) <= CLOCK_OFF_MS_MAX
            && signed(&self.did, &self.signature)
            && signed(&self.tls_key, &self.tls_signature)
    }
}

/// What the fleet answers, in an envelope that it signs ([`payload_type::CREDENTIALS`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// Version of this document: 1.
    pub v: u32,
    /// Whose they are.
    pub did: Did,
    /// As what.
    pub role: Role,
    /// The robot that it is, if it is one.
    pub robot: Option<RobotId>,
    /// The key in the certificate.
    pub tls_key: Did,
    /// The certificate, PEM.
    pub certificate: String,
    /// The fleet's root certificate, PEM: it signs the router's certificate.
    pub root: String,
    /// When it was signed.
    pub issued_at: WallMs,
    /// From when on a new one should be asked for.
    pub renew_at: WallMs,
    /// Until when the certificate is valid.
    pub expires_at: WallMs,
    /// Where to connect.
    pub zenoh_endpoint: String,
    /// The robot's [`crate::sealed::FabricKey`], for the `box_key` of the request. None for a gateway: it asks for
    /// each robot's.
    pub fabric_key: Option<Boxed>,
}

impl Credentials {
    /// Verifies that `fleet` signed `envelope` for `did`.
    pub fn verify(envelope: &Envelope, fleet: &Did, did: &Did) -> Result<Self, EnvelopeError> {
        let credentials: Self = envelope.verify(payload_type::CREDENTIALS, fleet)?;
        if credentials.v != 1 || credentials.did != *did {
            let wrong = serde::de::Error::custom("credentials of another version or principal");
            return Err(EnvelopeError::Document(wrong));
        }
        Ok(credentials)
    }
}

/// A request that waits for its answer.
#[derive(Debug)]
pub struct Asking {
    request: CertificateRequest,
    tls_key: PrivateKey,
    box_key: BoxKey,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Granted {
    /// The fleet's words.
    pub credentials: Credentials,
    /// Private TLS key and certificate, PEM, in one text, so that in one file they never differ. Mode 0600.
    pub tls_pem: String,
    /// The key of the robot's messages, for a robot.
    pub fabric_key: Option<FabricKey>,
}

/// Why an answer is no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// It is not the fleet's word for us.
    #[error("the credentials are not signed by the fleet for this key")]
    Envelope(#[source] EnvelopeError),
    /// It is for another request.
    #[error("the credentials answer another request")]
    OtherRequest,
    /// The box does not open.
    #[error("the fabric key was not sent to us")]
    Box(#[source] SealError),
}

impl Asking {
    /// Begins to ask, with a new TLS key.
    pub fn begin(key: &PrivateKey, at: WallMs) -> Result<Self, SealError> {
        let tls_key = PrivateKey::generate().map_err(|_no_random_bytes| SealError)?;
        let box_key = BoxKey::generate()?;
        let request = CertificateRequest::sign(key, &tls_key, box_key.public_hex(), at);
        Ok(Self { request, tls_key, box_key })
    }

    /// What to send.
    pub const fn request(&self) -> &CertificateRequest {
        &self.request
    }

    /// Takes what the fleet answered.
    pub fn take(self, envelope: &Envelope, fleet: &Did) -> Result<Granted, GrantError> {
        let credentials = Credentials::verify(envelope, fleet, &self.request.did)
            .map_err(GrantError::Envelope)?;
        if credentials.tls_key != self.request.tls_key {
            return Err(GrantError::OtherRequest);
        }
        let fabric_key = match &credentials.fabric_key {
            None => None,
            Some(boxed) => {
                let secret = self.box_key.open(boxed).map_err(GrantError::Box)?;
                let text = String::from_utf8(secret).unwrap_or_default();
                Some(FabricKey::from_hex(&text).ok_or(GrantError::Box(SealError))?)
            }
        };
        let tls_pem = format!("{}{}", self.tls_key.to_pem(), credentials.certificate);
        Ok(Granted { credentials, tls_pem, fabric_key })
    }
}

/// `POST /v1/robots/{id}/fabric-key`: a gateway asks for the key of a robot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FabricKeyRequest {
    /// To which the key is sent.
    pub box_key: String,
}

/// The key of a robot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FabricKeyGrant {
    /// The robot's [`crate::sealed::FabricKey`].
    pub fabric_key: Boxed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_keys_sign_and_soon() {
        let (key, tls) = (PrivateKey::from_seed(&[1; 32]), PrivateKey::from_seed(&[2; 32]));
        let request = CertificateRequest::sign(&key, &tls, "ab".into(), WallMs(1_000_000));
        assert!(request.is_valid(WallMs(1_060_000)) && request.is_valid(WallMs(940_000)));
        assert!(!request.is_valid(WallMs(1_060_001)), "old");
        let of_another = CertificateRequest { did: tls.did(), ..request.clone() };
        assert!(!of_another.is_valid(WallMs(1_000_000)));
        let key_of_another = CertificateRequest { tls_key: key.did(), ..request.clone() };
        assert!(!key_of_another.is_valid(WallMs(1_000_000)));
        let to_another = CertificateRequest { box_key: "cd".into(), ..request };
        assert!(!to_another.is_valid(WallMs(1_000_000)));
    }

    #[test]
    fn an_answer_is_the_fleets_for_one_request() {
        let (key, fleet) = (PrivateKey::from_seed(&[1; 32]), PrivateKey::from_seed(&[2; 32]));
        let secret = FabricKey::from_bytes([7; 32]);
        let answer = |request: &CertificateRequest, did: Did, signer: &PrivateKey| {
            let credentials = Credentials {
                v: 1,
                did,
                role: Role::Robot,
                robot: Some("a".parse().unwrap()),
                tls_key: request.tls_key,
                certificate: "-----BEGIN CERTIFICATE-----\n".into(),
                root: String::new(),
                issued_at: request.at,
                renew_at: request.at,
                expires_at: request.at,
                zenoh_endpoint: "tls/localhost:1".into(),
                fabric_key: Boxed::seal(&request.box_key, secret.to_hex().as_bytes()).ok(),
            };
            Envelope::sign(payload_type::CREDENTIALS, &credentials, signer).unwrap()
        };
        let begin = || Asking::begin(&key, WallMs(5)).unwrap();
        let asking = begin();
        let envelope = answer(asking.request(), key.did(), &fleet);
        let granted = asking.take(&envelope, &fleet.did()).unwrap();
        assert_eq!(granted.fabric_key, Some(secret.clone()));
        assert!(granted.tls_pem.contains("PRIVATE KEY") && granted.tls_pem.contains("CERTIFICATE"));
        let other = begin();
        assert!(matches!(other.take(&envelope, &fleet.did()), Err(GrantError::OtherRequest)));
        let forged = begin();
        let envelope = answer(forged.request(), key.did(), &key);
        assert!(matches!(forged.take(&envelope, &fleet.did()), Err(GrantError::Envelope(_))));
        let of_another = begin();
        let envelope = answer(of_another.request(), fleet.did(), &fleet);
        assert!(matches!(of_another.take(&envelope, &fleet.did()), Err(GrantError::Envelope(_))));
    }
}
