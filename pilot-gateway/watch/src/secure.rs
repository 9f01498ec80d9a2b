//! Keys with one viewer: DTLS (RFC 6347) as its server, and SRTP (RFC 3711) with what that agreed upon.

use crate::track::Out;
use bytes::BytesMut;
use rtc::crypto::{RTCCryptoProvider, default_provider};
use rtc::dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc::dtls::crypto::Certificate;
use rtc::dtls::endpoint::{Endpoint, EndpointEvent};
use rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc::dtls::state::State;
use rtc::rtp;
use rtc::shared::TransportProtocol;
use rtc::shared::error::Error;
use rtc::srtp::config::{Config, LABEL_EXTRACTOR_DTLS_SRTP};
use rtc::srtp::context::Context;
use rtc::srtp::option::srtcp_replay_protection;
use rtc::srtp::protection_profile::ProtectionProfile;
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// Best first: AES-GCM costs a third of AES-CM with HMAC-SHA1.
const PROFILES: [SrtpProtectionProfile; 2] = [
    SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
    SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
];
/// A viewer's reports that may come again or out of order.
const REPLAY_WINDOW: usize = 64;
/// DTLS keeps its associations by address. There is one in each, whose address may change: it is told this one.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9);
/// Header of an RTP packet without extensions.
pub(crate) const RTP_HEADER_LEN: usize = 12;

/// Why keys were not agreed upon.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecureError {
    #[error("DTLS: {0}")]
    Dtls(#[from] Error),
    #[error("DTLS tripped over what the viewer sent")]
    Tripped,
}

/// This end's certificate, the same for all viewers, made anew at each start.
pub(crate) struct Identity {
    provider: Arc<dyn RTCCryptoProvider>,
    certificate: Certificate,
    /// SHA-256 of it, as SDP writes it.
    pub(crate) fingerprint: String,
}

impl Identity {
    pub(crate) fn generate() -> Result<Self, Error> {
        let provider = default_provider().map_err(|error| Error::Crypto(error.to_string()))?;
        let names = vec!["longrein".to_owned()];
        let certificate = Certificate::generate_self_signed(names, provider.crypto())?;
        let der = certificate.certificate.first().ok_or(Error::ErrNonCertificate)?;
        let digest = ring::digest::digest(&ring::digest::SHA256, der);
        let hex: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        Ok(Self { provider, certificate, fingerprint: hex.join(":") })
    }

    fn config(&self, expected: [u8; 32]) -> Result<HandshakeConfig, Error> {
        let verify = move |certificates: &[Vec<u8>], _chains: &[_]| -> Result<(), Error> {
            let first = certificates.first().ok_or(Error::ErrNonCertificate)?;
            let digest = ring::digest::digest(&ring::digest::SHA256, first);
            if digest.as_ref() == expected {
                Ok(())
            } else {
                Err(Error::ErrNoMatchingCertificateFingerprint)
            }
        };
        ConfigBuilder::default()
            .with_crypto_provider(Arc::clone(&self.provider))
            .with_certificates(vec![self.certificate.clone()])
            .with_srtp_protection_profiles(PROFILES.to_vec())
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            // There is no chain: the offer names the certificate, and `verify` compares it.
            .with_insecure_skip_verify(true)
            .with_verify_peer_certificate(Some(Arc::new(verify)))
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .build(false, None)
    }
}

/// The keys of one viewer, or the way to them.
pub(crate) struct Secure {
    provider: Arc<dyn RTCCryptoProvider>,
    dtls: Endpoint,
    srtp: Option<Srtp>,
    closed: bool,
}

struct Srtp {
    out: Context,
    into: Context,
}

impl Secure {
    pub(crate) fn new(identity: &Identity, expected: [u8; 32]) -> Result<Self, SecureError> {
        let config = Arc::new(identity.config(expected)?);
        let dtls = Endpoint::new(PEER, TransportProtocol::UDP, Some(config));
        let provider = Arc::clone(&identity.provider);
        Ok(Self { provider, dtls, srtp: None, closed: false })
    }

    pub(crate) const fn is_ready(&self) -> bool {
        self.srtp.is_some()
    }

    /// The viewer ended the association.
    pub(crate) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Takes a datagram of DTLS; gives what is to be sent. An error ends this viewer.
    pub(crate) fn read(
        &mut self,
        datagram: &[u8],
        now: Instant,
        send: impl FnMut(&[u8]),
    ) -> Result<(), SecureError> {
        // What a stranger's bytes trip in the library must cost this viewer alone.
        let read = catch_unwind(AssertUnwindSafe(|| {
            self.dtls.read(now, PEER, None, BytesMut::from(datagram))
        }));
        let events = read.map_err(|_panic| SecureError::Tripped)?;
        self.drain(send);
        for event in events? {
            match event {
                EndpointEvent::HandshakeComplete => {
                    let state = self.dtls.get_connection_state(PEER);
                    let state = state.ok_or(Error::InvalidRemoteAddress(PEER))?;
                    self.srtp = Some(srtp(state, self.provider.as_ref())?);
                }
                EndpointEvent::PeerClosed => self.closed = true,
                // Nobody speaks over it.
                _other => {}
            }
        }
        Ok(())
    }

    /// Sends again what was not answered.
    pub(crate) fn tick(
        &mut self,
        now: Instant,
        send: impl FnMut(&[u8]),
    ) -> Result<(), SecureError> {
        if self.dtls.poll_timeout(&PEER).is_some_and(|at| now >= at) {
            self.dtls.handle_timeout(PEER, now)?;
            self.drain(send);
        }
        Ok(())
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self, now: Instant, send: impl FnMut(&[u8])) {
        let _stopped = self.dtls.stop(now, PEER);
        self.drain(send);
    }

    fn drain(&mut self, mut send: impl FnMut(&[u8])) {
        while let Some(transmit) = self.dtls.poll_transmit() {
            send(&transmit.message);
        }
    }

    /// Appends a packet, encrypted. False while there are no keys.
    pub(crate) fn protect(
        &mut self,
        packet: &Out<'_>,
        plain: &mut Vec<u8>,
        to: &mut Vec<u8>,
    ) -> bool {
        let Some(srtp) = &mut self.srtp else { return false };
        plain.clear();
        let header = write_rtp(packet, plain);
        match srtp.out.encrypt_rtp_with_header(plain, &header) {
            Ok(protected) => {
                to.extend_from_slice(&protected);
                true
            }
            Err(error) => {
                tracing::debug!(%error, "a packet was not encrypted");
                false
            }
        }
    }

    /// Appends a report, encrypted.
    pub(crate) fn protect_report(&mut self, report: &[u8]) -> Option<BytesMut> {
        self.srtp.as_mut()?.out.encrypt_rtcp(report).ok()
    }

    /// What a viewer reports.
    pub(crate) fn open_report(&mut self, datagram: &[u8]) -> Option<BytesMut> {
        self.srtp.as_mut()?.into.decrypt_rtcp(datagram).ok()
    }
}

/// Writes a packet and gives its header as the cipher takes it.
fn write_rtp(packet: &Out<'_>, to: &mut Vec<u8>) -> rtp::Header {
    let Out { payload_type, marker, seq, timestamp, ssrc, original, payload } = *packet;
    to.extend_from_slice(&[0x80, u8::from(marker) << 7 | (payload_type & 0x7f)]);
    to.extend_from_slice(&seq.to_be_bytes());
    to.extend_from_slice(&timestamp.to_be_bytes());
    to.extend_from_slice(&ssrc.to_be_bytes());
    if let Some(original) = original {
        to.extend_from_slice(&original.to_be_bytes());
    }
    to.extend_from_slice(payload);
    rtp::Header {
        version: 2,
        marker,
        payload_type,
        sequence_number: seq,
        timestamp,
        ssrc,
        ..Default::default()
    }
}

fn srtp(state: &State, provider: &dyn RTCCryptoProvider) -> Result<Srtp, Error> {
    let profile = match state.srtp_protection_profile() {
        SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => ProtectionProfile::AeadAes128Gcm,
        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => {
            ProtectionProfile::Aes128CmHmacSha1_80
        }
        _other => return Err(Error::ErrNoSuchSrtpProfile),
    };
    let mut config = Config { profile, ..Default::default() };
    let len = config.keying_material_len();
    let material = state.export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], len)?;
    config.set_session_keys_from_keying_material(material.as_ref(), false)?;
    let keys = &config.keys;
    let crypto = provider.crypto();
    let (key, salt) = (&keys.local_master_key, &keys.local_master_salt);
    let out = Context::new(key, salt, profile, None, None, crypto)?;
    let (key, salt) = (&keys.remote_master_key, &keys.remote_master_salt);
    let replay = Some(srtcp_replay_protection(REPLAY_WINDOW));
    let into = Context::new(key, salt, profile, None, replay, crypto)?;
    Ok(Srtp { out, into })
}
