//! `robot-agent doctor`: looks at everything that a drive needs, and says of each part whether it works, and if not,
//! what to do. It takes nothing from a running agent, leaves nothing behind, and ends in bounded time.

mod audio;
mod cameras;
mod identity;
mod machine;
mod navigation;
mod pictures;
mod report;
mod ros;
mod server;

pub(crate) use report::Report;

use crate::clock;
use crate::config::{Audio, Config};
use crate::diagnostics::Diagnostics;
use crate::home::Home;
use crate::media::CameraConfig;
use crate::shared::lock;
use identity::Agent;
use report::Check;
use ros_bridge::ConnectError;
use ros_bridge::agent::Inbound;
use ros_bridge::survey::{Observer, Survey};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long the ROS graph is listened to: discovery takes a second or two, and slow topics need some time.
const LISTEN: Duration = Duration::from_secs(5);

/// Looks at everything. `tell` hears what is done now.
pub(crate) async fn examine(config: &Config, domain_id: u16, tell: impl Fn(&str)) -> Report {
    let mut report = Report::default();
    let clocks = server::Clocks::now();
    tell("listening to the ROS graph, and meanwhile:");
    let listening = {
        let ros = config.ros_config(domain_id);
        tokio::task::spawn_blocking(move || listen(&ros))
    };
    let agent = identity_and_server(config, &mut report, &tell).await;
    tell("encoders");
    let cameras = Arc::new(CameraConfig::all_of(config, domain_id));
    let (of_encoders, of_cameras) = (Arc::clone(&cameras), Arc::clone(&cameras));
    let (agent, again, of_audio) = (Arc::clone(&agent), Arc::clone(&agent), agent);
    report.checks.extend(blocking(move || cameras::encoders(&of_encoders, &agent)).await);
    tell("what the ROS graph told");
    report.checks.extend(judge_ros(config, domain_id, listening.await));
    tell("cameras");
    report.checks.extend(blocking(move || cameras::cameras(&of_cameras, &again)).await);
    if config.cameras.is_empty() {
        let why = "none is configured: only programs may drive, if the policy permits it";
        report.checks.push(Check::not_checked("camera", "all", why));
    }
    if config.audio != Audio::default() {
        tell("microphone and loudspeaker");
        let audio = config.audio.clone();
        report.checks.extend(blocking(move || audio::audio(&audio, &of_audio)).await);
    }
    report.checks.push(clocks.compare(server::Clocks::now()));
    report
}

/// Key, enrolment, server, disk, machine; and who holds the data folder.
async fn identity_and_server(
    config: &Config,
    report: &mut Report,
    tell: &impl Fn(&str),
) -> Arc<Agent> {
    tell("key and enrolment");
    let checks = &mut report.checks;
    let mut server = config.server.clone();
    let mut endpoint = config.zenoh.endpoint.clone();
    let mut agent = Arc::new(Agent::Absent);
    if config.data.is_dir() {
        let home = Home::as_it_is(&config.data);
        let (found, check) = identity::agent(&home);
        agent = Arc::new(found);
        checks.extend([check, identity::key(&home)]);
        let (enrolment, check) = identity::enrolment(&home);
        checks.push(check);
        if let Some(enrolment) = enrolment {
            checks.push(identity::certificate(&home, &enrolment));
            server.get_or_insert(enrolment.server);
            endpoint.get_or_insert(enrolment.enrolled.zenoh_endpoint);
        }
        tell("disk");
        let (of_disk, config) = (Arc::clone(&agent), config.clone());
        checks.extend(blocking(move || machine::disk(&home, &config, &of_disk)).await);
    } else {
        let data = config.data.display();
        let advice =
            format!("enrol the robot: robot-agent enroll --server URL --code CODE --data {data}");
        let found = format!("there is no folder {data}");
        checks.push(Check::failed("key", "data folder", found, advice));
    }
    checks.extend(machine::processor());
    tell("server and message router");
    match server {
        Some(url) => checks.extend(server::server(url.trim_end_matches('/')).await),
        None => checks.extend([
            Check::not_checked("server", "URL", "known only after enrolment"),
            Check::not_checked("clock", "wall", "no server to compare with"),
        ]),
    }
    match endpoint {
        Some(endpoint) => checks
            .extend(server::router(&endpoint, &Home::as_it_is(&config.data).tls_files()).await),
        None => checks.push(Check::not_checked("server", "router", "known only after enrolment")),
    }
    agent
}

/// Work that waits, away from the runtime's one thread.
async fn blocking(work: impl FnOnce() -> Vec<Check> + Send + 'static) -> Vec<Check> {
    match tokio::task::spawn_blocking(work).await {
        Ok(checks) => checks,
        Err(error) => vec![Check::not_checked("doctor", "itself", error.to_string())],
    }
}

/// What was heard of the graph.
pub(crate) struct Heard {
    pub(crate) survey: Survey,
    /// Over how many seconds.
    seconds: f64,
    diagnostics: Diagnostics,
}

/// Listens to the graph.
pub(crate) fn listen(ros: &ros_bridge::Config) -> Result<Heard, ConnectError> {
    let heard = Arc::new(Mutex::new(Diagnostics::default()));
    let noted = Arc::clone(&heard);
    let observer = Observer::connect(ros, move |message, arrived| {
        if let Inbound::Diagnostics(message) = message {
            lock(&noted).take(&message, arrived.ms());
        }
    })?;
    let begun = std::time::Instant::now();
    std::thread::sleep(LISTEN);
    let (survey, seconds) = (observer.survey(), begun.elapsed().as_secs_f64());
    let diagnostics = std::mem::take(&mut *lock(&heard));
    Ok(Heard { survey, seconds, diagnostics })
}

type Listened = Result<Result<Heard, ConnectError>, tokio::task::JoinError>;

fn judge_ros(config: &Config, domain_id: u16, listened: Listened) -> Vec<Check> {
    let what = format!("domain {domain_id}");
    match listened {
        Ok(Ok(Heard { survey, seconds, diagnostics })) => {
            let now = clock::mono_ns();
            let seen = ros::Seen { survey: &survey, seconds, now, domain_id };
            let mut checks = ros::judge(&seen, &config.ros, &config.policy);
            checks.extend(pictures::judge(&survey, config));
            checks.extend(navigation::judge(&survey, &config.navigation));
            checks.extend(ros::parts(&diagnostics, now.ms()));
            checks
        }
        Ok(Err(error)) => {
            let why = crate::episodes::words(&error);
            let advice = "a network interface must be up (lo with multicast is enough), and the names be those of ROS";
            vec![Check::failed("ros", what, why, advice)]
        }
        Err(error) => vec![Check::not_checked("ros", what, error.to_string())],
    }
}
