//! Who calls: session tokens, checked offline with the fleet's key.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use protocol::api::SessionClaims;
use protocol::dsse::{Envelope, payload_type};
use protocol::keys::Did;
use protocol::units::WallMs;
use std::collections::HashMap;

/// Longest token that is read, in characters.
pub const TOKEN_LEN_MAX: usize = 4096;

/// Why a token was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// There is none.
    #[error("no session: sign in and send the token as 'Authorization: Bearer …'")]
    Missing,
    /// It is no token at all.
    #[error("the session token cannot be read; sign in again")]
    Malformed,
    /// The fleet did not sign it.
    #[error("the session token was not signed by this fleet; sign in again")]
    Foreign,
    /// Its time is over.
    #[error("the session has expired; sign in again")]
    Expired,
}

/// What a token says, if `fleet` signed it and it has not expired at `now`.
pub fn verify(token: &str, fleet: &Did, now: WallMs) -> Result<SessionClaims, TokenError> {
    if token.len() > TOKEN_LEN_MAX {
        return Err(TokenError::Malformed);
    }
    let json = URL_SAFE_NO_PAD.decode(token).map_err(|_not_base64| TokenError::Malformed)?;
    let envelope: Envelope =
        serde_json::from_slice(&json).map_err(|_no_envelope| TokenError::Malformed)?;
    let claims: SessionClaims =
        envelope.verify(payload_type::SESSION, fleet).map_err(|_not_theirs| TokenError::Foreign)?;
    if now >= claims.expires_at {
        return Err(TokenError::Expired);
    }
    Ok(claims)
}

/// Sessions whose signature was checked already: programs send their token with every call, tens of times a second.
#[derive(Debug, Default)]
pub struct Known {
    by_token: HashMap<String, (Did, SessionClaims)>,
}

/// How many sessions are remembered at most.
const KNOWN_MAX: usize = 4096;

impl Known {
    /// What a token says that was [kept](Known::keep), while it lasts and `fleet` is who signed it.
    pub fn get(&mut self, token: &str, fleet: &Did, now: WallMs) -> Option<SessionClaims> {
        let (signer, claims) = self.by_token.get(token)?;
        if signer == fleet && now < claims.expires_at {
            return Some(claims.clone());
        }
        self.by_token.remove(token);
        None
    }

    /// Remembers what [`verify()`] said.
    pub fn keep(&mut self, token: &str, fleet: &Did, claims: &SessionClaims, now: WallMs) {
        if self.by_token.len() >= KNOWN_MAX {
            self.by_token.retain(|_, (_, claims)| now < claims.expires_at);
            // Still full: whoever is forgotten is checked anew.
            if self.by_token.len() >= KNOWN_MAX {
                self.by_token.clear();
            }
        }
        self.by_token.insert(token.to_owned(), (*fleet, claims.clone()));
    }
}

/// The token of an `Authorization` header.
pub fn bearer(header: Option<&str>) -> Result<&str, TokenError> {
    let header = header.ok_or(TokenError::Missing)?;
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(TokenError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::api::Role;
    use protocol::keys::PrivateKey;

    fn token(claims: &SessionClaims, kind: &str, key: &PrivateKey) -> String {
        let envelope = Envelope::sign(kind, claims, key).unwrap();
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&envelope).unwrap())
    }

    #[test]
    fn a_token_is_the_fleets_own_unexpired_word() {
        let (fleet, other) = (PrivateKey::from_seed(&[1; 32]), PrivateKey::from_seed(&[2; 32]));
        let claims = SessionClaims {
            did: other.did(),
            role: Role::Agent,
            name: "Ada".to_owned(),
            expires_at: WallMs(1_000),
        };
        let good = token(&claims, payload_type::SESSION, &fleet);
        let check = |token: &str, now| verify(token, &fleet.did(), WallMs(now));
        assert_eq!(check(&good, 999), Ok(claims.clone()));
        assert_eq!(check(&good, 1_000), Err(TokenError::Expired));
        let forged = token(&claims, payload_type::SESSION, &other);
        assert_eq!(check(&forged, 0), Err(TokenError::Foreign));
        let lease = token(&claims, payload_type::LEASE, &fleet);
        assert_eq!(check(&lease, 0), Err(TokenError::Foreign));
        for bad in ["", "x", "e30", &good[1..], &"A".repeat(1_000_000)] {
            assert_eq!(check(bad, 0), Err(TokenError::Malformed), "{:.20}", bad);
        }
    }

    #[test]
    fn a_known_session_ends_with_its_time_and_with_its_fleet() {
        let (fleet, other) = (PrivateKey::from_seed(&[1; 32]), PrivateKey::from_seed(&[2; 32]));
        let claims = |n: u64| SessionClaims {
            did: other.did(),
            role: Role::Agent,
            name: n.to_string(),
            expires_at: WallMs(1_000 + n),
        };
        let mut known = Known::default();
        assert_eq!(known.get("t", &fleet.did(), WallMs(0)), None);
        known.keep("t", &fleet.did(), &claims(0), WallMs(0));
        for _once_and_again in 0..2 {
            assert_eq!(known.get("t", &fleet.did(), WallMs(999)), Some(claims(0)));
        }
        assert_eq!(known.get("t", &other.did(), WallMs(999)), None, "the fleet's key changed");
        known.keep("t", &fleet.did(), &claims(0), WallMs(0));
        assert_eq!(known.get("t", &fleet.did(), WallMs(1_000)), None, "its time is over");
        assert!(known.by_token.is_empty(), "what does not hold is forgotten");
        for n in 0..=u64::try_from(KNOWN_MAX).unwrap() {
            known.keep(&n.to_string(), &fleet.did(), &claims(n), WallMs(0));
        }
        assert_eq!(known.by_token.len(), 1, "bounded");
    }

    #[test]
    fn the_header_is_a_bearer_header() {
        assert_eq!(bearer(Some("Bearer abc")), Ok("abc"));
        assert_eq!(bearer(Some("bearer abc")), Ok("abc"));
        assert_eq!(bearer(None), Err(TokenError::Missing));
        for bad in ["abc", "Basic abc", "Bearer"] {
            assert_eq!(bearer(Some(bad)), Err(TokenError::Malformed));
        }
    }
}
