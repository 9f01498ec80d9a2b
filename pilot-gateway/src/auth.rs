//! Who calls: session tokens, checked offline with the fleet's key.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use protocol::api::SessionClaims;
use protocol::dsse::{Envelope, payload_type};
use protocol::keys::Did;
use protocol::units::WallMs;

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
    fn the_header_is_a_bearer_header() {
        assert_eq!(bearer(Some("Bearer abc")), Ok("abc"));
        assert_eq!(bearer(Some("bearer abc")), Ok("abc"));
        assert_eq!(bearer(None), Err(TokenError::Missing));
        for bad in ["abc", "Basic abc", "Bearer"] {
            assert_eq!(bearer(Some(bad)), Err(TokenError::Malformed));
        }
    }
}
