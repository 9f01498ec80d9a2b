//! The few calls of the gateway's HTTP API that this program makes itself.

use anyhow::{Context, Result, bail, ensure};
use protocol::api::{
    AcceptInvitation, Challenge, ChallengeRequest, Session, SessionRequest, auth_bytes,
    invitation_bytes,
};
use protocol::ids::{MissionId, RobotId};
use protocol::keys::PrivateKey;
use protocol::problem::{Problem, code};
use reqwest::{Client, Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// How long the gateway may take for a small answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer that is read, bytes.
const ANSWER_LEN_MAX: usize = 4 * 1024 * 1024;

/// The gateway at one address.
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    client: Client,
    base: String,
}

/// What a refusal of the gateway says.
#[derive(Debug)]
pub(crate) struct Refused {
    /// HTTP status.
    pub(crate) status: StatusCode,
    /// Stable code; empty when the answer was no problem document.
    pub(crate) code: String,
    detail: String,
}

impl Refused {
    /// In words.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// Whether asking again changes nothing.
    pub(crate) fn is_final(&self) -> bool {
        let for_now = [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS];
        self.status.is_client_error() && !for_now.contains(&self.status)
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.detail, self.status.as_u16())
    }
}

impl std::error::Error for Refused {}

/// The gateway's address, if the invitation is a link, and the code in it.
pub(crate) fn invitation(text: &str) -> Result<(Option<String>, String)> {
    let (link, code) = match text.trim().split_once("/join#") {
        Some((link, code)) => (Some(link.to_owned()), code),
        None => (None, text.trim()),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    ensure!(
        !code.is_empty() && code.chars().all(plain),
        "{text:?} is no invitation: give the link (http://HOST/join#CODE) or the code that you were sent"
    );
    Ok((link, code.to_owned()))
}

impl Gateway {
    /// The gateway at `base`, such as `http://127.0.0.1:7070`.
    pub(crate) fn new(base: &str) -> Result<Self> {
        let base = base.trim_end_matches('/');
        let parsed = reqwest::Url::parse(base).with_context(|| format!("--url {base:?}"))?;
        ensure!(
            matches!(parsed.scheme(), "http" | "https") && parsed.has_host(),
            "--url {base:?} must be an address such as http://127.0.0.1:7070"
        );
        // Fails only when a provider is there already, which is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            // Nothing that is passed on is silent for longer; opening a lease may take some seconds.
            .read_timeout(Duration::from_secs(30))
            .tcp_nodelay(true)
            .build()?;
        Ok(Self { client, base: base.to_owned() })
    }

    /// The HTTP client and the address, without a slash at its end.
    pub(crate) const fn parts(&self) -> (&Client, &str) {
        (&self.client, self.base.as_str())
    }

    /// Registers `key` with an invitation.
    pub(crate) async fn join(&self, code: &str, name: &str, key: &PrivateKey) -> Result<Session> {
        let signature = hex::encode(key.sign(&invitation_bytes(code)));
        let request = AcceptInvitation { did: key.did(), name: name.to_owned(), signature };
        self.call(Method::POST, &format!("/v1/invitations/{code}/accept"), None, Some(&request))
            .await
            .context("the invitation was not accepted")
    }

    /// Signs in with `key` by challenge and response.
    pub(crate) async fn sign_in(&self, key: &PrivateKey) -> Result<Session> {
        let did = key.did();
        let ask = ChallengeRequest { did };
        let challenge: Challenge =
            self.call(Method::POST, "/v1/auth/challenge", None, Some(&ask)).await?;
        let signature = hex::encode(key.sign(&auth_bytes(&challenge.nonce)));
        let request = SessionRequest { did, nonce: challenge.nonce, signature };
        self.call(Method::POST, "/v1/auth/session", None, Some(&request)).await
    }

    /// Fails with what to do unless the fleet has `robot`.
    pub(crate) async fn check_robot(&self, robot: &RobotId, token: &str) -> Result<()> {
        let found = self.get(&format!("/v1/robots/{robot}"), token).await;
        let Err(error) = found else { return Ok(()) };
        if !is(&error, StatusCode::NOT_FOUND) {
            return Err(error);
        }
        let robots = self.get("/v1/robots", token).await?;
        let names: Vec<&str> = robots["items"]
            .as_array()
            .map_or(&[][..], Vec::as_slice)
            .iter()
            .filter_map(|item| item["robot"].as_str().or_else(|| item["id"].as_str()))
            .take(20)
            .collect();
        let has = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        bail!("the fleet has no robot {robot}; it has: {has}")
    }

    /// Fails unless `mission` is there and for `robot`.
    pub(crate) async fn check_mission(
        &self,
        mission: &MissionId,
        robot: &RobotId,
        token: &str,
    ) -> Result<()> {
        let found = self.get(&format!("/v1/missions/{mission}"), token).await?;
        let its = found["robot"].as_str().unwrap_or_default();
        ensure!(its == robot.as_str(), "the mission {mission} is for {its}, not for {robot}");
        Ok(())
    }

    /// Stops the robot.
    pub(crate) async fn stop(&self, robot: &RobotId, token: &str) -> Result<Value> {
        self.post(&format!("/v1/robots/{robot}/stop"), token, &serde_json::json!({})).await
    }

    /// Gives the lease back. True when there was one to give back.
    pub(crate) async fn let_go(&self, robot: &RobotId, token: &str) -> Result<bool> {
        match self.delete(&format!("/v1/robots/{robot}/lease"), token).await {
            Ok(()) => Ok(true),
            Err(error) if ended(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// `POST path` with `body`.
    pub(crate) async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        token: &str,
        body: &B,
    ) -> Result<T> {
        self.call(Method::POST, path, Some(token), Some(body)).await
    }

    /// `DELETE path`.
    pub(crate) async fn delete(&self, path: &str, token: &str) -> Result<()> {
        self.call::<(), Value>(Method::DELETE, path, Some(token), None).await.map(|_| ())
    }

    /// `GET path`.
    pub(crate) async fn get(&self, path: &str, token: &str) -> Result<Value> {
        self.call::<(), Value>(Method::GET, path, Some(token), None).await
    }

    async fn call<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&B>,
    ) -> Result<T> {
        let mut request =
            self.client.request(method, format!("{}{path}", self.base)).timeout(TIMEOUT);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut response =
            request.send().await.map_err(reqwest::Error::without_url).with_context(|| {
                format!("the gateway {} does not answer; is it running? (--url)", self.base)
            })?;
        let (status, mut bytes) = (response.status(), Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
            ensure!(bytes.len() + chunk.len() <= ANSWER_LEN_MAX, "{path}: the answer is too long");
            bytes.extend_from_slice(&chunk);
        }
        if !status.is_success() {
            return Err(refused(status, &bytes).into());
        }
        let bytes = if bytes.is_empty() { &b"null"[..] } else { &bytes };
        serde_json::from_slice(bytes).with_context(|| {
            format!("{path}: the answer is not Longrein's; is {} its gateway?", self.base)
        })
    }
}

fn refused(status: StatusCode, bytes: &[u8]) -> Refused {
    match serde_json::from_slice::<Problem>(bytes) {
        Ok(problem) => Refused { status, code: problem.code, detail: problem.detail },
        Err(_no_problem) => {
            let text: String = String::from_utf8_lossy(bytes).chars().take(200).collect();
            Refused { status, code: String::new(), detail: text.trim().to_owned() }
        }
    }
}

fn is(error: &anyhow::Error, status: StatusCode) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == status)
}

/// Whether there was no lease to end.
fn ended(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<Refused>();
    refused.is_some_and(|r| [code::LEASE_ENDED, code::ROBOT_TAKEN].contains(&r.code.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_is_a_link_or_a_code() {
        let link = invitation(" http://127.0.0.1:7070/join#a1-B_2\n").unwrap();
        assert_eq!(link, (Some("http://127.0.0.1:7070".to_owned()), "a1-B_2".to_owned()));
        assert_eq!(invitation("abc").unwrap(), (None, "abc".to_owned()));
        for bad in ["", "http://127.0.0.1:7070/join#", "a/../b", "http://x/other#c", "a b"] {
            assert!(invitation(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_address_is_checked_at_once() {
        for bad in ["127.0.0.1:7070", "ftp://x", "", "http://"] {
            assert!(Gateway::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Gateway::new("http://h:1/").unwrap().parts().1, "http://h:1");
    }

    #[test]
    fn a_refusal_without_a_problem_document_is_shown_in_part() {
        let plain = refused(StatusCode::BAD_GATEWAY, "x".repeat(9_000).as_bytes());
        assert_eq!(plain.detail.len(), 200);
        let problem = serde_json::to_vec(&Problem::new(409, code::LEASE_ENDED, "over")).unwrap();
        assert!(ended(&refused(StatusCode::CONFLICT, &problem).into()));
    }
}
