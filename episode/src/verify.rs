//! Verifying an episode offline, with SHA-256, Ed25519 and JSON.
//!
//! Order matters: the manifest's signature first, then the digests that it states, and only then is anything
//! parsed that the digests cover.

use crate::contents::Contents;
use crate::digest;
use crate::error::EpisodeError;
use crate::layout;
use crate::manifest::{self, FileEntry, Manifest};
use crate::report::{
    Check, EpisodeFacts, Failure, FileFacts, Outcome, Proof, ProofLevel, ReceiptFacts, Report,
};
use protocol::api::IngestReceipt;
use protocol::dsse::{Envelope, payload_type};
use protocol::keys::Did;
use protocol::lease::{Lease, VerifiedLease};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Whose signatures to expect.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// The robot's key, as the fleet knows it. `None`: the one that the manifest names, which shows that the
    /// episode is whole, not whose it is.
    pub robot_did: Option<Did>,
    /// The fleet's key. `None`: the signature of the lease is not checked.
    pub fleet_did: Option<Did>,
}

/// Verifies the sealed episode in `dir`. Never fails otherwise than in the report.
pub fn verify(dir: &Path, options: &Options) -> Report {
    let mut report = Report::default();
    if let Err(failure) = check_all(dir, options, &mut report) {
        report.checks.push(Check {
            name: failure.check,
            outcome: Outcome::Failed,
            detail: failure.to_string(),
        });
        report.failure = Some(failure);
    }
    report.verified = report.failure.is_none();
    report
}

fn check_all(dir: &Path, options: &Options, report: &mut Report) -> Result<(), Failure> {
    let (envelope, manifest) = check_manifest(dir, options, report)?;
    check_lease(&manifest, options, report)?;
    let names: BTreeSet<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
    check_folder(dir, &names, report)?;
    check_files(dir, &manifest.files, report)?;
    check_contents(dir, &manifest, report)?;
    check_ingest_receipt(dir, &manifest, &envelope, options, report)?;
    report.proof = Some(proof(&manifest, report.receipts.as_ref()));
    Ok(())
}

fn passed(report: &mut Report, name: &'static str, detail: impl Into<String>) {
    report.checks.push(Check { name, outcome: Outcome::Passed, detail: detail.into() });
}

fn not_checked(report: &mut Report, name: &'static str, detail: impl Into<String>) {
    report.checks.push(Check { name, outcome: Outcome::NotChecked, detail: detail.into() });
}

/// The causes of an error in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}

fn check_manifest(
    dir: &Path,
    options: &Options,
    report: &mut Report,
) -> Result<(Envelope, Manifest), Failure> {
    let path = dir.join(layout::MANIFEST);
    let fail = |detail: String| Failure::new("manifest", detail).in_file(layout::MANIFEST);
    let metadata = fs::symlink_metadata(&path).map_err(|error| {
        let open = dir.join(layout::OPEN).exists();
        let hint = if open { " (the episode is not sealed yet)" } else { "" };
        fail(format!("can't be read: {error}{hint}"))
    })?;
    if !metadata.is_file() || metadata.len() > layout::MANIFEST_LEN_MAX {
        return Err(fail("is not a file of at most 16 MiB".into()));
    }
    let bytes = fs::read(&path).map_err(|error| fail(format!("can't be read: {error}")))?;
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let fail_at =
        |check, detail: String| Failure::new(check, detail).in_file(layout::MANIFEST).at(0, size);
    let envelope: Envelope = serde_json::from_slice(&bytes)
        .map_err(|error| fail_at("manifest", format!("is not a DSSE envelope: {error}")))?;
    // One form only: what is signed is the payload, and no byte around it may differ either.
    if serde_json::to_vec(&envelope).ok().as_deref() != Some(&bytes) {
        return Err(fail_at("manifest", "is not in its canonical form".into()));
    }
    let (robot, from) = match options.robot_did {
        Some(robot) => (robot, "given"),
        None => {
            let robot = manifest::signer_unverified(&envelope)
                .map_err(|error| fail_at("manifest", chain(&error)))?;
            (robot, "manifest")
        }
    };
    if !matches!(&envelope.signatures[..], [one] if one.keyid == robot.to_string()) {
        let detail = format!("does not have one signature, that of {robot}");
        return Err(fail_at("robot-signature", detail));
    }
    let manifest = manifest::open(&envelope, &robot).map_err(|error| {
        let statement = matches!(error, manifest::ManifestError::Statement(_));
        fail_at(if statement { "statement" } else { "robot-signature" }, chain(&error))
    })?;
    report.manifest_sha256 = manifest::sha256(&envelope).ok();
    passed(report, "robot-signature", format!("{robot} ({from})"));
    passed(report, "statement", format!("in-toto statement of {} files", manifest.files.len()));
    report.episode = Some(facts(&manifest, robot, from));
    report.files = manifest
        .files
        .iter()
        .map(|file| FileFacts {
            name: file.name.clone(),
            size: file.size,
            sha256: file.sha256.clone(),
            channels: file.channels.clone(),
        })
        .collect();
    Ok((envelope, manifest))
}

fn facts(manifest: &Manifest, robot_did: Did, robot_did_from: &'static str) -> EpisodeFacts {
    EpisodeFacts {
        id: manifest.episode,
        robot: manifest.robot.clone(),
        robot_did,
        robot_did_from,
        driver: manifest.driver.clone(),
        driver_signed: !manifest.opening.driver_signature.is_empty(),
        mission: manifest.mission.clone(),
        epoch: manifest.epoch,
        started_at: manifest.started_at,
        ended_at: manifest.ended_at,
        ended_why: manifest.ended_why.clone(),
        previous_manifest_sha256: manifest.previous_manifest_sha256.clone(),
        loss: manifest.loss.clone(),
    }
}

fn check_lease(manifest: &Manifest, options: &Options, report: &mut Report) -> Result<(), Failure> {
    let fail = |check, detail: String| Failure::new(check, detail).in_file(layout::MANIFEST);
    match &options.fleet_did {
        Some(fleet) => {
            VerifiedLease::verify(manifest.lease.clone(), fleet)
                .map_err(|error| fail("lease", format!("the lease: {}", chain(&error))))?;
            passed(report, "lease", format!("signed by the fleet {fleet}"));
        }
        None => not_checked(report, "lease", "the fleet's key was not given"),
    }
    let body = manifest
        .lease
        .body_unverified()
        .map_err(|error| fail("lease", format!("the lease: {error}")))?;
    let driver = &manifest.driver;
    match (manifest.opening.driver_signature.as_str(), &driver.relay) {
        ("", Some(relay)) => {
            not_checked(report, "driver-signature", format!("attested by the relay {relay} alone"));
        }
        ("", None) => {
            return Err(fail("driver-signature", "nobody attests who drove".into()));
        }
        (signature, _) => {
            let signed = manifest.opening.signed_bytes(&Sha256::digest(&body).into());
            hex::decode(signature)
                .ok()
                .filter(|signature| driver.did.verify(&signed, signature).is_ok())
                .ok_or_else(|| {
                    let detail = format!("{} did not sign the opening of the session", driver.did);
                    fail("driver-signature", detail)
                })?;
            passed(report, "driver-signature", format!("{} opened the session", driver.did));
        }
    }
    Ok(())
}

/// Who says who drove.
fn proof(manifest: &Manifest, receipts: Option<&ReceiptFacts>) -> Proof {
    let did = manifest.driver.did;
    let opened = !manifest.opening.driver_signature.is_empty();
    match receipts {
        Some(receipts) if receipts.moving_covered > 0 => Proof {
            level: ProofLevel::Commands,
            did: Some(did),
            words: format!(
                "{did} {}signed what moved the robot: {} of {} drive packets",
                if opened { "opened the drive and " } else { "" },
                receipts.moving_covered,
                receipts.moving_recorded,
            ),
        },
        Some(_) | None if opened => Proof {
            level: ProofLevel::Opening,
            did: Some(did),
            words: format!("{did} opened the drive; no signature of the driver covers a command"),
        },
        Some(_) | None => Proof {
            level: ProofLevel::Relay,
            did: None,
            words: match &manifest.driver.relay {
                Some(relay) => {
                    format!("nothing but the word of the relay {relay} that it was {did}")
                }
                None => format!("nothing shows that it was {did}"),
            },
        },
    }
}

fn check_folder(dir: &Path, names: &BTreeSet<&str>, report: &mut Report) -> Result<(), Failure> {
    let fail = |detail: String| Failure::new("folder", detail);
    let entries = fs::read_dir(dir).map_err(|error| fail(format!("can't be read: {error}")))?;
    let mut seen = BTreeSet::new();
    for entry in entries {
        let entry = entry.map_err(|error| fail(format!("can't be read: {error}")))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Of the entry itself: a symbolic link is not followed.
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !is_file {
            return Err(fail("is not a regular file".into()).in_file(&name));
        }
        let known = names.contains(name.as_str())
            || name == layout::MANIFEST
            || name == layout::INGEST_RECEIPT;
        if !known {
            return Err(fail("is not named by the manifest".into()).in_file(&name));
        }
        seen.insert(name);
    }
    if let Some(missing) = names.iter().find(|name| !seen.contains(**name)) {
        return Err(fail("is missing".into()).in_file(missing));
    }
    passed(report, "folder", format!("{} files, none missing, none besides", names.len()));
    Ok(())
}

fn check_files(dir: &Path, files: &[FileEntry], report: &mut Report) -> Result<(), Failure> {
    let mut total = 0;
    for file in files {
        let path = dir.join(&file.name);
        let fail = |detail: String| Failure::new("files", detail).in_file(&file.name);
        let unreadable = |error: EpisodeError| fail(format!("can't be read: {}", chain(&error)));
        let (size, sha256) = digest::whole_file(&path).map_err(unreadable)?;
        if size != file.size {
            let detail = format!("has {size} bytes, the manifest says {}", file.size);
            return Err(locate(&path, file, size, detail));
        }
        if sha256 != file.sha256 {
            return Err(locate(
                &path,
                file,
                size,
                "does not have the bytes that were sealed".into(),
            ));
        }
        total += size;
    }
    passed(report, "files", format!("SHA-256 of {total} bytes"));
    Ok(())
}

fn locate(path: &Path, file: &FileEntry, size: u64, detail: String) -> Failure {
    let failure = Failure::new("files", detail).in_file(&file.name);
    match digest::first_bad_block(path, &file.blocks) {
        Ok(Some(index)) => {
            let start = file.block_size.saturating_mul(u64::try_from(index).unwrap_or(u64::MAX));
            let end = start.saturating_add(file.block_size).min(size.max(file.size));
            failure.at(start, end)
        }
        // Every block is right and the whole is not: the signer contradicts itself.
        Ok(None) | Err(_) => failure,
    }
}

fn check_contents(dir: &Path, manifest: &Manifest, report: &mut Report) -> Result<(), Failure> {
    let lease: Lease = manifest
        .lease_unverified()
        .map_err(|error| Failure::new("contents", chain(&error)).in_file(layout::MANIFEST))?;
    let mut contents = Contents::new(lease, &manifest.policy);
    for file in &manifest.files {
        let fail = |detail: String| Failure::new("contents", detail).in_file(&file.name);
        let mut channels =
            contents.read(&dir.join(&file.name)).map_err(|error| fail(chain(&error)))?;
        for (channel, stated) in channels.iter_mut().zip(&file.channels) {
            // Drops after a channel's last message leave no trace in the file: the manifest may state more.
            channel.dropped = channel.dropped.max(stated.dropped);
        }
        if channels != file.channels {
            return Err(fail("does not hold the messages that the manifest counts".into()));
        }
    }
    let (summary, receipts) =
        contents.finish(manifest.files.iter().flat_map(|file| &file.channels));
    passed(report, "contents", format!("{} messages, as counted", summary.messages));
    report.summary = Some(summary);
    let fail = |detail: String| Failure::new("receipts", detail).in_file(layout::TELEMETRY);
    report.receipts = Some(ReceiptFacts {
        summary: receipts.summary.clone(),
        uncovered_tail: receipts.tail,
        moving_recorded: receipts.moving,
        moving_covered: receipts.moving_covered,
        pictures_signed: receipts.pictures_signed,
        delay_spread_ms: receipts.delay_spread_ms,
    });
    if let Some(problem) = receipts.problem {
        return Err(fail(problem));
    }
    if receipts.summary != manifest.receipts {
        return Err(fail("the receipts are not those that the manifest counts".into()));
    }
    let summary = &receipts.summary;
    let detail = if summary.commands_signed > 0 {
        format!(
            "{} receipts of {} commands cover {} of {} drive packets that move, {} packets after the last",
            summary.receipts,
            summary.commands_signed,
            receipts.moving_covered,
            receipts.moving,
            receipts.tail,
        )
    } else {
        format!(
            "{} receipts cover {} of {} drive packets, {} after the last",
            summary.receipts, summary.packets_covered, summary.packets_recorded, receipts.tail,
        )
    };
    if receipts.summary.receipts == 0 {
        not_checked(report, "receipts", "the driver signed none");
    } else {
        passed(report, "receipts", detail);
    }
    Ok(())
}

fn check_ingest_receipt(
    dir: &Path,
    manifest: &Manifest,
    envelope: &Envelope,
    options: &Options,
    report: &mut Report,
) -> Result<(), Failure> {
    let path = dir.join(layout::INGEST_RECEIPT);
    let fail =
        |detail: String| Failure::new("ingest-receipt", detail).in_file(layout::INGEST_RECEIPT);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fail(format!("can't be read: {error}"))),
    };
    let receipt: Envelope = serde_json::from_slice(&bytes)
        .map_err(|error| fail(format!("is not a DSSE envelope: {error}")))?;
    let signer = receipt.signatures.first().and_then(|signature| signature.keyid.parse().ok());
    let fleet: Did =
        options.fleet_did.or(signer).ok_or_else(|| fail("does not say who signed it".into()))?;
    let signed: IngestReceipt =
        receipt.verify(payload_type::INGEST, &fleet).map_err(|error| fail(chain(&error)))?;
    if signed.episode != manifest.episode
        || manifest::sha256(envelope).ok().as_deref() != Some(&signed.manifest_sha256)
    {
        return Err(fail("is for another episode".into()));
    }
    let given = if options.fleet_did.is_some() { "given" } else { "as it says itself" };
    passed(report, "ingest-receipt", format!("accepted by the fleet {fleet} ({given})"));
    Ok(())
}
