//! `robot-agent enroll` and `robot-agent wipe`: how a machine becomes a robot of a fleet, and stops being one.

use crate::credentials::Desk;
use crate::home::{Enrolment, Home};
use anyhow::{Context, Result, bail, ensure};
use episode::layout;
use protocol::api::{AcceptEnrolment, Enrolled, enrolment_bytes};
use protocol::problem::Problem;
use std::path::Path;
use std::sync::Arc;

/// How a robot enrols.
pub(crate) struct Order {
    /// The fleet's URL.
    pub(crate) server: String,
    /// Single use.
    pub(crate) code: String,
    /// Though it is enrolled.
    pub(crate) again: bool,
    /// With a new key.
    pub(crate) new_key: bool,
}

/// Enrols this robot: proves possession of its key with a single-use code, keeps what the fleet answers, and gets its
/// first certificate. Gives its name.
pub(crate) async fn enroll(order: &Order, data: &Path) -> Result<String> {
    let Order { server, code, again, new_key } = order;
    let plain = code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    ensure!(
        plain && !code.is_empty(),
        "{code:?} is no enrolment code: it has letters, digits, '-' and '_'"
    );
    ensure!(
        server.starts_with("http://") || server.starts_with("https://"),
        "--server is {server:?}; it must be a URL such as https://fleet.example"
    );
    let home = Home::open(data)?;
    // The agent would go on with what it has read.
    let _no_agent = home.lock().context("stop the agent before you enrol its robot anew")?;
    let before = match home.dir().join("enrolment.json").exists() {
        true => Some(home.enrolment()?),
        false => None,
    };
    if let Some(before) = before.as_ref().filter(|_| !again) {
        let robot = &before.enrolled.robot;
        bail!(
            "{} holds the enrolment of {robot} already; take another folder, or enrol it anew with --again",
            data.display()
        );
    }
    if *new_key {
        let waiting = waiting(&home)?;
        ensure!(
            waiting == 0,
            "{waiting} episodes wait for upload and are signed with the old key, which the fleet will no longer \
             believe: let the agent upload them first, or enrol without --new-key"
        );
        home.retire_key()?;
    }
    let key = Arc::new(home.key_or_new()?);
    let body = AcceptEnrolment {
        did: key.did(),
        signature: hex::encode(key.sign(&enrolment_bytes(code))),
    };
    let server = server.trim_end_matches('/');
    let url = format!("{server}/v1/enrolments/{code}/accept");
    let client = reqwest::Client::new();
    let response = client
        .post(&url)
        .json(&body)
        .send()
        .await
        .with_context(|| format!("no fleet-server answers at {server}; check --server"))?;
    let status = response.status();
    let bytes = response.bytes().await.context("reading the server's answer")?;
    if !status.is_success() {
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => bail!("the server refuses: {} ({})", problem.detail, problem.code),
            Err(_no_problem) => {
                bail!("the server at {server} answers {status}; is it a fleet-server?")
            }
        }
    }
    let enrolled: Enrolled =
        serde_json::from_slice(&bytes).context("the server's answer is no enrolment")?;
    let robot = enrolled.robot.to_string();
    if before.is_some_and(|before| before.enrolled.fleet_did != enrolled.fleet_did) {
        // Epochs are counted by each fleet for itself; leases of the old one are not believed any more.
        home.write_epoch(0)?;
    }
    let enrolment = Enrolment { server: server.to_owned(), did: Some(key.did()), enrolled };
    // Settings are an owner's; those of owners who no longer are do not count.
    home.forget_settings_unless_of(&enrolment.enrolled.owners, &enrolment.enrolled.robot)?;
    home.write_enrolment(&enrolment)?;
    let desk = Desk { home, server: server.to_owned(), enrolment, key, client };
    desk.renew().await.context(
        "the robot is enrolled and has no certificate yet; the agent asks for one when it starts",
    )?;
    Ok(robot)
}

/// Episodes that no fleet has confirmed to have.
fn waiting(home: &Home) -> Result<usize> {
    let episodes = home.list_episodes()?;
    Ok(episodes.iter().filter(|(_, dir)| !dir.join(layout::INGEST_RECEIPT).exists()).count())
}

/// Removes what makes this machine the robot. Without `yes` it only tells.
pub(crate) fn wipe(data: &Path, yes: bool, with_episodes: bool) -> Result<String> {
    ensure!(data.is_dir(), "there is no folder {}", data.display());
    let home = Home::open(data)?;
    let _no_agent = home.lock().context("stop the agent before you wipe its robot")?;
    let (episodes, waiting) = (home.list_episodes()?.len(), waiting(&home)?);
    let robot = home.enrolment().map_or_else(
        |_not_enrolled| "no robot".to_owned(),
        |enrolment| enrolment.enrolled.robot.to_string(),
    );
    let what = format!(
        "{}: key and enrolment of {robot}, {episodes} episodes, of which no fleet has confirmed {waiting}",
        data.display()
    );
    if !yes {
        return Ok(format!("would remove from {what}. Say --yes to do it"));
    }
    ensure!(
        waiting == 0 || with_episodes,
        "{waiting} episodes exist nowhere else: let the agent upload them, or say --with-episodes to lose them"
    );
    home.wipe()?;
    Ok(format!(
        "removed from {what}. The fleet still lists the robot: take it out on the owner's page"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wipe_asks_first_and_keeps_what_exists_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        home.key_or_new().unwrap();
        let episode = home.episodes().join("eps_00000000000000000000000000000001");
        std::fs::create_dir(&episode).unwrap();
        std::fs::write(dir.path().join("robot.toml"), "x").unwrap();
        assert!(wipe(dir.path(), false, false).unwrap().contains("would remove"));
        assert!(home.key().is_ok());
        let refused = wipe(dir.path(), true, false).unwrap_err().to_string();
        assert!(refused.contains("1 episodes exist nowhere else"), "{refused}");
        let held = home.lock().unwrap();
        assert!(wipe(dir.path(), true, true).is_err(), "while the agent runs");
        drop(held);
        wipe(dir.path(), true, true).unwrap();
        assert!(home.key().is_err() && !episode.exists());
        assert!(dir.path().join("robot.toml").exists(), "other files stay");
    }
}
