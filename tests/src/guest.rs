//! Somebody with a certificate of their own on the message fabric: a gateway, or a robot that is nothing but a key.

use anyhow::{Context, Result, anyhow};
use fabric_tunnel::{Files, Tunnel};
use protocol::api::{AcceptEnrolment, Enrolled, enrolment_bytes};
use protocol::credentials::{Asking, FabricKeyGrant, Granted};
use protocol::dsse::Envelope;
use protocol::ids::RobotId;
use protocol::keys::{Did, PrivateKey};
use protocol::sealed::{BoxKey, FabricKey, Kind};
use protocol::units::WallMs;
use serde_json::{json, to_value};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use xtask::fleet::{Client, hex, text};
use xtask::stack::{Stack, invite};
use zenoh::query::{ConsolidationMode, QueryTarget};

static GUESTS: AtomicU32 = AtomicU32::new(0);

/// A Zenoh client that came in by the door.
#[derive(Debug)]
pub struct Guest {
    /// Its key.
    pub key: PrivateKey,
    /// Signed in at the fleet server as itself.
    pub client: Client,
    /// Its session.
    pub zenoh: zenoh::Session,
    /// What the session goes through.
    pub tunnel: Tunnel,
    /// With which its own messages are sealed, if it is a robot.
    pub own_key: Option<FabricKey>,
    /// How it connects.
    pub config: serde_json::Value,
}

pub(crate) fn fabric(error: zenoh::Error) -> anyhow::Error {
    anyhow!("message fabric: {error}")
}

/// Now, by the wall clock.
pub fn wall() -> WallMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallMs(u64::try_from(since.as_millis()).unwrap_or(0))
}

pub(crate) fn new_key() -> Result<PrivateKey> {
    PrivateKey::generate().map_err(|error| anyhow!("no random bytes for a key: {error}"))
}

/// Asks the fleet for a certificate.
pub fn certificate(client: &Client, key: &PrivateKey, fleet: &Did) -> Result<Granted> {
    let asking = Asking::begin(key, wall())?;
    let envelope = client.post("/v1/certificates", &to_value(asking.request())?)?;
    Ok(asking.take(&serde_json::from_value::<Envelope>(envelope)?, fleet)?)
}

fn fleet_did(stack: &Stack) -> Result<Did> {
    Ok(text(&Client::new(&stack.fleet_url).get("/v1/fleet")?, "fleet_did")?.parse()?)
}

impl Guest {
    /// A gateway, invited by the operator.
    pub async fn gateway(stack: &Stack) -> Result<Self> {
        let key = new_key()?;
        let code = invite(&stack.operator, "gateway")?;
        let client = Client::new(&stack.fleet_url).join(&code, "Test gateway", &key)?;
        let granted = certificate(&client, &key, &fleet_did(stack)?)?;
        Self::enter(stack, key, client, &granted).await
    }

    /// A robot named `id`, enrolled with a code as every robot is.
    pub async fn robot(stack: &Stack, id: &str) -> Result<Self> {
        let key = new_key()?;
        let owner = text(&stack.operator.post("/v1/owners", &json!({"name": id}))?, "id")?;
        let shares = [json!({"owner": owner, "share_ppm": 1_000_000})];
        let order = json!({"robot": id, "name": id, "owners": shares});
        let code = text(&stack.operator.post("/v1/enrolments", &order)?, "code")?;
        let client = Client::new(&stack.fleet_url);
        let signature = hex(&key.sign(&enrolment_bytes(&code)));
        let accept = to_value(AcceptEnrolment { did: key.did(), signature })?;
        let enrolled = client.post(&format!("/v1/enrolments/{code}/accept"), &accept)?;
        let enrolled: Enrolled = serde_json::from_value(enrolled)?;
        let client = client.sign_in(&key)?;
        let granted = certificate(&client, &key, &enrolled.fleet_did)?;
        Self::enter(stack, key, client, &granted).await
    }

    async fn enter(
        stack: &Stack,
        key: PrivateKey,
        client: Client,
        granted: &Granted,
    ) -> Result<Self> {
        let number = GUESTS.fetch_add(1, Ordering::Relaxed);
        let file = |name: &str, text: &str| -> Result<PathBuf> {
            let path = stack.options.data.join(format!("guest-{number}.{name}"));
            std::fs::write(&path, text)?;
            Ok(path)
        };
        let files = Files {
            tls_pem: file("tls.pem", &granted.tls_pem)?,
            root_pem: file("root.pem", &granted.credentials.root)?,
        };
        let tunnel = Tunnel::open(&stack.zenoh, files)?;
        let config = json!({
            "mode": "client",
            "connect": {"endpoints": [tunnel.endpoint()]},
            "scouting": {"multicast": {"enabled": false}, "gossip": {"enabled": false}},
        });
        let zenoh = open(&config).await?;
        Ok(Self { key, client, zenoh, tunnel, own_key: granted.fabric_key.clone(), config })
    }

    /// The key of a robot's messages, which the fleet tells gateways.
    pub fn fabric_key(&self, robot: &RobotId) -> Result<FabricKey> {
        let reader = BoxKey::generate()?;
        let path = format!("/v1/robots/{robot}/fabric-key");
        let grant = self.client.post(&path, &json!({"box_key": reader.public_hex()}))?;
        let grant: FabricKeyGrant = serde_json::from_value(grant)?;
        let secret = String::from_utf8(reader.open(&grant.fabric_key)?)?;
        FabricKey::from_hex(&secret).context("the fleet's answer is no key")
    }

    /// Asks on `key_expr` and gives the first answer that opens.
    pub async fn ask(
        &self,
        seal: &FabricKey,
        key_expr: &str,
        payload: &[u8],
        attachment: &[u8],
    ) -> Result<Vec<u8>> {
        let (sealed, asked) = seal.seal(Kind::Query, key_expr, payload, attachment)?;
        let get = self.zenoh.get(key_expr).payload(sealed).timeout(Duration::from_secs(5));
        let get = get.target(QueryTarget::All).consolidation(ConsolidationMode::None);
        let replies = get.await.map_err(fabric)?;
        while let Ok(reply) = replies.recv_async().await {
            let Ok(sample) = reply.into_result() else { continue };
            let bytes = sample.payload().to_bytes();
            if let Ok((opened, _)) = seal.open(Kind::Reply(asked), key_expr, &bytes) {
                return Ok(opened.payload);
            }
        }
        Err(anyhow!("nobody answers on {key_expr} who knows its key"))
    }
}

/// Opens a session with a configuration.
pub async fn open(config: &serde_json::Value) -> Result<zenoh::Session> {
    let config = zenoh::Config::from_json5(&config.to_string()).map_err(fabric)?;
    zenoh::open(config).await.map_err(fabric)
}
