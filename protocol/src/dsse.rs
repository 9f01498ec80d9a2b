//! Dead Simple Signing Envelope v1.0.2 (secure-systems-lab/dsse): the signed form of every document of ours
//! that outlives a packet: leases, receipts, episode manifests, ingest receipts.
//!
//! A signature covers the pre-authentication encoding `DSSEv1 SP len(type) SP type SP len(body) SP body`, so it
//! binds the bytes of the body *and* what they mean. `keyid` is the signer's `did:key`; it is a hint only:
//! verification names the key that it expects.

use crate::keys::{Did, PrivateKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Payload types, one for each kind of document.
pub mod payload_type {
    /// [`crate::lease::Lease`].
    pub const LEASE: &str = "application/vnd.longrein.lease+json";
    /// [`crate::session::Receipt`].
    pub const RECEIPT: &str = "application/vnd.longrein.receipt+json";
    /// [`crate::program::ProgramReceipt`].
    pub const COMMANDS: &str = "application/vnd.longrein.commands+json";
    /// in-toto Statement v1 (an episode's manifest).
    pub const IN_TOTO: &str = "application/vnd.in-toto+json";
    /// [`crate::api::IngestReceipt`].
    pub const INGEST: &str = "application/vnd.longrein.ingest+json";
    /// [`crate::message::LeaseRequest`] and other signed requests over Zenoh.
    pub const REQUEST: &str = "application/vnd.longrein.request+json";
    /// [`crate::credentials::Credentials`].
    pub const CREDENTIALS: &str = "application/vnd.longrein.credentials+json";
    /// [`crate::settings::Owners`].
    pub const OWNERS: &str = "application/vnd.longrein.owners+json";
    /// [`crate::settings::OwnerSettings`].
    pub const OWNER_SETTINGS: &str = "application/vnd.longrein.owner-settings+json";
    /// [`crate::api::SessionClaims`].
    pub const SESSION: &str = "application/vnd.longrein.session+json";
}

/// A signed document in its JSON form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The document's bytes, base64 with padding.
    pub payload: String,
    /// What the document is: one of [`payload_type`].
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// At least one signature.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature of an [`Envelope`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeSignature {
    /// `did:key` of the signer: a hint, never trusted.
    pub keyid: String,
    /// 64 bytes, base64 with padding.
    pub sig: String,
}

/// Why a signed document was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The envelope says that it holds another kind of document.
    #[error("the document is {got:?}, expected {expected:?}")]
    Type {
        /// The type that the reader wants.
        expected: &'static str,
        /// The type that the envelope states.
        got: String,
    },
    /// No signature in the envelope is a valid one of the expected signer.
    #[error("not signed by {expected}")]
    Signer {
        /// Who should have signed.
        expected: Did,
    },
    /// Payload or signature is not base64.
    #[error("the envelope is not base64")]
    Base64,
    /// The payload is not a document of its stated type.
    #[error("the signed document cannot be read")]
    Document(#[source] serde_json::Error),
}

/// The bytes that a signature covers.
pub fn pre_authentication_encoding(payload_type: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

impl Envelope {
    /// Signs `document` as `payload_type`.
    ///
    /// # Errors
    /// When the document has no JSON form (a map with keys that are no strings, say).
    pub fn sign<T: Serialize>(
        payload_type: &str,
        document: &T,
        key: &PrivateKey,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self::sign_bytes(payload_type, &serde_json::to_vec(document)?, key))
    }

    /// Signs bytes that are already the document.
    pub fn sign_bytes(payload_type: &str, body: &[u8], key: &PrivateKey) -> Self {
        let signature = key.sign(&pre_authentication_encoding(payload_type, body));
        Self {
            payload: STANDARD.encode(body),
            payload_type: payload_type.to_owned(),
            signatures: vec![EnvelopeSignature {
                keyid: key.did().to_string(),
                sig: STANDARD.encode(signature),
            }],
        }
    }

    /// The document's bytes, **not verified**.
    pub fn body_unverified(&self) -> Result<Vec<u8>, EnvelopeError> {
        STANDARD.decode(&self.payload).map_err(|_not_base64| EnvelopeError::Base64)
    }

    /// The document, **not verified**: for finding out whose signature to expect.
    pub fn document_unverified<T: DeserializeOwned>(&self) -> Result<T, EnvelopeError> {
        serde_json::from_slice(&self.body_unverified()?).map_err(EnvelopeError::Document)
    }

    /// The document's bytes, if `signer` signed them as `payload_type`.
    pub fn verify_bytes(
        &self,
        payload_type: &'static str,
        signer: &Did,
    ) -> Result<Vec<u8>, EnvelopeError> {
        if self.payload_type != payload_type {
            return Err(EnvelopeError::Type {
                expected: payload_type,
                got: self.payload_type.clone(),
            });
        }
        let body = self.body_unverified()?;
        let signed = pre_authentication_encoding(payload_type, &body);
        // Bounded: an envelope with thousands of signatures must not cost thousands of verifications.
        let valid = self.signatures.iter().take(4).any(|signature| {
            STANDARD.decode(&signature.sig).is_ok_and(|sig| signer.verify(&signed, &sig).is_ok())
        });
        if valid { Ok(body) } else { Err(EnvelopeError::Signer { expected: *signer }) }
    }

    /// The document, if `signer` signed it as `payload_type`.
    pub fn verify<T: DeserializeOwned>(
        &self,
        payload_type: &'static str,
        signer: &Did,
    ) -> Result<T, EnvelopeError> {
        serde_json::from_slice(&self.verify_bytes(payload_type, signer)?)
            .map_err(EnvelopeError::Document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_dsse_protocol_page() {
        assert_eq!(
            pre_authentication_encoding("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn another_type_signer_or_body_is_refused() {
        let (key, other) = (PrivateKey::from_seed(&[1; 32]), PrivateKey::from_seed(&[2; 32]));
        let mut envelope = Envelope::sign(payload_type::LEASE, &"text", &key).unwrap();
        let verify = |e: &Envelope, t, k: &PrivateKey| e.verify::<String>(t, &k.did());
        assert_eq!(verify(&envelope, payload_type::LEASE, &key).unwrap(), "text");
        assert!(verify(&envelope, payload_type::RECEIPT, &key).is_err());
        assert!(verify(&envelope, payload_type::LEASE, &other).is_err());
        envelope.payload = STANDARD.encode("\"texT\"");
        assert!(verify(&envelope, payload_type::LEASE, &key).is_err());
    }
}
