//! Who drove: the driver's receipts against the drive packets that the robot recorded. ([`crate::commands`] is about
//! drivers behind a relay.)
//!
//! The driver signs, every few seconds, the digests of the packets that it sent, each receipt naming the hash of
//! the one before. A recorded packet that a receipt covers must have the digest that the receipt states. Packets
//! after the last receipt are not covered; they are counted, not refused: a link that broke leaves such a tail.

use crate::commands::{ProgramLog, Recorded, Tally};
use crate::manifest::ReceiptSummary;
use protocol::drive::DriveCommand;
use protocol::dsse::{Envelope, payload_type};
use protocol::keys::Did;
use protocol::lease::Lease;
use protocol::program::{NO_RECEIPT, RelayedReceipt, Scale};
use protocol::session::{PACKET_DIGEST_LEN, RECEIPT_PACKETS_MAX, Receipt, packet_digest};
use sha2::{Digest, Sha256};

/// Collects receipts and packets of one lease.
pub(crate) struct ReceiptLog {
    lease: Lease,
    /// Measures of a program's full command.
    scale: Option<Scale>,
    program: ProgramLog,
    /// Digests in order of `seq`; receipts never overlap.
    covered: Vec<(u32, Vec<[u8; PACKET_DIGEST_LEN]>)>,
    recorded: Vec<Recorded>,
    head: Option<String>,
    receipts: u32,
    signed: u64,
    problem: Option<String>,
}

/// What came of the check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) summary: ReceiptSummary,
    /// Recorded packets after the last that any receipt covers.
    pub(crate) tail: u64,
    /// Recorded packets with the deadman held.
    pub(crate) moving: u64,
    /// Those of them that a receipt covers.
    pub(crate) moving_covered: u64,
    /// Those of these whose picture the driver had, by its own word.
    pub(crate) pictures_signed: u64,
    /// How much longer the slowest command took to the robot than the quickest.
    pub(crate) delay_spread_ms: Option<u64>,
    /// The first thing that is wrong.
    pub(crate) problem: Option<String>,
}

impl ReceiptLog {
    pub(crate) fn new(lease: Lease, scale: Option<Scale>) -> Self {
        Self {
            lease,
            scale,
            program: ProgramLog::default(),
            covered: Vec::new(),
            recorded: Vec::new(),
            head: None,
            receipts: 0,
            signed: 0,
            problem: None,
        }
    }

    fn problem(&mut self, what: String) {
        self.problem.get_or_insert(what);
    }

    /// A packet as it was recorded. Packets that are malformed or of another epoch moved nothing and are not
    /// the driver's word under this lease.
    pub(crate) fn packet(&mut self, packet: &[u8], at_ms: u64) {
        if let Ok(command) = DriveCommand::decode(packet)
            && command.epoch == self.lease.epoch
        {
            self.recorded.push(Recorded { command, digest: packet_digest(packet), at_ms });
        }
    }

    /// A receipt as it was recorded.
    pub(crate) fn receipt(&mut self, json: &str) {
        if let Ok(relayed) = serde_json::from_str::<RelayedReceipt>(json) {
            let number = self.program.chain.receipts;
            if let Err(what) = self.program.take(&relayed, &self.lease) {
                self.problem(format!("receipt {number}: {what}"));
            }
            return;
        }
        let number = self.receipts;
        self.receipts = self.receipts.saturating_add(1);
        if let Err(what) = self.take_receipt(number, json) {
            self.problem(format!("receipt {number}: {what}"));
        }
    }

    fn take_receipt(&mut self, number: u32, json: &str) -> Result<(), String> {
        let envelope: Envelope =
            serde_json::from_str(json).map_err(|error| format!("not an envelope: {error}"))?;
        let body = verified(&envelope, &self.lease.holder)?;
        let receipt: Receipt =
            serde_json::from_slice(&body).map_err(|error| format!("not a receipt: {error}"))?;
        if receipt.lease_id != self.lease.lease_id || receipt.epoch != self.lease.epoch {
            return Err("it is about another lease".into());
        }
        if receipt.index != number {
            return Err(format!("it is number {} of its chain", receipt.index));
        }
        if receipt.previous != self.head.as_deref().unwrap_or(NO_RECEIPT) {
            return Err("it does not name the receipt before".into());
        }
        let bytes =
            hex::decode(&receipt.digests).map_err(|_not_hex| "its digests are not hexadecimal")?;
        let (digests, rest) = bytes.as_chunks::<PACKET_DIGEST_LEN>();
        if !rest.is_empty() || digests.len() > RECEIPT_PACKETS_MAX {
            return Err("its digests have a wrong length".into());
        }
        let end = self.covered.last().map_or(0, |(first, digests)| end_of(*first, digests));
        if u64::from(receipt.first_seq) < end {
            return Err("it covers packets that an earlier receipt covers".into());
        }
        self.head = Some(hex::encode(Sha256::digest(&body)));
        self.signed += u64::try_from(digests.len()).unwrap_or(u64::MAX);
        if !digests.is_empty() {
            self.covered.push((receipt.first_seq, digests.to_vec()));
        }
        Ok(())
    }

    fn digest_of(&self, seq: u32) -> Option<&[u8; PACKET_DIGEST_LEN]> {
        let after = self.covered.partition_point(|(first, _)| *first <= seq);
        let (first, digests) = self.covered.get(after.checked_sub(1)?)?;
        digests.get(usize::try_from(seq - first).ok()?)
    }

    /// Compares packets and receipts.
    pub(crate) fn check(mut self) -> Checked {
        if self.receipts > 0 && self.program.chain.receipts > 0 {
            self.problem("receipts of packets and of commands are mixed".into());
        }
        let by_relay = self.program.chain.receipts > 0;
        let tally = if by_relay {
            self.program.check(&self.recorded, self.scale)
        } else {
            self.check_packets()
        };
        if let Some(problem) = tally.problem {
            self.problem(problem);
        }
        let moving = self.recorded.iter().filter(|packet| packet.command.deadman).count();
        let chain = self.program.chain.clone();
        let (receipts, head_sha256) =
            if by_relay { (chain.receipts, Some(chain.head)) } else { (self.receipts, self.head) };
        let summary = ReceiptSummary {
            receipts: u64::from(receipts),
            packets_signed: self.signed,
            commands_signed: self.program.signed(),
            packets_recorded: u64::try_from(self.recorded.len()).unwrap_or(u64::MAX),
            packets_covered: tally.covered,
            head_sha256,
        };
        Checked {
            summary,
            tail: tally.tail,
            moving: u64::try_from(moving).unwrap_or(u64::MAX),
            moving_covered: tally.moving_covered,
            pictures_signed: tally.pictures_signed,
            delay_spread_ms: tally.delay_spread_ms,
            problem: self.problem,
        }
    }

    fn check_packets(&self) -> Tally {
        let end = self.covered.last().map_or(0, |(first, digests)| end_of(*first, digests));
        let mut tally = Tally::default();
        for packet in &self.recorded {
            let seq = packet.command.seq;
            match self.digest_of(seq) {
                Some(signed) if *signed == packet.digest => {
                    tally.covered += 1;
                    // A signed packet names the picture as well.
                    let moves = u64::from(packet.command.deadman);
                    tally.moving_covered += moves;
                    tally.pictures_signed += moves;
                }
                Some(_other) => {
                    tally.problem.get_or_insert(format!(
                        "the drive packet with seq {seq} is not the one that the driver signed"
                    ));
                }
                None if u64::from(seq) >= end => tally.tail += 1,
                None => {}
            }
        }
        tally
    }
}

fn end_of(first: u32, digests: &[[u8; PACKET_DIGEST_LEN]]) -> u64 {
    u64::from(first) + u64::try_from(digests.len()).unwrap_or(u64::MAX)
}

fn verified(envelope: &Envelope, signer: &Did) -> Result<Vec<u8>, String> {
    envelope.verify_bytes(payload_type::RECEIPT, signer).map_err(|error| error.to_string())
}
