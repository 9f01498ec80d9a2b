//! A program that drives over the relay's lane, command by command.

use crate::guest::{Guest, fabric, new_key};
use anyhow::{Context, Result, bail, ensure};
use protocol::api::{LeaseGrant, LeaseOrder};
use protocol::drive::{DriveCommand, Seen};
use protocol::ids::{MissionId, RobotId};
use protocol::keys::PrivateKey;
use protocol::lease::Lease;
use protocol::message::{LeaseRequest, Reply};
use protocol::sealed::{FabricKey, Kind};
use protocol::signal::{SignalReply, SignalRequest, open_bytes};
use protocol::state::RobotState;
use protocol::units::MonoMs;
use protocol::{keyexpr, message};
use serde_json::{json, to_value};
use sha2::Digest;
use std::time::Duration;
use xtask::fleet::{Client, hex, text};
use xtask::stack::{ROBOT, Stack};

type States = zenoh::pubsub::Subscriber<zenoh::handlers::RingChannelHandler<zenoh::sample::Sample>>;

/// A driver with a lease that is open at the robot. It is its own relay.
#[derive(Debug)]
pub struct Driver {
    client: Client,
    /// How it reaches the robot.
    gateway: Guest,
    seal: FabricKey,
    states: States,
    robot: RobotId,
    relay: PrivateKey,
    lease: Lease,
    seq: u32,
}

impl Driver {
    /// Joins the fleet as a program, takes a lease without a mission, and opens it at the robot.
    pub async fn open(stack: &Stack) -> Result<Self> {
        Self::open_for(stack, None).await
    }

    /// As [`Driver::open`], for a mission.
    pub async fn open_for(stack: &Stack, mission: Option<MissionId>) -> Result<Self> {
        let (holder, relay) = (new_key()?, new_key()?);
        let invitation = stack.operator.post("/v1/invitations", &json!({"role": "agent"}))?;
        let code = text(&invitation, "code")?;
        let client = Client::new(&stack.url).join(&code, "Test driver", &holder)?;
        let robot: RobotId = ROBOT.parse()?;
        let order = LeaseOrder {
            robot: Some(robot.clone()),
            mission,
            relay: Some(relay.did()),
            takeover: false,
        };
        let grant = client.post("/v1/leases", &to_value(order)?)?;
        let grant: LeaseGrant = serde_json::from_value(grant)?;
        let digest = sha2::Sha256::digest(grant.lease.body_unverified()?).into();
        let lease: Lease = grant.lease.document_unverified()?;

        let gateway = Guest::gateway(stack).await?;
        let seal = gateway.fabric_key(&robot)?;
        let states = gateway
            .zenoh
            .declare_subscriber(keyexpr::state(&robot))
            .with(zenoh::handlers::RingChannel::new(1))
            .await
            .map_err(fabric)?;
        let request = SignalRequest {
            lease: grant.lease,
            offer_sdp: String::new(),
            driver_signature: hex(&holder.sign(&open_bytes(&digest, ""))),
            ice_servers: Vec::new(),
        };
        let asked = serde_json::to_vec(&request)?;
        let answer = gateway.ask(&seal, &keyexpr::signal(&robot), &asked, &[]).await?;
        match serde_json::from_slice(&answer)? {
            SignalReply::Opened { .. } => {}
            other => bail!("the lease was not opened: {other:?}"),
        }
        Ok(Self { client, gateway, seal, states, robot, relay, lease, seq: 0 })
    }

    /// The lease.
    pub const fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Signs with another key from now on.
    pub fn sign_with(&mut self, relay: PrivateKey) {
        self.relay = relay;
    }

    /// The robot's newest state, or its next one.
    pub async fn state(&self) -> Result<RobotState> {
        loop {
            let state = self.states.recv_async().await.map_err(fabric)?;
            let (key, payload) = (state.key_expr().as_str(), state.payload().to_bytes());
            // Others may put on the key as well.
            if let Ok((opened, _)) = self.seal.open(Kind::Put, key, &payload) {
                return serde_json::from_slice(&opened.payload).context("the robot's state");
            }
        }
    }

    /// A sequence number that no command had.
    pub const fn next_seq(&mut self) -> u32 {
        self.seq += 1;
        self.seq
    }

    /// A command that would be obeyed now: ahead as fast as it goes blind, with a fresh stamp.
    pub async fn good(&mut self) -> Result<DriveCommand> {
        let state = self.state().await?;
        Ok(DriveCommand {
            deadman: true,
            seq: self.next_seq(),
            epoch: self.lease.epoch,
            seen: Seen::Nothing,
            robot_stamp_ms: MonoMs(state.robot_ms).low32(),
            linear_mmps: 400,
            ..DriveCommand::default()
        })
    }

    /// Sends a packet to the robot, signed.
    pub async fn put(&self, packet: &[u8]) -> Result<()> {
        let key = keyexpr::command(&self.robot);
        let signature = message::sign(&key, packet, &self.relay);
        let sealed = self.seal.seal(Kind::Put, &key, packet, &signature)?.0;
        self.gateway.zenoh.put(&key, sealed).await.map_err(fabric)
    }

    /// Sends what `make` makes of good commands, 40 times at 25 ms.
    pub async fn drive(&mut self, mut make: impl FnMut(DriveCommand) -> Vec<u8>) -> Result<()> {
        let mut good = self.good().await?;
        for i in 0..40 {
            // States come ten times a second; a stamp older than a quarter of a second holds the command up.
            if i % 3 == 0 {
                good = self.good().await?;
            } else {
                good.seq = self.next_seq();
            }
            self.put(&make(good)).await?;
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Ok(())
    }

    /// Releases the stick, so that the next good command may move the robot.
    pub async fn rest(&mut self) -> Result<()> {
        for _ in 0..3 {
            let rest = DriveCommand { deadman: false, linear_mmps: 0, ..self.good().await? };
            self.put(&rest.encode()).await?;
        }
        Ok(())
    }

    /// Gives the lease back: to the robot, which ends the episode, and to the fleet.
    pub async fn release(self) -> Result<()> {
        let key = keyexpr::lease(&self.robot);
        let lease_id = self.lease.lease_id;
        let request = serde_json::to_vec(&LeaseRequest::Release { lease_id })?;
        let signature = message::sign(&key, &request, &self.relay);
        let answer = self.gateway.ask(&self.seal, &key, &request, &signature).await?;
        let reply: Reply = serde_json::from_slice(&answer)?;
        ensure!(reply == Reply::Done, "the robot does not release the lease: {reply:?}");
        self.client.delete(&format!("/v1/leases/{lease_id}")).map(drop)
    }
}
