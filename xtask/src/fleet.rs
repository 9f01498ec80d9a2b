//! A small client of the HTTP API, as an operator would write one.

use anyhow::{Context, Result, anyhow, bail};
use protocol::api::{
    AcceptInvitation, Challenge, Session, SessionRequest, auth_bytes, invitation_bytes,
};
use protocol::keys::PrivateKey;
use serde_json::{Value, json};
use std::time::Duration;

/// A client of one origin, signed in or not.
#[derive(Debug, Clone)]
pub struct Client {
    agent: ureq::Agent,
    base: String,
    token: Option<String>,
}

impl Client {
    /// A client that is not signed in.
    pub fn new(base: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(20)))
            .build();
        Self { agent: config.into(), base: base.trim_end_matches('/').to_owned(), token: None }
    }

    /// Signs in with `key` by challenge and response.
    pub fn sign_in(mut self, key: &PrivateKey) -> Result<Self> {
        let did = key.did();
        let challenge: Challenge =
            serde_json::from_value(self.post("/v1/auth/challenge", &json!({"did": did}))?)?;
        let signature = hex(&key.sign(&auth_bytes(&challenge.nonce)));
        let request = SessionRequest { did, nonce: challenge.nonce, signature };
        let session: Session = serde_json::from_value(
            self.post("/v1/auth/session", &serde_json::to_value(request)?)?,
        )?;
        self.token = Some(session.token);
        Ok(self)
    }

    /// Accepts an invitation with `key` and is signed in afterwards.
    pub fn join(mut self, code: &str, name: &str, key: &PrivateKey) -> Result<Self> {
        let signature = hex(&key.sign(&invitation_bytes(code)));
        let request = AcceptInvitation { did: key.did(), name: name.to_owned(), signature };
        let path = format!("/v1/invitations/{code}/accept");
        let session: Session =
            serde_json::from_value(self.post(&path, &serde_json::to_value(request)?)?)?;
        self.token = Some(session.token);
        Ok(self)
    }

    /// Whether `path` answers with a success.
    pub fn is_up(&self, path: &str) -> bool {
        self.get(path).is_ok()
    }

    /// What a GET of `path` brings, as it stands.
    pub fn read(&self, path: &str) -> Result<String> {
        let mut answer = self.agent.get(format!("{}{path}", self.base)).call()?;
        Ok(answer.body_mut().read_to_string()?)
    }

    /// Whether a GET of `path` succeeds, whatever it brings.
    pub fn succeeds(&self, path: &str) -> bool {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        request.call().is_ok_and(|response| response.status().is_success())
    }

    /// The same session at another origin of the same fleet.
    pub fn at(&self, base: &str) -> Self {
        Self { base: base.trim_end_matches('/').to_owned(), ..self.clone() }
    }

    /// GET, as JSON (null for an answer that is no JSON).
    pub fn get(&self, path: &str) -> Result<Value> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        Self::answer("GET", path, request.call())
    }

    /// POST of JSON.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        Self::answer("POST", path, request.send_json(body))
    }

    /// PUT of JSON.
    pub fn put(&self, path: &str, body: &Value) -> Result<Value> {
        let mut request = self.agent.put(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        Self::answer("PUT", path, request.send_json(body))
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Result<Value> {
        let mut request = self.agent.delete(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        Self::answer("DELETE", path, request.call())
    }

    fn answer(
        method: &str,
        path: &str,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value> {
        let mut response = response.with_context(|| format!("{method} {path}"))?;
        let text = response
            .body_mut()
            .read_to_string()
            .with_context(|| format!("{method} {path}: the answer cannot be read"))?;
        if !response.status().is_success() {
            bail!("{method} {path}: {} {text}", response.status());
        }
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}

/// The text at `key` of an answer.
pub fn text(value: &Value, key: &str) -> Result<String> {
    value[key]
        .as_str()
        .map(ToOwned::to_owned)
        .ok_or_else(|| anyhow!("the answer has no text {key:?}: {value}"))
}

/// The items of a list.
pub fn items(value: &Value) -> &[Value] {
    value["items"].as_array().map_or(&[], Vec::as_slice)
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
