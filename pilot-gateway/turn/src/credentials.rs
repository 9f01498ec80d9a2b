//! Credentials that end by themselves, as coturn's `use-auth-secret` has them: the user name says until when they are
//! good and for whom, the password is its HMAC under a secret. Nothing is kept about them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// Longest user name that is looked at.
const USERNAME_LEN_MAX: usize = 128;

/// What credentials are made and checked with. Never shown.
#[derive(Clone)]
pub struct Secret(hmac::Key);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// A user name with its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Unix time in seconds until which they are good, a colon, and whose they are.
    pub username: String,
    /// The HMAC-SHA1 of that, in Base64.
    pub password: String,
}

/// Why credentials are refused before their password is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the user name is none of this server's")]
    Unknown,
    #[error("the credentials have expired")]
    Expired,
    #[error("the password is wrong")]
    Password,
}

impl Secret {
    /// Takes a secret: that of coturn's `static-auth-secret`, or any that nobody can guess.
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret))
    }

    /// Credentials for `subject` until `until_s`, Unix time.
    pub fn credentials(&self, subject: &str, until_s: u64) -> Credentials {
        let username = format!("{until_s}:{subject}");
        Credentials { password: self.password(&username), username }
    }

    fn password(&self, username: &str) -> String {
        STANDARD.encode(hmac::sign(&self.0, username.as_bytes()))
    }

    /// What belongs to a user name now.
    pub(crate) fn look_up(&self, username: &str, now_s: u64) -> Result<Credentials, Refused> {
        let (until, subject) = username.split_once(':').ok_or(Refused::Unknown)?;
        let until_s: u64 = until.parse().map_err(|_not_a_number| Refused::Unknown)?;
        if subject.is_empty() || username.len() > USERNAME_LEN_MAX {
            return Err(Refused::Unknown);
        }
        if until_s <= now_s {
            return Err(Refused::Expired);
        }
        Ok(self.credentials(subject, until_s))
    }
}

/// Whose a user name is: all that one subject has open is counted together.
pub(crate) fn subject(username: &str) -> &str {
    username.split_once(':').map_or(username, |(_until, subject)| subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_coturn_makes_them() {
        // echo -n 1700000000:lease | openssl dgst -sha1 -hmac north -binary | base64
        let made = Secret::new(b"north").credentials("lease", 1_700_000_000);
        assert_eq!(made.username, "1700000000:lease");
        assert_eq!(made.password, "nxZwfqk+fVrNsDjyKvKwj912q4w=");
    }

    #[test]
    fn they_end_and_nothing_else_is_taken() {
        let secret = Secret::new(b"north");
        let made = secret.credentials("lease", 100);
        assert_eq!(secret.look_up(&made.username, 99), Ok(made.clone()));
        assert_eq!(secret.look_up(&made.username, 100), Err(Refused::Expired));
        let long = format!("100:{}", "x".repeat(USERNAME_LEN_MAX));
        for wrong in ["", "100", ":lease", "100:", "x:lease", "-1:lease", &long] {
            assert_eq!(secret.look_up(wrong, 1), Err(Refused::Unknown), "{wrong}");
        }
        assert_ne!(Secret::new(b"south").credentials("lease", 100).password, made.password);
        assert_eq!(format!("{secret:?}"), "Secret");
    }
}
