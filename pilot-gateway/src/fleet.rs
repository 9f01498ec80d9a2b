//! What the gateway itself asks of the fleet server. It always speaks with its caller's token: it has no power
//! of its own.

use crate::problem::ApiError;
use protocol::api::{
    self, AcceptInvitation, Challenge, ChallengeRequest, LeaseGrant, LeaseOrder, Session,
    SessionRequest,
};
use protocol::credentials::{CertificateRequest, FabricKeyGrant, FabricKeyRequest};
use protocol::dsse::Envelope;
use protocol::ids::{LeaseId, RobotId};
use protocol::keys::{Did, PrivateKey};
use protocol::problem::Problem;
use reqwest::{Client, Method};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// How long the fleet may take for a small answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Who the fleet is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FleetInfo {
    /// Its key.
    pub fleet_did: Did,
    /// Its name, for people.
    #[serde(default)]
    pub name: String,
}

/// The part of a robot's page that the gateway needs.
#[derive(Debug, Deserialize)]
struct RobotPage {
    did: Did,
}

/// A client of the fleet server.
#[derive(Debug, Clone)]
pub struct Fleet {
    client: Client,
    base: String,
}

impl Fleet {
    /// A client of the server at `base` (no slash at its end).
    pub fn new(base: &str) -> anyhow::Result<Self> {
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(2))
            .tcp_nodelay(true)
            .build()?;
        Ok(Self { client, base: base.to_owned() })
    }

    /// The HTTP client and the base URL, for the proxy.
    pub const fn parts(&self) -> (&Client, &str) {
        (&self.client, self.base.as_str())
    }

    /// `GET /v1/fleet`.
    pub async fn info(&self) -> Result<FleetInfo, ApiError> {
        self.call(Method::GET, "/v1/fleet", None, None::<&()>).await
    }

    /// Whether the server answers `/healthz`, and soon.
    pub async fn reachable(&self) -> bool {
        let get = self.client.get(format!("{}/healthz", self.base)).timeout(Duration::from_secs(1));
        get.send().await.is_ok_and(|response| response.status().is_success())
    }

    /// `GET /openapi.json`.
    pub async fn openapi(&self) -> Result<Value, ApiError> {
        self.call(Method::GET, "/openapi.json", None, None::<&()>).await
    }

    /// The key of a robot.
    pub async fn robot_did(&self, robot: &RobotId, token: &str) -> Result<Did, ApiError> {
        let path = format!("/v1/robots/{robot}");
        let page: RobotPage = self.call(Method::GET, &path, Some(token), None::<&()>).await?;
        Ok(page.did)
    }

    /// Signs in with `key`, as whoever it belongs to.
    pub async fn sign_in(&self, key: &PrivateKey) -> Result<Session, ApiError> {
        let did = key.did();
        let ask = ChallengeRequest { did };
        let Challenge { nonce } =
            self.call(Method::POST, "/v1/auth/challenge", None, Some(&ask)).await?;
        let signature = hex::encode(key.sign(&api::auth_bytes(&nonce)));
        let request = SessionRequest { did, nonce, signature };
        self.call(Method::POST, "/v1/auth/session", None, Some(&request)).await
    }

    /// Any document that `token` may read.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, token: &str) -> Result<T, ApiError> {
        self.call(Method::GET, path, Some(token), None::<&()>).await
    }

    /// A certificate for the message router.
    pub async fn certificate(&self, request: &CertificateRequest) -> Result<Envelope, ApiError> {
        self.call(Method::POST, "/v1/certificates", None, Some(request)).await
    }

    /// Registers a key with an invitation's code.
    pub async fn accept_invitation(
        &self,
        code: &str,
        accept: &AcceptInvitation,
    ) -> Result<Session, ApiError> {
        let path = format!("/v1/invitations/{code}/accept");
        self.call(Method::POST, &path, None, Some(accept)).await
    }

    /// The key of a robot's messages, for the holder of `box_key`.
    pub async fn fabric_key(
        &self,
        robot: &RobotId,
        box_key: String,
        token: &str,
    ) -> Result<FabricKeyGrant, ApiError> {
        let path = format!("/v1/robots/{robot}/fabric-key");
        let request = FabricKeyRequest { box_key };
        self.call(Method::POST, &path, Some(token), Some(&request)).await
    }

    /// Takes a lease for the owner of `token`.
    pub async fn take_lease(
        &self,
        order: &LeaseOrder,
        token: &str,
    ) -> Result<LeaseGrant, ApiError> {
        self.call(Method::POST, "/v1/leases", Some(token), Some(order)).await
    }

    /// Renews a lease.
    pub async fn renew_lease(&self, lease: LeaseId, token: &str) -> Result<LeaseGrant, ApiError> {
        let path = format!("/v1/leases/{lease}/renew");
        self.call(Method::POST, &path, Some(token), None::<&()>).await
    }

    /// Ends a lease.
    pub async fn end_lease(&self, lease: LeaseId, token: &str) -> Result<(), ApiError> {
        let path = format!("/v1/leases/{lease}");
        let _ended: Value = self.call(Method::DELETE, &path, Some(token), None::<&()>).await?;
        Ok(())
    }

    /// Any order without a document of its own in [`protocol::api`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        token: &str,
        body: &Value,
    ) -> Result<T, ApiError> {
        self.call(Method::POST, path, Some(token), Some(body)).await
    }

    /// Asks the fleet to stop a robot by its own path.
    pub async fn estop(&self, robot: &RobotId, reason: &str, token: &str) -> Result<(), ApiError> {
        let path = format!("/v1/robots/{robot}/estop");
        let body = serde_json::json!({ "reason": reason });
        let _done: Value = self.call(Method::POST, &path, Some(token), Some(&body)).await?;
        Ok(())
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&(impl serde::Serialize + Sync)>,
    ) -> Result<T, ApiError> {
        let mut request =
            self.client.request(method, format!("{}{path}", self.base)).timeout(TIMEOUT);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| unavailable(&error))?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| unavailable(&error))?;
        if !status.is_success() {
            return Err(match serde_json::from_slice::<Problem>(&bytes) {
                Ok(problem) => ApiError::of_fleet(problem),
                Err(_no_problem) => {
                    ApiError::unavailable(format!("the fleet server answered {status} to {path}"))
                }
            });
        }
        // An empty body stands for null.
        let bytes = if bytes.is_empty() { &b"null"[..] } else { &bytes };
        serde_json::from_slice(bytes).map_err(|error| {
            tracing::error!(path, %error, "an answer of the fleet server cannot be read");
            ApiError::unavailable(format!("the fleet server's answer to {path} cannot be read"))
        })
    }
}

fn unavailable(error: &reqwest::Error) -> ApiError {
    tracing::debug!(%error, "the fleet server did not answer");
    ApiError::unavailable("the fleet server does not answer; try again in a moment")
}
