//! Who may drive: every decision about leases, as a state machine without clocks, sockets or disks.
//!
//! **Nothing here is believed that is not signed**: leases and renewals by the fleet, the opening by the lease's
//! holder, messages over Zenoh by the relay that the lease names. The caller makes a new epoch durable between
//! [`Book::check_open`] and [`Book::open`], so that no crash brings an older lease back.

use crate::interventions::Interventions;
use protocol::dsse::{Envelope, payload_type};
use protocol::ids::{EpisodeId, LeaseId, RobotId};
use protocol::intervention::{CAUSE_CHARS_MAX, InterventionRequest, Note, is_cause};
use protocol::keys::Did;
use protocol::lease::{DRIVER_GONE_MS, DriverKind, Lease, VerifiedLease};
use protocol::message::EstopRequest;
use protocol::program::{self, RelayedReceipt};
use protocol::rover::{LAMP_LEVEL_MAX, LampRequest, SPEAK_CHARS_MAX, SpeakRequest};
use protocol::session::{RECEIPT_PACKETS_MAX, Receipt};
use protocol::settings::{NotAllowed, VerifiedSettings};
use protocol::signal::SignalRequest;
use protocol::state::EndedLease;
use protocol::units::{MonoMs, WallMs};
use sha2::{Digest, Sha256};

mod owner;
mod refusal;
mod takeover;

pub use owner::{fenced, with_mission};
pub use refusal::Refusal;

/// How far the wall clocks of fleet and robot may be apart, ms.
pub const CLOCK_TOLERANCE_MS: u64 = 5_000;
/// A lease never lasts longer than this on the robot, whatever it says, ms.
pub const TTL_MS_MAX: u32 = 120_000;
/// A driver has this long from the opening to the first drive packet, ms.
pub const FIRST_PACKET_MS: u64 = 15_000;
/// A recorded request (a clear of the emergency stop, a text, the lamp) is worth nothing after this, ms.
pub const REQUEST_AT_TOLERANCE_MS: u64 = 10_000;

/// An opening that was checked and not yet taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    lease: VerifiedLease,
    /// The same lease is open: only its link is replaced.
    pub again: bool,
    /// The packets come through the relay, not over a link.
    pub relayed: bool,
}

impl Checked {
    /// The lease.
    pub const fn lease(&self) -> &VerifiedLease {
        &self.lease
    }
}

/// The lease that is open.
#[derive(Debug, Clone)]
pub struct Current {
    lease: VerifiedLease,
    expires: MonoMs,
    opened: MonoMs,
    heard: Option<MonoMs>,
    receipts: u32,
    receipt_head: String,
    receipt_end: u64,
    program: program::Chain,
    fleet_clock: FleetClock,
    interventions: Interventions,
}

/// The fleet's clock as its documents told it: what it showed at least, and when by the robot's monotonic clock. So
/// a drive goes on when the robot's own wall clock is set, as it is minutes after a start without a battery-backed
/// clock.
#[derive(Debug, Clone, Copy)]
struct FleetClock {
    showed: WallMs,
    at: MonoMs,
}

impl FleetClock {
    fn now(&self, now: MonoMs) -> WallMs {
        WallMs(self.showed.0.saturating_add(now.since(self.at)))
    }

    /// Of two, the one that is ahead: its document was under way for less time.
    fn told(&mut self, showed: WallMs, at: MonoMs) {
        if showed > self.now(at) {
            *self = Self { showed, at };
        }
    }
}

impl Current {
    /// The newest copy of the lease.
    pub const fn lease(&self) -> &Lease {
        self.lease.lease()
    }
    /// When its session was opened last.
    pub const fn opened(&self) -> MonoMs {
        self.opened
    }
    /// When it ends if nobody renews it.
    pub const fn expires(&self) -> MonoMs {
        self.expires
    }
    /// As the safety core sees it.
    pub fn core(&self) -> agent_core::Lease {
        let lease = self.lease();
        agent_core::Lease {
            epoch: lease.epoch,
            expires: self.expires,
            speed_mmps_max: speed_mmps(lease.limits.speed_mps_max),
            program: lease.driver_kind == DriverKind::Agent,
        }
    }
}

/// A limit in mm/s; what is no number allows nothing.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped first")]
fn speed_mmps(mps: f64) -> u32 {
    if mps.is_finite() { (mps * 1000.0).clamp(0.0, 10_000.0) as u32 } else { 0 }
}

/// What the robot knows about leases.
#[derive(Debug, Clone)]
pub struct Book {
    robot: RobotId,
    robot_did: Did,
    fleet: Did,
    epoch_highest: u64,
    current: Option<Current>,
    last_ended: Option<EndedLease>,
    /// When the newest emergency stop of each who may stop was made, by the clock of that one.
    stops: Vec<(Did, WallMs)>,
    /// Whose settings are taken.
    owners: Vec<Did>,
    settings: Option<VerifiedSettings>,
}

impl Book {
    /// A robot that has seen `epoch_highest` and has no lease open.
    pub fn new(robot: RobotId, robot_did: Did, fleet: Did, epoch_highest: u64) -> Self {
        Self {
            robot,
            robot_did,
            fleet,
            epoch_highest,
            current: None,
            last_ended: None,
            stops: Vec::new(),
            owners: Vec::new(),
            settings: None,
        }
    }

    /// The open lease.
    pub const fn current(&self) -> Option<&Current> {
        self.current.as_ref()
    }
    /// The highest epoch ever seen.
    pub const fn epoch_highest(&self) -> u64 {
        self.epoch_highest
    }
    /// The lease that ended last.
    pub const fn last_ended(&self) -> Option<&EndedLease> {
        self.last_ended.as_ref()
    }
    /// The episode of the open lease.
    pub fn episode(&self) -> Option<EpisodeId> {
        self.current.as_ref().map(|current| current.lease().lease_id.into())
    }

    fn verify(&self, envelope: Envelope) -> Result<VerifiedLease, Refusal> {
        let verified = VerifiedLease::verify(envelope, &self.fleet)
            .map_err(|error| Refusal::NotOfTheFleet(error.to_string()))?;
        let lease = verified.lease();
        if lease.robot != self.robot || lease.robot_did != self.robot_did {
            return Err(Refusal::OtherRobot(lease.robot.clone()));
        }
        Ok(verified)
    }

    /// Whether a driver may open a session. Changes nothing.
    pub fn check_open(&self, request: &SignalRequest, wall: WallMs) -> Result<Checked, Refusal> {
        let verified = self.verify(request.lease.clone())?;
        let lease = verified.lease();
        check_fresh(lease, wall)?;
        let again = self.current.as_ref().is_some_and(|current| {
            current.lease().lease_id == lease.lease_id && current.lease().epoch == lease.epoch
        });
        if !again && lease.epoch <= self.epoch_highest {
            let (epoch, highest) = (lease.epoch, self.epoch_highest);
            return Err(Refusal::Ended { epoch, highest });
        }
        let relayed = request.offer_sdp.is_empty();
        if relayed && lease.relay.is_none() {
            return Err(Refusal::NoOffer);
        }
        // A program behind a relay may be unable to sign; then the relay alone attests it, the episode says so, and
        // only the relay can send its packets. What is signed must be the holder's: the lease's digest covers the
        // relay that it names, so nobody's lease is opened through another relay than the holder agreed to.
        let unsigned_program = relayed
            && request.driver_signature.is_empty()
            && lease.driver_kind == DriverKind::Agent;
        if !unsigned_program && request.verify_driver(&verified).is_err() {
            return Err(Refusal::DriverSignature);
        }
        if let Some(settings) = &self.settings {
            let allowed = settings.settings().allow(&lease.holder, lease.driver_kind, wall);
            allowed.map_err(Refusal::Owner)?;
        }
        Ok(Checked { lease: verified, again, relayed })
    }

    /// Takes a checked opening, whose epoch the caller has made durable. The lease that was open before has
    /// ended by then ([`Book::end`]), unless it is the same.
    pub fn open(&mut self, checked: Checked, now: MonoMs) {
        let expires = expiry(checked.lease.lease(), now);
        let issued_at = checked.lease.lease().issued_at;
        self.epoch_highest = self.epoch_highest.max(checked.lease.lease().epoch);
        if let Some(current) = self.current.as_mut().filter(|_| checked.again) {
            current.opened = now;
            current.heard = None;
            current.fleet_clock.told(issued_at, now);
            // The copy in hand may be a renewal that is newer than the one that reopens.
            if checked.lease.lease().renewal >= current.lease().renewal {
                current.expires = expires;
                current.lease = checked.lease;
            }
            return;
        }
        self.current = Some(Current {
            lease: checked.lease,
            expires,
            opened: now,
            heard: None,
            receipts: 0,
            receipt_head: program::NO_RECEIPT.to_owned(),
            receipt_end: 0,
            program: program::Chain::default(),
            fleet_clock: FleetClock { showed: issued_at, at: now },
            interventions: Interventions::default(),
        });
    }

    /// Takes a renewal: the same lease, signed anew by the fleet, counting up. It must be fresh by the robot's wall
    /// clock or, should somebody have set that during the drive, by the fleet's clock as this drive knows it.
    pub fn renew(&mut self, envelope: Envelope, now: MonoMs, wall: WallMs) -> Result<u32, Refusal> {
        let verified = self.verify(envelope)?;
        let of_owner = self.settings.as_ref().map(VerifiedSettings::settings);
        if of_owner.is_some_and(|settings| !settings.is_open(wall)) {
            return Err(Refusal::Owner(NotAllowed::Hours));
        }
        let current = self.current.as_mut().ok_or(Refusal::NotCurrent)?;
        check_fresh(verified.lease(), wall).or_else(|refusal| {
            check_fresh(verified.lease(), current.fleet_clock.now(now)).map_err(|_too| refusal)
        })?;
        let (new, old) = (verified.lease(), current.lease());
        let same = new.lease_id == old.lease_id
            && new.epoch == old.epoch
            && new.holder == old.holder
            && new.relay == old.relay
            && new.driver_kind == old.driver_kind;
        if !same || now >= current.expires {
            return Err(Refusal::NotCurrent);
        }
        if new.renewal <= old.renewal {
            return Err(Refusal::OldRenewal { got: new.renewal, current: old.renewal });
        }
        let renewal = new.renewal;
        current.expires = expiry(new, now);
        current.fleet_clock.told(new.issued_at, now);
        current.lease = verified;
        Ok(renewal)
    }

    /// Takes note that a drive packet of the open lease counted.
    pub fn heard(&mut self, at: MonoMs) {
        if let Some(current) = &mut self.current {
            current.heard = current.heard.max(Some(at));
        }
    }

    /// Why the open lease must end now, if it must.
    pub fn due(&self, now: MonoMs) -> Option<&'static str> {
        let current = self.current.as_ref()?;
        if now >= current.expires {
            return Some("expired");
        }
        let gone = match current.heard {
            Some(heard) => now.since(heard) >= u64::from(DRIVER_GONE_MS),
            None => now.since(current.opened) >= FIRST_PACKET_MS,
        };
        gone.then_some("driver-gone")
    }

    /// Ends the open lease.
    pub fn end(&mut self, why: &str) -> Option<EndedLease> {
        let lease = self.current.take()?.lease().lease_id;
        let ended = EndedLease { lease, episode: lease.into(), why: why.to_owned() };
        self.last_ended = Some(ended.clone());
        Some(ended)
    }

    /// Whether a release by the relay is about the open lease.
    pub fn check_release(&self, lease_id: LeaseId) -> Result<(), Refusal> {
        let current = self.current.as_ref().ok_or(Refusal::NotCurrent)?;
        if current.lease().lease_id == lease_id { Ok(()) } else { Err(Refusal::NotCurrent) }
    }

    /// Checks a message that only the relay of the open lease may send.
    pub fn verify_relay(&self, key: &str, payload: &[u8], signature: &[u8]) -> Result<(), Refusal> {
        let lease = self.current.as_ref().ok_or(Refusal::NotCurrent)?.lease();
        let relay =
            lease.relay.ok_or(Refusal::MessageSignature("a relay (the lease names none)"))?;
        protocol::message::verify(key, payload, signature, &relay)
            .map_err(|_mismatch| Refusal::MessageSignature("the lease's relay"))
    }

    /// Checks a request to speak: signed by the relay of the open lease, about that lease, made just now and after
    /// `after`, the one before.
    pub fn check_speak(
        &self,
        key: &str,
        payload: &[u8],
        signature: &[u8],
        wall: WallMs,
        after: WallMs,
    ) -> Result<SpeakRequest, Refusal> {
        let request: SpeakRequest = self.read_request(key, payload, signature)?;
        self.check_request(request.lease_id, request.at, wall, after)?;
        if request.is_valid() {
            return Ok(request);
        }
        Err(Refusal::Request(format!("a text has 1 to {SPEAK_CHARS_MAX} characters")))
    }

    /// Checks a request to set the lamp, as [`Book::check_speak`] does.
    pub fn check_lamp(
        &self,
        key: &str,
        payload: &[u8],
        signature: &[u8],
        wall: WallMs,
        after: WallMs,
    ) -> Result<LampRequest, Refusal> {
        let request: LampRequest = self.read_request(key, payload, signature)?;
        self.check_request(request.lease_id, request.at, wall, after)?;
        if request.level <= LAMP_LEVEL_MAX {
            return Ok(request);
        }
        Err(Refusal::Request(format!("the lamp's levels are 0 to {LAMP_LEVEL_MAX}")))
    }

    /// Takes an intervention's start or end, checked as [`Book::check_speak`] does. Gives the request's time and what
    /// the episode is to be told.
    pub fn intervene(
        &mut self,
        key: &str,
        payload: &[u8],
        signature: &[u8],
        wall: WallMs,
        after: WallMs,
    ) -> Result<(WallMs, Vec<Note>), Refusal> {
        let request: InterventionRequest = self.read_request(key, payload, signature)?;
        self.check_request(request.lease_id, request.at, wall, after)?;
        if !is_cause(&request.cause) {
            return Err(Refusal::Request(format!("a cause has 1 to {CAUSE_CHARS_MAX} characters")));
        }
        let current = self.current.as_mut().ok_or(Refusal::NotCurrent)?;
        let told = current.interventions.take(request.id, request.act);
        let told = told.map_err(|slip| Refusal::Request(slip.to_string()))?;
        let by = current.lease().holder;
        let note = |(id, act)| Note { id, act, cause: request.cause.clone(), by };
        Ok((request.at, told.into_iter().map(note).collect()))
    }

    /// What the episode is told of an intervention that is open when the lease ends.
    pub fn cut_short(&self, why: &str) -> Option<Note> {
        let id = self.current.as_ref()?.interventions.open()?;
        let act = protocol::intervention::Act::End;
        Some(Note { id, act, cause: why.to_owned(), by: self.robot_did })
    }

    fn read_request<T: serde::de::DeserializeOwned>(
        &self,
        key: &str,
        payload: &[u8],
        signature: &[u8],
    ) -> Result<T, Refusal> {
        self.verify_relay(key, payload, signature)?;
        serde_json::from_slice(payload)
            .map_err(|error| Refusal::Request(format!("it cannot be read: {error}")))
    }

    fn check_request(
        &self,
        lease_id: LeaseId,
        at: WallMs,
        wall: WallMs,
        after: WallMs,
    ) -> Result<(), Refusal> {
        self.check_release(lease_id)?;
        let age_ms = signed_age_ms(at, wall);
        if age_ms.unsigned_abs() > REQUEST_AT_TOLERANCE_MS {
            return Err(Refusal::OldRequest(age_ms / 1_000));
        }
        if at > after { Ok(()) } else { Err(Refusal::Repeated) }
    }

    /// Takes the driver's receipt of packets: it must be signed by the holder and continue the chain. What it covers
    /// is checked when the episode is verified. True when it is new; false for one that was taken before: after a change
    /// of link the driver can't know which arrived, and sends the last ones again.
    pub fn receipt(&mut self, envelope: &Envelope) -> Result<bool, Refusal> {
        let current = self.current.as_mut().ok_or(Refusal::NotCurrent)?;
        let lease = current.lease();
        let refuse = |what: &str| Err(Refusal::Receipt(what.to_owned()));
        let Ok(body) = envelope.verify_bytes(payload_type::RECEIPT, &lease.holder) else {
            return refuse("it is not signed by the lease's holder");
        };
        let receipt: Receipt = serde_json::from_slice(&body)
            .map_err(|error| Refusal::Receipt(format!("it cannot be read: {error}")))?;
        if receipt.lease_id != lease.lease_id || receipt.epoch != lease.epoch {
            return refuse("it is about another lease");
        }
        if receipt.index < current.receipts {
            return Ok(false);
        }
        if receipt.index != current.receipts || receipt.previous != current.receipt_head {
            return refuse("it does not follow the receipt before");
        }
        let digits = receipt.digests.len();
        let hex = receipt.digests.bytes().all(|b| b.is_ascii_hexdigit());
        if !hex || !digits.is_multiple_of(16) || digits / 16 > RECEIPT_PACKETS_MAX {
            return refuse("its digests have a wrong form");
        }
        if u64::from(receipt.first_seq) < current.receipt_end {
            return refuse("it covers packets of an earlier receipt");
        }
        if digits > 0 {
            let count = u64::try_from(digits / 16).unwrap_or(u64::MAX);
            current.receipt_end = u64::from(receipt.first_seq).saturating_add(count);
        }
        current.receipts = current.receipts.saturating_add(1);
        current.receipt_head = hex::encode(Sha256::digest(&body));
        Ok(true)
    }

    /// Takes a program's receipt of commands, with its relay's account of the packets. True when it is new; false when
    /// it is the last one once more, whose answer got lost.
    pub fn program_receipt(&mut self, relayed: &RelayedReceipt) -> Result<bool, Refusal> {
        let current = self.current.as_mut().ok_or(Refusal::NotCurrent)?;
        let taken = current.program.take(relayed, current.lease.lease());
        taken.map(|taken| taken.is_some()).map_err(Refusal::Receipt)
    }

    /// Takes an emergency stop or its clear over Zenoh: signed by the fleet, the holder or the relay.
    ///
    /// A stop is obeyed however wrong the clocks are, unless it is a copy: not newer than the one before by the same
    /// signer. A clear must have been asked for just now and name the open lease; whether it takes effect is for the
    /// safety core to say.
    pub fn take_estop(
        &mut self,
        key: &str,
        payload: &[u8],
        attachment: &[u8],
        wall: WallMs,
    ) -> Result<EstopRequest, Refusal> {
        let unsigned = Refusal::MessageSignature("the fleet, the driver or its relay");
        let (signer, signature) = attachment.split_first_chunk::<32>().ok_or(unsigned.clone())?;
        let signer = Did::from_bytes(signer).map_err(|_no_key| unsigned.clone())?;
        if !self.may_stop(&signer)
            || protocol::message::verify(key, payload, signature, &signer).is_err()
        {
            return Err(unsigned);
        }
        let request: EstopRequest = serde_json::from_slice(payload)
            .map_err(|error| Refusal::Request(format!("it cannot be read: {error}")))?;
        if request.stop {
            self.note_stop(signer, request.at)?;
            return Ok(request);
        }
        let age_ms = signed_age_ms(request.at, wall);
        if age_ms.unsigned_abs() > REQUEST_AT_TOLERANCE_MS {
            return Err(Refusal::OldRequest(age_ms / 1_000));
        }
        let current = self.current.as_ref().map(|current| current.lease().lease_id);
        if current.is_none() || request.lease_id != current {
            return Err(Refusal::NotCurrent);
        }
        Ok(request)
    }

    fn may_stop(&self, who: &Did) -> bool {
        let lease = self.current.as_ref().map(Current::lease);
        *who == self.fleet
            || lease.is_some_and(|lease| *who == lease.holder || Some(*who) == lease.relay)
    }

    fn note_stop(&mut self, signer: Did, at: WallMs) -> Result<(), Refusal> {
        if self.stops.iter().any(|(did, newest)| *did == signer && at <= *newest) {
            return Err(Refusal::Repeated);
        }
        // Those who may stop no more are forgotten: at most three are left.
        let mut stops = std::mem::take(&mut self.stops);
        stops.retain(|(did, _)| *did != signer && self.may_stop(did));
        stops.push((signer, at));
        self.stops = stops;
        Ok(())
    }
}

/// Whether a lease was signed recently, by a clock that should agree with the fleet's.
fn check_fresh(lease: &Lease, wall: WallMs) -> Result<(), Refusal> {
    let age_ms = signed_age_ms(lease.issued_at, wall);
    let oldest = i64::from(lease.ttl_ms.min(TTL_MS_MAX)).saturating_add(tolerance());
    if age_ms > oldest || age_ms < -tolerance() {
        return Err(Refusal::Outdated(age_ms / 1_000));
    }
    Ok(())
}

fn tolerance() -> i64 {
    i64::try_from(CLOCK_TOLERANCE_MS).unwrap_or(0)
}

/// Milliseconds from `at` to `wall`; negative when `at` is in the future.
fn signed_age_ms(at: WallMs, wall: WallMs) -> i64 {
    let forward = i64::try_from(wall.0.saturating_sub(at.0)).unwrap_or(i64::MAX);
    let backward = i64::try_from(at.0.saturating_sub(wall.0)).unwrap_or(i64::MAX);
    forward.saturating_sub(backward)
}

fn expiry(lease: &Lease, now: MonoMs) -> MonoMs {
    now.plus(u64::from(lease.ttl_ms.min(TTL_MS_MAX)))
}

#[cfg(test)]
mod tests;
