//! What the driver signs: which commands it sent under its lease, in a chain of receipts. Pure.

use protocol::dsse::{Envelope, payload_type};
use protocol::ids::LeaseId;
use protocol::keys::PrivateKey;
use protocol::program::{COMMANDS_MAX, NO_RECEIPT, ProgramCommand, ProgramReceipt, head_of, ppm};
use protocol::units::WallMs;
use serde_json::Value;
use std::collections::{BTreeSet, VecDeque};

/// Commands that may wait for a receipt. The gateway takes no more either.
const UNSIGNED_MAX: usize = 10_000;

/// The receipts that wait for the gateway can't be sent, and too many commands wait for theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// Both parts of a command of `/control`, in millionths; none for what is no command, which the gateway refuses.
pub(crate) fn parts(body: &[u8]) -> Option<(i32, i32)> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let part = |name: &str| ppm(body.get("command")?.get(name)?.as_f64()?);
    Some((part("linear")?, part("angular")?))
}

/// The driver's account of what it sent.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    drive: Option<Drive>,
    seen_ms: Option<u32>,
}

#[derive(Debug)]
struct Drive {
    lease_id: LeaseId,
    epoch: u64,
    command_last: u32,
    unsigned: VecDeque<ProgramCommand>,
    /// Numbers of commands whose requests are on their way. They are signed when they are answered: before, the gateway
    /// may not have them, and could not say which packets carry them out.
    on_their_way: BTreeSet<u32>,
    /// Signed, and not yet with the robot: in their order, one after the other.
    outbox: VecDeque<Envelope>,
    receipts: u32,
    head: String,
    /// The last command may still be repeated: one more receipt covers that.
    repeating: bool,
    /// The robot takes none of this lease any more.
    refused: bool,
}

impl Ledger {
    /// The lease under which is driven.
    pub(crate) fn lease(&self) -> Option<LeaseId> {
        self.drive.as_ref().map(|drive| drive.lease_id)
    }

    /// A lease was opened; the one before is over.
    pub(crate) fn opened(&mut self, lease_id: LeaseId, epoch: u64) {
        self.drive = Some(Drive {
            lease_id,
            epoch,
            command_last: 0,
            unsigned: VecDeque::new(),
            on_their_way: BTreeSet::new(),
            outbox: VecDeque::new(),
            receipts: 0,
            head: NO_RECEIPT.to_owned(),
            repeating: false,
            refused: false,
        });
    }

    /// A picture with this capture time goes to the client.
    pub(crate) fn saw(&mut self, capture_ms: u32) {
        // Answers may overtake each other: the stamps wrap, and a robot that started anew begins at 0.
        self.seen_ms = Some(capture_ms);
    }

    /// A command is about to be sent. Its number; none without a lease.
    pub(crate) fn command(
        &mut self,
        (linear_ppm, angular_ppm): (i32, i32),
        at: WallMs,
    ) -> Result<Option<u32>, Full> {
        let seen_ms = self.seen_ms;
        let Some(drive) = &mut self.drive else { return Ok(None) };
        if drive.unsigned.len() >= UNSIGNED_MAX {
            return Err(Full);
        }
        drive.command_last = drive.command_last.saturating_add(1);
        let n = drive.command_last;
        if !drive.refused {
            drive.unsigned.push_back(ProgramCommand { n, at, linear_ppm, angular_ppm, seen_ms });
            drive.on_their_way.insert(n);
        }
        Ok(Some(n))
    }

    /// The request with this command was answered, or was given up.
    pub(crate) fn answered(&mut self, lease_id: LeaseId, n: u32) {
        if let Some(drive) = self.drive.as_mut().filter(|drive| drive.lease_id == lease_id) {
            drive.on_their_way.remove(&n);
        }
    }

    /// The next receipt to send, if one is due. `first`: nothing was sent just before, so that one without commands says
    /// that the last one was repeated.
    pub(crate) fn due(&mut self, key: &PrivateKey, first: bool) -> Option<(LeaseId, Envelope)> {
        let drive = self.drive.as_mut().filter(|drive| !drive.refused)?;
        let repeats = first && drive.repeating && drive.unsigned.is_empty();
        let wanted = drive.answered() > 0 || repeats;
        if drive.outbox.is_empty() && wanted {
            drive.sign(key);
        }
        drive.outbox.front().map(|envelope| (drive.lease_id, envelope.clone()))
    }

    /// The receipt that was due is with the robot.
    pub(crate) fn delivered(&mut self, lease_id: LeaseId) {
        if let Some(drive) = self.drive.as_mut().filter(|drive| drive.lease_id == lease_id) {
            drive.outbox.pop_front();
        }
    }

    /// The receipt that was due was refused: what follows it would be as well.
    pub(crate) fn refused(&mut self, lease_id: LeaseId) {
        if let Some(drive) = self.drive.as_mut().filter(|drive| drive.lease_id == lease_id) {
            drive.refused = true;
            drive.outbox.clear();
            drive.unsigned.clear();
            drive.on_their_way.clear();
        }
    }
}

impl Drive {
    /// How many of the commands that wait have all been answered, from the oldest on.
    fn answered(&self) -> usize {
        let first = self.on_their_way.first();
        first.map_or(self.unsigned.len(), |first| {
            self.unsigned.partition_point(|command| command.n < *first)
        })
    }

    fn sign(&mut self, key: &PrivateKey) {
        let count = self.answered().min(COMMANDS_MAX);
        let commands: Vec<_> = self.unsigned.drain(..count).collect();
        self.repeating = !commands.is_empty();
        let receipt = ProgramReceipt {
            lease_id: self.lease_id,
            epoch: self.epoch,
            index: self.receipts,
            previous: self.head.clone(),
            commands,
        };
        // Plain integers and texts: they always have a JSON form.
        let body = serde_json::to_vec(&receipt).unwrap_or_default();
        self.receipts = self.receipts.saturating_add(1);
        self.head = head_of(&body);
        self.outbox.push_back(Envelope::sign_bytes(payload_type::COMMANDS, &body, key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::lease::{DriverKind, Lease, LeaseLimits};
    use protocol::program::{Chain, RelayedReceipt};

    fn key() -> PrivateKey {
        PrivateKey::from_seed(&[7; 32])
    }

    fn lease() -> Lease {
        Lease {
            v: 1,
            lease_id: LeaseId::new(uuid::Uuid::from_u128(3)),
            robot: "rover-1".parse().unwrap(),
            robot_did: key().did(),
            holder: key().did(),
            relay: Some(key().did()),
            driver_kind: DriverKind::Agent,
            epoch: 5,
            renewal: 0,
            issued_at: WallMs(1),
            ttl_ms: 30_000,
            limits: LeaseLimits { speed_mps_max: 1.0 },
            mission: None,
        }
    }

    #[test]
    fn a_body_is_read_as_the_gateway_reads_it() {
        assert_eq!(
            parts(br#"{"command":{"linear":0.5,"angular":-1}}"#),
            Some((500_000, -1_000_000))
        );
        for bad in [
            "",
            "{}",
            "[]",
            "{\"command\":{\"linear\":0.5}}",
            "{\"command\":{\"linear\":\"1\",\"angular\":0}}",
            "{\"command\":{\"linear\":1.1,\"angular\":0}}",
        ] {
            assert_eq!(parts(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn commands_are_signed_in_a_chain_that_the_robot_takes() {
        let (mut ledger, mut chain) = (Ledger::default(), Chain::default());
        assert_eq!(ledger.command((1, 1), WallMs(1)), Ok(None), "no lease yet");
        ledger.opened(lease().lease_id, 5);
        assert!(ledger.due(&key(), true).is_none(), "nothing was sent");
        let mut take = |ledger: &mut Ledger, first| {
            let (id, receipt) = ledger.due(&key(), first)?;
            let before = chain.clone();
            let fake = |count: usize| RelayedReceipt {
                receipt: receipt.clone(),
                first_seqs: vec![0; count],
                through_seq: chain.through_seq,
            };
            let counts = (0..=COMMANDS_MAX).rev();
            let taken = counts.into_iter().find_map(|count| {
                let mut next = before.clone();
                let taken = next.take(&fake(count), &lease()).ok()??;
                Some((next, taken))
            });
            let (next, taken) = taken.unwrap();
            chain = next;
            ledger.delivered(id);
            Some(taken.commands)
        };
        ledger.saw(77);
        for n in 1..=3 {
            assert_eq!(ledger.command((n, 0), WallMs(9)), Ok(Some(n.unsigned_abs())));
        }
        assert_eq!(take(&mut ledger, true), None, "the gateway may not have them yet");
        // Answers may overtake each other.
        ledger.answered(lease().lease_id, 2);
        assert_eq!(take(&mut ledger, true), None);
        ledger.answered(lease().lease_id, 1);
        ledger.answered(lease().lease_id, 3);
        let commands = take(&mut ledger, true).unwrap();
        assert_eq!(
            commands.iter().map(|c| (c.n, c.seen_ms)).collect::<Vec<_>>(),
            [(1, Some(77)), (2, Some(77)), (3, Some(77))]
        );
        assert_eq!(take(&mut ledger, false), None, "not at once");
        assert_eq!(take(&mut ledger, true), Some(vec![]), "the last one was repeated");
        assert_eq!(take(&mut ledger, true), None, "once");
        for _ in 0..=COMMANDS_MAX {
            let n = ledger.command((0, 0), WallMs(10)).unwrap().unwrap();
            ledger.answered(lease().lease_id, n);
        }
        assert_eq!(take(&mut ledger, true).map(|c| c.len()), Some(COMMANDS_MAX));
        assert_eq!(take(&mut ledger, false).map(|c| c.len()), Some(1));
    }

    #[test]
    fn what_cannot_be_delivered_is_sent_again_and_bounded() {
        let mut ledger = Ledger::default();
        ledger.opened(lease().lease_id, 5);
        ledger.command((1, 0), WallMs(1)).unwrap();
        ledger.answered(lease().lease_id, 1);
        let (id, first) = ledger.due(&key(), true).unwrap();
        ledger.command((2, 0), WallMs(1)).unwrap();
        assert_eq!(ledger.due(&key(), true), Some((id, first)), "the same one");
        for _ in 1..UNSIGNED_MAX {
            ledger.command((2, 0), WallMs(1)).unwrap();
        }
        assert_eq!(ledger.command((2, 0), WallMs(1)), Err(Full));
        ledger.refused(id);
        assert!(ledger.due(&key(), true).is_none());
        assert!(ledger.command((2, 0), WallMs(1)).unwrap().is_some(), "it drives on, unsigned");
        ledger.opened(LeaseId::new(uuid::Uuid::from_u128(4)), 6);
        assert_eq!(ledger.command((2, 0), WallMs(1)), Ok(Some(1)));
    }
}
