//! `robot-agent enroll`: proves possession of a new key with a single-use code, and keeps what the fleet answers.

use crate::home::{Enrolment, Home};
use anyhow::{Context, Result, bail, ensure};
use protocol::api::{AcceptEnrolment, Enrolled, enrolment_bytes};
use protocol::problem::Problem;
use std::path::Path;

/// Enrols this robot; gives its name.
pub(crate) async fn enroll(server: &str, code: &str, data: &Path) -> Result<String> {
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
    if home.dir().join("enrolment.json").exists() {
        let robot = home.enrolment()?.enrolled.robot;
        bail!(
            "{} holds the enrolment of {robot} already; take another folder, or remove enrolment.json to enrol anew",
            data.display()
        );
    }
    let key = home.key_or_new()?;
    let body = AcceptEnrolment {
        did: key.did(),
        signature: hex::encode(key.sign(&enrolment_bytes(code))),
    };
    let server = server.trim_end_matches('/');
    let url = format!("{server}/v1/enrolments/{code}/accept");
    let response = reqwest::Client::new()
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
    home.write_enrolment(&Enrolment { server: server.to_owned(), did: Some(key.did()), enrolled })?;
    Ok(robot)
}
