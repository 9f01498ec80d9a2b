//! Shapes that `protocol` defines, as OpenAPI describes them. They carry no data; a test compares their fields
//! with what the real types read and write.
#![expect(dead_code, reason = "read by the OpenAPI generator only")]

use utoipa::ToSchema;

/// RFC 9457 problem.
#[derive(ToSchema)]
pub(crate) struct Problem {
    /// `urn:longrein:problem:` and the code.
    #[schema(rename = "type")]
    kind: String,
    /// HTTP status.
    status: u16,
    /// Stable code for programs.
    code: String,
    /// What is wrong, in a few words.
    title: String,
    /// What is wrong in this case, and what to do.
    detail: String,
}

/// A signed document (DSSE).
#[derive(ToSchema)]
pub(crate) struct Envelope {
    /// The document, base64.
    payload: String,
    /// What it is.
    #[schema(rename = "payloadType")]
    payload_type: String,
    /// At least one signature.
    signatures: Vec<EnvelopeSignature>,
}

/// One signature.
#[derive(ToSchema)]
pub(crate) struct EnvelopeSignature {
    /// `did:key` of the signer.
    keyid: String,
    /// 64 bytes, base64.
    sig: String,
}

/// Asks for a nonce to sign.
#[derive(ToSchema)]
pub(crate) struct ChallengeRequest {
    /// `did:key:…`
    did: String,
}

/// Asks for a certificate.
#[derive(ToSchema)]
pub(crate) struct CertificateRequest {
    /// `did:key:…` of the robot or gateway.
    did: String,
    /// `did:key:…` of the key that the certificate will hold.
    tls_key: String,
    /// X25519 key to which the fabric key is sent, 64 hexadecimal digits.
    box_key: String,
    /// Unix time, ms.
    at: u64,
    /// By `did` over `longrein-certificate-v1`, `tls_key`, `box_key`, `at`, joined by line feeds; hexadecimal.
    signature: String,
    /// By `tls_key` over the same.
    tls_signature: String,
}

/// Asks for a robot's fabric key.
#[derive(ToSchema)]
pub(crate) struct FabricKeyRequest {
    /// X25519 key to which it is sent, 64 hexadecimal digits.
    box_key: String,
}

/// The nonce: one use, one minute.
#[derive(ToSchema)]
pub(crate) struct Challenge {
    /// Sign `longrein-auth-v1`, a line feed, and this.
    nonce: String,
}

/// The signed nonce.
#[derive(ToSchema)]
pub(crate) struct SessionRequest {
    /// `did:key:…`
    did: String,
    /// The nonce.
    nonce: String,
    /// Ed25519, 64 bytes in hexadecimal.
    signature: String,
}

/// A session.
#[derive(ToSchema)]
pub(crate) struct Session {
    /// Send it as `Authorization: Bearer`.
    token: String,
    /// What it says.
    claims: SessionClaims,
}

/// What a session says.
#[derive(ToSchema)]
pub(crate) struct SessionClaims {
    /// Who.
    did: String,
    /// `operator`, `pilot`, `agent`, `owner`, `robot`, `gateway`.
    role: String,
    /// Their name.
    name: String,
    /// Milliseconds since 1970.
    expires_at: u64,
}

/// Registers a key.
#[derive(ToSchema)]
pub(crate) struct AcceptInvitation {
    /// The new key.
    did: String,
    /// 1 to 60 characters.
    name: String,
    /// Over `longrein-invitation-v1`, a line feed, and the code; in hexadecimal.
    signature: String,
}

/// Enrols a robot.
#[derive(ToSchema)]
pub(crate) struct AcceptEnrolment {
    /// The robot's key.
    did: String,
    /// Over `longrein-enrolment-v1`, a line feed, and the code; in hexadecimal.
    signature: String,
}

/// What an enrolled robot keeps.
#[derive(ToSchema)]
pub(crate) struct Enrolled {
    /// Its name.
    robot: String,
    /// Leases are verified with this key.
    fleet_did: String,
    /// Zenoh endpoint.
    zenoh_endpoint: String,
    /// Keys of its owners, as far as they have any.
    owners: Vec<String>,
}

/// Asks for the right to drive.
#[derive(ToSchema)]
pub(crate) struct LeaseOrder {
    /// May be left out when the mission names one.
    robot: Option<String>,
    /// For which mission.
    mission: Option<String>,
    /// The gateway that will carry packets.
    relay: Option<String>,
    /// Whether the lease of somebody else ends: only for an operator or an owner of the robot. False when left out.
    takeover: bool,
}

/// A signed lease.
#[derive(ToSchema)]
pub(crate) struct LeaseGrant {
    /// The lease.
    lease: Envelope,
}

/// Begins an upload.
#[derive(ToSchema)]
pub(crate) struct BeginUpload {
    /// `eps_…`
    episode: String,
    /// Its signed manifest.
    manifest: Envelope,
}

/// How far an upload is.
#[derive(ToSchema)]
pub(crate) struct UploadStatus {
    /// The files that the manifest names.
    files: Vec<UploadFile>,
    /// The fleet's receipt, once the episode was accepted.
    receipt: Option<Envelope>,
}

/// One file of an upload.
#[derive(ToSchema)]
pub(crate) struct UploadFile {
    /// Name.
    name: String,
    /// Bytes that the manifest states.
    size: u64,
    /// Bytes that the server has.
    received: u64,
}
