//! `robot-agent run`: wires the parts together, and takes them apart in order.

use crate::audio::Audio;
use crate::budget::Budget;
use crate::close::{CloseWords, Layout};
use crate::compass::Compass;
use crate::config::Config;
use crate::credentials::Desk;
use crate::diagnostics::{Level, Part};
use crate::drive;
use crate::episodes;
use crate::fabric::{self, Fabric};
use crate::home::{Enrolment, Home};
use crate::leases::{Fixed, Leases};
use crate::live;
use crate::media::recording::Machine;
use crate::media::{Camera, CameraConfig};
use crate::record::{self, Record};
use crate::requests::Requests;
use crate::session::{self, Book};
use crate::shared::{Shared, lock};
use crate::spool::{self, SpoolState};
use crate::upload::Uploader;
use crate::voice::{Espeak, Speaker, Voice};
use crate::{clock, health, navigation, service, status, telemetry};
use agent_core::Supervisor;
use anyhow::{Context, Result};
use episode::Document;
use protocol::api::Enrolled;
use protocol::keys::PrivateKey;
use ros_bridge::agent::{Base, Inbound};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc};

/// Messages of a driver that may wait.
const LINK_EVENTS: usize = 256;

/// Threads that end in order.
struct Threads {
    drive: JoinHandle<()>,
    recorder: JoinHandle<()>,
}

/// Runs until SIGINT or SIGTERM.
pub(crate) async fn run(mut config: Config, domain_id: u16) -> Result<()> {
    let home = Home::open(&config.data)?;
    let enrolment = home.enrolment()?;
    let key = Arc::new(home.enrolled_key(&enrolment)?);
    let _only_agent = home.lock()?;
    let server = config.server.clone().unwrap_or_else(|| enrolment.server.clone());
    let server = server.trim_end_matches('/').to_owned();
    let shared = Arc::new(Shared::default());
    let epoch_highest = home.epoch_highest()?;
    shared.epoch_highest.store(epoch_highest, Ordering::Release);
    shared.estop_stop.store(home.estop_latched(), Ordering::Release);
    if home.estop_latched() {
        tracing::warn!("the emergency stop was latched when the agent ended, and is again");
    }
    let book = book(&home, &enrolment, &key, epoch_highest)?;
    let owners_area = book.settings().and_then(|s| session::fenced(&config.policy, s.settings()));
    if let Some(policy) = owners_area {
        tracing::info!("the owner's area is the geofence of the safety core");
        config.policy = policy;
    }
    {
        let (home, key) = (home.clone(), Arc::clone(&key));
        tokio::task::spawn_blocking(move || episodes::recover_all(&home, &key)).await?;
    }

    let wake_uploader = Arc::new(Notify::new());
    let (recorder, recorder_thread) = {
        let wake = Arc::clone(&wake_uploader);
        record::start(record::Setup {
            home: home.clone(),
            key: Arc::clone(&key),
            cameras: config.cameras.iter().map(|camera| camera.name.clone()).collect(),
            disk_free_mb_min: config.disk_free_mb_min,
            sealed: Box::new(move || wake.notify_one()),
        })
        .context("starting the recorder")?
    };
    let base = connect_base(&config, domain_id, &shared, &recorder)?;
    let (drive_sender, drive_messages) = sync_channel(drive::QUEUE);
    let core = Supervisor::new(&config.policy)?;
    let drive_thread = drive::start(
        core,
        &config.policy,
        Arc::clone(&shared),
        Arc::clone(&base),
        recorder.clone(),
        drive_messages,
    )
    .context("starting the drive loop")?;
    let threads = Threads { drive: drive_thread, recorder: recorder_thread };

    let (link_sender, link_events) = mpsc::channel(LINK_EVENTS);
    let robot = enrolment.enrolled.robot.clone();
    let fixed = Fixed {
        home: home.clone(),
        key: Arc::clone(&key),
        robot: robot.clone(),
        policy: config.policy.clone(),
        calibration: Document::new(&config.calibration)?,
        reach: config.link.reach()?,
        congestion: config.link.congestion,
    };
    let leases = Arc::new(Leases::new(
        fixed,
        book,
        Arc::clone(&shared),
        recorder.clone(),
        drive_sender,
        link_sender,
    ));
    leases.set_cameras(start_cameras(&config, domain_id, &shared, &recorder)?);
    tokio::spawn(Arc::clone(&leases).watch(link_events));
    tokio::spawn(health::watch(
        Arc::clone(&base),
        domain_id,
        Arc::clone(&leases),
        Arc::clone(&shared),
        recorder.clone(),
    ));

    navigation::start(&config.navigation, domain_id, &shared, &leases)?;

    leases.set_audio(Audio::start(&config.audio, &shared).context("starting the audio")?);
    let voice = start_voice(&config, &recorder)?;
    let requests = Arc::new(Requests::new(Arc::clone(&leases), Arc::clone(&shared), base, voice));
    leases.set_requests(&requests);
    let waiting = Arc::new(AtomicU32::new(0));
    let (desk_home, desk_server) = (home.clone(), server.clone());
    let telling = Telling {
        robot: robot.to_string(),
        leases: Arc::clone(&leases),
        shared: Arc::clone(&shared),
        recorder: recorder.clone(),
        spool: Arc::default(),
    };
    keep_spool_and_tell(&config, &home, telling)?;
    let uploader = Uploader {
        home,
        server,
        robot: robot.clone(),
        fleet: enrolment.enrolled.fleet_did,
        key: Arc::clone(&key),
        shared: Arc::clone(&shared),
        keep_uploaded: config.keep_uploaded,
        budget: Budget::new(&config.spool, clock::mono_ms()),
        waiting: Arc::clone(&waiting),
        wake: wake_uploader,
        client: reqwest::Client::new(),
        token: None,
        refused: Vec::new(),
    };
    tokio::spawn(uploader.run());
    let service = service::start(Arc::clone(&shared)).context("telling systemd")?;
    let desk = Desk {
        home: desk_home,
        server: desk_server,
        enrolment: enrolment.clone(),
        key: Arc::clone(&key),
        client: reqwest::Client::new(),
    };
    let fabric = Fabric {
        robot,
        key,
        seal: None,
        leases: Arc::clone(&leases),
        shared: Arc::clone(&shared),
        episodes_waiting: waiting,
        requests,
        terms: config.terms(),
        spectators_kbps_max: config.spectators.kbps_max,
    };
    serve(&config, desk, fabric).await?;
    service.stopping();
    stop(&leases, &shared, &recorder, threads).await;
    Ok(())
}

/// What is known about leases, and what the owner allows.
fn book(home: &Home, enrolment: &Enrolment, key: &PrivateKey, epoch_highest: u64) -> Result<Book> {
    let Enrolled { robot, fleet_did, owners, .. } = &enrolment.enrolled;
    Book::new(robot.clone(), key.did(), *fleet_did, epoch_highest)
        .with_owners(owners.clone(), home.settings()?)
        .context(
            "settings.dsse.json in the data folder is not of this robot's owner: enrol the robot anew, or have its owner \
             sign new settings and remove the file",
        )
}

/// What is looked at when somebody asks how the agent does.
struct Telling {
    robot: String,
    leases: Arc<Leases>,
    shared: Arc<Shared>,
    recorder: record::Handle,
    spool: Arc<Mutex<SpoolState>>,
}

impl Telling {
    fn status(&self) -> status::Status {
        let decided = self.shared.status().outputs;
        status::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            robot: self.robot.clone(),
            state: telemetry::state_code(decided.state).to_owned(),
            reason: decided.reason.code().to_owned(),
            driven: self.shared.lease().is_some(),
            drive_loop: self.shared.ticks.report(),
            recorder_able: self.recorder.progress.able.load(Ordering::Acquire),
            spool: lock(&self.spool).clone(),
            cameras: self.leases.cameras().iter().map(Camera::stats).collect(),
            diagnostics: lock(&self.shared.diagnostics).troubles(clock::mono_ms()),
        }
    }
}

/// Keeps the quota of the disk, and answers whoever asks how the agent does.
fn keep_spool_and_tell(config: &Config, home: &Home, telling: Telling) -> Result<()> {
    let keeper = spool::Keeper::new(home.clone(), config.spool.quota_mb, config.disk_free_mb_min);
    let (recorder, state) = (telling.recorder.clone(), Arc::clone(&telling.spool));
    spool::start(keeper, recorder, state).context("starting the spool")?;
    if let Err(error) = status::serve(home, move || telling.status()) {
        tracing::warn!(error = format!("{error:#}"), "nobody can ask how this agent does");
    }
    Ok(())
}

/// Serves the fleet until a signal comes.
async fn serve(config: &Config, desk: Desk, mut fabric: Fabric) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let enrolled = desk.enrolment.enrolled.zenoh_endpoint.clone();
    let robot = fabric.robot.to_string();
    let serving = async {
        let named = config.zenoh.endpoint.clone();
        let (linked, access) = match fabric_tunnel::is_tls(named.as_ref().unwrap_or(&enrolled)) {
            true => {
                let (linked, access) = desk.enter(named.as_deref()).await?;
                (linked, Some(access))
            }
            false => (fabric::connect(&named.unwrap_or(enrolled), None).await, None),
        };
        fabric.seal = access.as_ref().map(|access| access.fabric_key.clone());
        let fabric = Arc::new(fabric);
        let session = &linked.session;
        fabric.declare(session).await?;
        if let Some(access) = access {
            let leases = Arc::clone(&fabric.leases);
            tokio::spawn(desk.keep(access, session.clone(), leases));
        }
        tracing::info!(robot, "ready");
        let sensors = live::publish_sensors(Arc::clone(&fabric), session.clone());
        tokio::try_join!(sensors, Arc::clone(&fabric).publish(session.clone())).map(|_ended| ())
    };
    tokio::select! {
        ended = serving => ended,
        _signal = interrupt.recv() => Ok(()),
        _signal = terminate.recv() => Ok(()),
    }
}

/// Wheels first, then the episode, then the rest.
async fn stop(leases: &Arc<Leases>, shared: &Shared, recorder: &record::Handle, threads: Threads) {
    tracing::info!("stopping");
    leases.end_for_shutdown().await;
    shared.stopping.store(true, Ordering::Release);
    let recorder = recorder.clone();
    let joined = tokio::task::spawn_blocking(move || {
        let drive = threads.drive.join();
        recorder.stop();
        drive.is_ok() && threads.recorder.join().is_ok()
    });
    if !joined.await.unwrap_or(false) {
        tracing::error!("a thread of the agent had panicked");
    }
}

fn connect_base(
    config: &Config,
    domain_id: u16,
    shared: &Arc<Shared>,
    recorder: &record::Handle,
) -> Result<Arc<Base>> {
    let ros = config.ros_config(domain_id);
    let (shared, recorder) = (Arc::clone(shared), recorder.clone());
    let layout = Layout::new(&config.ros, &config.policy.obstacle_guard);
    {
        let mut sensors = lock(&shared.sensors);
        sensors.close = CloseWords::new(&config.ros);
        sensors.compass = Compass::new(&config.heading);
    }
    let base = Base::connect(&ros, move |message, arrived| {
        shared.beats.intake.store(arrived.ms().0, Ordering::Release);
        lock(&shared.sensors).take(&message, arrived, &layout);
        if let Inbound::Diagnostics(message) = &message {
            let news = lock(&shared.diagnostics).take(message, arrived.ms());
            return news.iter().for_each(|part| tell_of(part, &recorder));
        }
        lock(&shared.senses).take(&message, arrived);
        recorder.put(clock::wall_ns_at(arrived), Record::Sensor(message));
    })
    .with_context(|| format!("connecting to ROS 2 in domain {domain_id}"))?;
    Ok(Arc::new(base))
}

/// A part of the robot fell ill, or is well again: the log and the episode say so.
fn tell_of(part: &Part, recorder: &record::Handle) {
    let (name, words) = (&part.name, &part.message);
    match part.level {
        Level::Ok => tracing::info!(part = name, words, "a part of the robot is well again"),
        level => tracing::warn!(part = name, ?level, words, "a part of the robot is not well"),
    }
    let json = serde_json::to_string(part).unwrap_or_default();
    let event = record::event("diagnostic", format!("{name}: {words}"), json);
    recorder.put(clock::wall_ns(), Record::Event(event));
}

fn start_voice(config: &Config, recorder: &record::Handle) -> Result<Voice> {
    let speech = config.speech.clone();
    let speaker = speech.active.then(|| Arc::new(Espeak::new(speech)) as Arc<dyn Speaker>);
    let recorder = recorder.clone();
    let failed = move |why: &str| {
        tracing::warn!(why, "a text was not said");
        let event = record::event("speech-failed", why, String::new());
        recorder.put(clock::wall_ns(), Record::Event(event));
    };
    Voice::start(speaker, failed).context("starting the voice")
}

fn start_cameras(
    config: &Config,
    domain_id: u16,
    shared: &Arc<Shared>,
    recorder: &record::Handle,
) -> Result<Vec<Camera>> {
    let mut cameras = Vec::new();
    let pictures = Arc::new(record::Pictures(recorder.clone()));
    let machine = Arc::new(Machine::default());
    for media in CameraConfig::all_of(config, domain_id) {
        let (shared, pictures) = (Arc::clone(shared), Arc::clone(&pictures));
        let name = media.name.clone();
        let to_link = move |frame| {
            // Who drives comes first.
            Leases::frame(&shared, &frame);
            shared.spectators.offer(&frame);
        };
        let started = Camera::start_recorded(media, to_link, pictures, Arc::clone(&machine));
        cameras.push(started.with_context(|| format!("starting camera {name:?}"))?);
    }
    Ok(cameras)
}

/// The robot's key, for the fleet's operator to compare.
pub(crate) fn did(key: &PrivateKey) -> String {
    key.did().to_string()
}
