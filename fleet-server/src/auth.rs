//! Who asks, and what they may do. Challenges, session tokens, and the one table of permissions.

use crate::fleet::{Fleet, now};
use crate::model::Principal;
use crate::problems::{Refused, Result};
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fleet_core::account::Account;
use protocol::api::{Role, Session, SessionClaims};
use protocol::dsse::{Envelope, payload_type};
use protocol::keys::Did;
use protocol::problem::code;
use protocol::units::WallMs;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// How long a session lasts.
const SESSION_MS: u64 = 12 * 3_600_000;
/// How long a challenge can be answered.
const CHALLENGE_MS: u64 = 60_000;
/// Most challenges that wait for an answer; the oldest gives way.
const CHALLENGES_MAX: usize = 4_096;
/// Most challenges of one key in [`CHALLENGE_MS`]: signing in needs one.
const CHALLENGES_PER_DID: usize = 20;
/// Longest token that is read, in bytes.
const TOKEN_MAX: usize = 4_096;

/// What can be done, each with who may do it. Every handler that needs a session names one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// See robots, missions, episodes, owners' names, events. Not for robots: what others do is none of their business.
    Look,
    /// Invitations, owners, enrolments.
    ManagePeople,
    /// Missions: make, fund, open, cancel.
    ManageMissions,
    /// Deposits and the ledger.
    ManageMoney,
    /// Take leases.
    Drive,
    /// Take leases from others. Whose the robot is decides beside the role.
    TakeOver,
    /// Renew and end leases. Their holder is who may.
    KeepLease,
    /// Emergency stop of any robot.
    Stop,
    /// Upload episodes.
    Upload,
    /// Enrol robots, take them out, say whose they are. An owner may with robots of their own only.
    ManageRobots,
    /// Read what robots send, and send to them, over the message router.
    ReadRobots,
}

const ALLOWED: &[(Act, &[Role])] = &[
    (Act::Look, &[Role::Operator, Role::Pilot, Role::Agent, Role::Owner, Role::Gateway]),
    (Act::ManagePeople, &[Role::Operator]),
    (Act::ManageMissions, &[Role::Operator]),
    (Act::ManageMoney, &[Role::Operator]),
    (Act::Drive, &[Role::Pilot, Role::Agent]),
    (Act::TakeOver, &[Role::Operator, Role::Owner, Role::Pilot, Role::Agent]),
    (Act::KeepLease, &[Role::Operator, Role::Owner, Role::Pilot, Role::Agent]),
    (Act::Stop, &[Role::Operator, Role::Pilot, Role::Agent, Role::Owner, Role::Gateway]),
    (Act::Upload, &[Role::Robot]),
    (Act::ManageRobots, &[Role::Operator, Role::Owner]),
    (Act::ReadRobots, &[Role::Gateway]),
];

/// Somebody with a valid session.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub(crate) Principal);

impl Caller {
    /// Refuses unless the caller's role allows `act`.
    pub(crate) fn may(&self, act: Act) -> Result<()> {
        let roles = ALLOWED.iter().find(|(allowed, _)| *allowed == act).map(|(_, roles)| *roles);
        let roles = roles.unwrap_or(&[]);
        if roles.contains(&self.0.role) {
            return Ok(());
        }
        let detail =
            format!("this needs the role {}; you are {}", words(roles), words(&[self.0.role]));
        Err(Refused::forbidden(detail))
    }

    /// The account that the caller earns on.
    pub(crate) fn account(&self) -> Option<Account> {
        account_of(&self.0)
    }
}

/// The account that a principal earns on.
pub(crate) fn account_of(principal: &Principal) -> Option<Account> {
    match principal.role {
        Role::Operator => Some(Account::Operator),
        Role::Pilot | Role::Agent => Some(Account::Pilot(principal.did)),
        Role::Owner => principal.owner.map(Account::Owner),
        Role::Robot | Role::Gateway => None,
    }
}

fn words(roles: &[Role]) -> String {
    let word = |role: &Role| format!("{role:?}").to_lowercase();
    roles.iter().map(word).collect::<Vec<_>>().join(" or ")
}

impl FromRequestParts<Arc<Fleet>> for Caller {
    type Rejection = Refused;
    async fn from_request_parts(parts: &mut Parts, fleet: &Arc<Fleet>) -> Result<Self> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(|| {
            Refused::sign_in("send your session as 'Authorization: Bearer TOKEN'")
        })?;
        caller(fleet, token.trim()).await
    }
}

/// The caller that a token speaks for.
pub(crate) async fn caller(fleet: &Fleet, token: &str) -> Result<Caller> {
    let again = || Refused::sign_in("the session is not valid; sign in again");
    if token.len() > TOKEN_MAX {
        return Err(again());
    }
    let envelope: Envelope = URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|json| serde_json::from_slice(&json).ok())
        .ok_or_else(again)?;
    let claims: SessionClaims =
        envelope.verify(payload_type::SESSION, &fleet.did).map_err(|_refused| again())?;
    if now() >= claims.expires_at {
        return Err(Refused::sign_in("the session has ended; sign in again"));
    }
    // The token says who; what they may do is what is stored now.
    let principal = fleet.read::<Principal>(&claims.did.to_string()).await?;
    let principal =
        principal.filter(|principal| principal.role == claims.role).ok_or_else(again)?;
    crate::ops::credentials::require_standing(fleet, &principal).await?;
    Ok(Caller(principal))
}

/// A new session.
pub(crate) fn session(fleet: &Fleet, principal: &Principal) -> Result<Session> {
    let claims = SessionClaims {
        did: principal.did,
        role: principal.role,
        name: principal.name.clone(),
        expires_at: WallMs(now().0.saturating_add(SESSION_MS)),
    };
    let envelope = Envelope::sign(payload_type::SESSION, &claims, &fleet.key)?;
    Ok(Session { token: URL_SAFE_NO_PAD.encode(serde_json::to_vec(&envelope)?), claims })
}

/// Nonces that wait to be signed. Kept in memory: after a restart a client asks for a new one.
#[derive(Default)]
pub(crate) struct Challenges(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    nonces: BTreeMap<String, Did>,
    // Oldest first, so that both limits cost nothing to keep.
    order: VecDeque<(WallMs, String, Did)>,
    per_did: BTreeMap<Did, usize>,
}

impl Waiting {
    fn drop_oldest(&mut self) {
        if let Some((_, nonce, did)) = self.order.pop_front() {
            self.nonces.remove(&nonce);
            if let Some(count) = self.per_did.get_mut(&did) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.per_did.remove(&did);
                }
            }
        }
    }

    fn drop_expired(&mut self, now: WallMs) {
        while self.order.front().is_some_and(|(at, ..)| at.0.saturating_add(CHALLENGE_MS) <= now.0)
        {
            self.drop_oldest();
        }
    }
}

impl Challenges {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A nonce for `did`.
    pub(crate) fn make(&self, did: Did, now: WallMs) -> Result<String> {
        let mut waiting = self.waiting();
        waiting.drop_expired(now);
        if waiting.per_did.get(&did).is_some_and(|count| *count >= CHALLENGES_PER_DID) {
            let detail = "too many challenges for this key; try again in a minute";
            return Err(Refused::new(StatusCode::TOO_MANY_REQUESTS, code::TOO_MANY, detail));
        }
        if waiting.order.len() >= CHALLENGES_MAX {
            waiting.drop_oldest();
        }
        let nonce = random_hex::<32>()?;
        waiting.nonces.insert(nonce.clone(), did);
        waiting.order.push_back((now, nonce.clone(), did));
        *waiting.per_did.entry(did).or_default() += 1;
        Ok(nonce)
    }

    /// Whether `nonce` was made for `did` and waits; it never does again. It still counts against the limit.
    pub(crate) fn take(&self, nonce: &str, did: Did, now: WallMs) -> bool {
        let mut waiting = self.waiting();
        waiting.drop_expired(now);
        waiting.nonces.remove(nonce) == Some(did)
    }
}

/// `N` random bytes in hexadecimal.
pub(crate) fn random_hex<const N: usize>() -> Result<String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(Refused::internal)?;
    Ok(hex::encode(bytes))
}

/// Under what a code is stored: whoever reads the store does not learn the code.
pub(crate) fn code_key(code: &str) -> String {
    hex::encode(Sha256::digest(format!("longrein-code-v1\n{code}")))
}

/// Checks a signature in hexadecimal.
pub(crate) fn check_signature(did: &Did, message: &[u8], signature_hex: &str) -> Result<()> {
    let valid = hex::decode(signature_hex).is_ok_and(|bytes| did.verify(message, &bytes).is_ok());
    let detail = "the signature does not match key and message (64 bytes in hexadecimal)";
    if valid { Ok(()) } else { Err(Refused::bad_signature(detail)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::keys::PrivateKey;

    fn did(n: u32) -> Did {
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&n.to_le_bytes());
        PrivateKey::from_seed(&seed).did()
    }

    #[test]
    fn a_nonce_is_for_one_key_one_time_one_minute() {
        let challenges = Challenges::default();
        let nonce = challenges.make(did(1), WallMs(0)).unwrap();
        assert!(!challenges.take(&nonce, did(2), WallMs(1)));
        assert!(!challenges.take(&nonce, did(1), WallMs(1)), "a wrong answer uses it up");
        let nonce = challenges.make(did(1), WallMs(0)).unwrap();
        assert!(challenges.take(&nonce, did(1), WallMs(59_999)));
        assert!(!challenges.take(&nonce, did(1), WallMs(59_999)));
        let nonce = challenges.make(did(1), WallMs(0)).unwrap();
        assert!(!challenges.take(&nonce, did(1), WallMs(60_000)));
    }

    #[test]
    fn challenges_are_bounded_per_key_and_in_all() {
        let challenges = Challenges::default();
        for _ in 0..CHALLENGES_PER_DID {
            challenges.make(did(0), WallMs(0)).unwrap();
        }
        assert!(challenges.make(did(0), WallMs(59_999)).is_err());
        assert!(challenges.make(did(0), WallMs(60_000)).is_ok());
        for n in 1..=4_200 {
            challenges.make(did(n), WallMs(60_000)).unwrap();
        }
        let waiting = challenges.waiting();
        assert_eq!(waiting.order.len(), CHALLENGES_MAX);
        assert!(waiting.nonces.len() <= CHALLENGES_MAX && waiting.per_did.len() <= CHALLENGES_MAX);
    }

    #[test]
    fn every_act_is_in_the_table_once() {
        let acts = [
            Act::Look,
            Act::ManagePeople,
            Act::ManageMissions,
            Act::ManageMoney,
            Act::Drive,
            Act::Stop,
            Act::Upload,
            Act::ManageRobots,
            Act::ReadRobots,
        ];
        for act in acts {
            assert_eq!(ALLOWED.iter().filter(|(allowed, _)| *allowed == act).count(), 1, "{act:?}");
        }
    }
}
