//! Key, enrolment, and whether an agent runs.

use super::report::Check;
use crate::clock;
use crate::home::{Enrolment, Home};
use crate::status::{self, Status};
use protocol::credentials::Credentials;
use std::os::unix::fs::MetadataExt;

/// Who holds the data folder.
#[derive(Debug)]
pub(super) enum Agent {
    Absent,
    /// It runs, and says how it does.
    Runs(Box<Status>),
    /// It runs, and does not say.
    Silent,
}

impl Agent {
    /// Whether somebody drives: nothing heavy may be done now. One that does not say counts as driven.
    pub(super) fn driven(&self) -> bool {
        match self {
            Self::Absent => false,
            Self::Runs(status) => status.driven,
            Self::Silent => true,
        }
    }
}

pub(super) fn agent(home: &Home) -> (Agent, Check) {
    const AREA: &str = "agent";
    match status::ask(home) {
        Ok(Some(status)) => {
            let found = format!(
                "runs as {}, version {}: {} ({})",
                status.robot, status.version, status.state, status.reason
            );
            let check = Check::ok(AREA, "process", found).with("driven", status.driven);
            (Agent::Runs(Box::new(status)), check)
        }
        Ok(None) => match home.is_locked() {
            Ok(false) => (
                Agent::Absent,
                Check::ok(AREA, "process", "no agent runs: cameras and encoders are tried here"),
            ),
            Ok(true) => {
                let check = Check::warning(
                    AREA,
                    "process",
                    "runs, but does not say how it does",
                    "wait until it has started",
                );
                (Agent::Silent, check)
            }
            Err(error) => {
                (Agent::Silent, Check::not_checked(AREA, "process", format!("{error:#}")))
            }
        },
        Err(error) => {
            let advice = "ask as root or as the user that the agent runs as";
            (Agent::Silent, Check::warning(AREA, "process", format!("{error:#}"), advice))
        }
    }
}

pub(super) fn key(home: &Home) -> Check {
    const AREA: &str = "key";
    let path = home.dir().join("robot.key");
    let file = path.display().to_string();
    let meta = match std::fs::metadata(&path) {
        Ok(meta) => meta,
        Err(error) => {
            let advice = format!(
                "enrol the robot: robot-agent enroll --server URL --code CODE --data {}",
                home.dir().display()
            );
            return Check::failed(AREA, "file", format!("{file}: {error}"), advice);
        }
    };
    let mode = meta.mode() & 0o7777;
    if mode & 0o077 != 0 {
        let advice = format!("chmod 600 {file}; if others may have read it, enrol the robot anew");
        return Check::failed(
            AREA,
            "file",
            format!("{file}: mode {mode:04o}, others may read it"),
            advice,
        );
    }
    if let Err(error) = home.key() {
        return Check::failed(AREA, "file", format!("{error:#}"), "restore it, or enrol anew");
    }
    let owner = std::fs::metadata(home.dir()).map(|meta| meta.uid()).ok();
    if owner.is_some_and(|owner| owner != meta.uid()) {
        let data = home.dir().display();
        let advice = format!("chown -R --reference={data} {data}");
        return Check::failed(
            AREA,
            "file",
            format!("{file} belongs to another user than its folder"),
            advice,
        );
    }
    Check::ok(AREA, "file", format!("{file}, mode {mode:04o}"))
}

pub(super) fn enrolment(home: &Home) -> (Option<Enrolment>, Check) {
    const AREA: &str = "enrolment";
    let enrolment = match home.enrolment() {
        Ok(enrolment) => enrolment,
        Err(error) => {
            let advice = "get a code from your fleet's page and run `robot-agent enroll`";
            return (None, Check::failed(AREA, "robot", format!("{error:#}"), advice));
        }
    };
    let check = match home.enrolled_key(&enrolment) {
        Ok(key) => {
            let robot = &enrolment.enrolled.robot;
            Check::ok(AREA, "robot", format!("{robot} at {}", enrolment.server))
                .with("robot", robot.to_string())
                .with("did", key.did().to_string())
        }
        Err(error) => {
            Check::failed(AREA, "robot", format!("{error:#}"), "the fleet believes no other key")
        }
    };
    (Some(enrolment), check)
}

/// The certificate for the message router, and until when it lasts.
pub(super) fn certificate(home: &Home, enrolment: &Enrolment) -> Check {
    const AREA: &str = "enrolment";
    const WHAT: &str = "certificate";
    if !fabric_tunnel::is_tls(&enrolment.enrolled.zenoh_endpoint) {
        return Check::not_checked(AREA, WHAT, "this fleet's router takes none");
    }
    let kept = match home.credentials() {
        Ok(Some(kept)) => kept,
        Ok(None) => {
            let advice = "start the agent once while it reaches the fleet: it asks for one";
            return Check::warning(AREA, WHAT, "there is none yet", advice);
        }
        Err(error) => {
            let advice = "remove credentials.json: the agent asks for new ones";
            return Check::failed(AREA, WHAT, format!("{error:#}"), advice);
        }
    };
    let (fleet, did) = (&enrolment.enrolled.fleet_did, enrolment.did);
    let read = did.and_then(|did| Credentials::verify(&kept.envelope, fleet, &did).ok());
    let Some(credentials) = read else {
        let advice = "start the agent: it asks for new ones";
        return Check::warning(AREA, WHAT, "it is another enrolment's", advice);
    };
    let left_s = credentials.expires_at.0.saturating_sub(clock::wall_ms().0) / 1_000;
    if left_s == 0 {
        let advice = "let the robot reach the fleet: the agent asks for a new one at once";
        return Check::warning(AREA, WHAT, "it has ended", advice);
    }
    Check::ok(AREA, WHAT, format!("valid for {} h {} min", left_s / 3_600, left_s / 60 % 60))
        .with("left_s", left_s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Verdict;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_that_others_may_read_fails_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        let missing = key(&home);
        assert!(missing.advice.unwrap().contains("robot-agent enroll"));
        home.key_or_new().unwrap();
        assert_eq!(key(&home).verdict, Verdict::Ok);
        let path = dir.path().join("robot.key");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let open = key(&home);
        assert_eq!(open.verdict, Verdict::Failed);
        assert!(open.found.contains("0644") && open.advice.unwrap().contains("chmod 600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "no key").unwrap();
        assert_eq!(key(&home).verdict, Verdict::Failed);
    }

    #[test]
    fn whether_an_agent_runs_is_seen_without_disturbing_it() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        assert!(matches!(agent(&home).0, Agent::Absent));
        let held = home.lock().unwrap();
        let (silent, check) = agent(&home);
        assert!(silent.driven(), "{check:?}");
        drop(held);
        assert!(matches!(agent(&home).0, Agent::Absent));
    }
}
