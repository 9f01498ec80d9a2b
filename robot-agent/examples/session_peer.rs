//! Two test cameras and the link, without the rest of the agent: one line of JSON with an offer comes in on
//! standard input (`{"type":"offer","sdp":"…"}`), one with the answer goes out on standard output. Every drive
//! packet comes back on the telemetry lane with eight bytes more: the age in milliseconds of the picture that it
//! was about, or all ones if no such picture was sent. An argument chooses another test picture (`snow` fills the
//! bitrate). Texts and e-stop packets come back on their lanes.

use anyhow::Context as _;
use protocol::drive::{DriveCommand, Seen};
use protocol::units::MonoMs;
use robot_agent::link::{LOG_FILTER, LinkEvent, Session};
use robot_agent::media::{Camera, CameraConfig};
use serde_json::json;
use std::io::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::new(format!("info,{LOG_FILTER}"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_installed| anyhow::anyhow!("a crypto provider is installed already"))?;
    let session: Arc<OnceLock<Session>> = Arc::default();
    let cameras: Arc<Vec<Camera>> = Arc::new(
        [(0, "front", 1_280, 720, 30, 2_500), (1, "rear", 640, 360, 15, 600)]
            .into_iter()
            .map(|camera| start(camera, &session))
            .collect::<anyhow::Result<_>>()?,
    );
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let offer: serde_json::Value = serde_json::from_str(&line).context("an offer in JSON")?;
    let sdp = offer["sdp"].as_str().context("the offer's sdp")?;

    let (tell, mut told) = mpsc::unbounded_channel();
    let (echo, wanted) = (Arc::clone(&session), Arc::clone(&cameras));
    let events = move |event: LinkEvent| {
        if let Some(session) = echo.get() {
            match &event {
                LinkEvent::Drive(packet, arrived) => {
                    let age_ms =
                        seen_capture(session, packet).map_or(u64::MAX, |at| arrived.since(at));
                    session.send_telemetry(&[packet, age_ms.to_le_bytes().as_slice()].concat());
                }
                LinkEvent::SessionText(text) => _ = session.send_session(text),
                LinkEvent::Estop(packet) => _ = session.send_estop(packet),
                _other => {}
            }
        }
        match event {
            LinkEvent::KeyframeWanted { camera } => {
                wanted
                    .iter()
                    .filter(|c| c.config().camera == camera)
                    .for_each(Camera::force_keyframe);
            }
            LinkEvent::Drive(..) => {}
            event => _ = tell.send(event),
        }
    };
    let (accepted, answer) = Session::accept(sdp, &[], 2, events).await?;
    let session = session.get_or_init(|| accepted);
    let mut out = std::io::stdout();
    writeln!(out, "{}", json!({"type": "answer", "sdp": answer}))?;
    loop {
        tokio::select! {
            event = told.recv() => {
                tracing::info!(?event);
                if matches!(event, None | Some(LinkEvent::Closed)) {
                    tracing::info!("{:?}", session.stats());
                    return Ok(());
                }
            }
            () = tokio::time::sleep(Duration::from_secs(5)) => tracing::info!("{:?}", session.stats()),
        }
    }
}

fn seen_capture(session: &Session, packet: &[u8]) -> Option<MonoMs> {
    let command = DriveCommand::decode(packet).ok()?;
    match command.seen {
        Seen::Rtp(rtp) => session.capture_of(command.camera, rtp),
        _other => None,
    }
}

fn start(
    (camera, name, width, height, fps, bitrate_kbps): (u8, &str, u32, u32, u32, u32),
    session: &Arc<OnceLock<Session>>,
) -> anyhow::Result<Camera> {
    let pattern = std::env::args().nth(1).unwrap_or_else(|| "ball".to_owned());
    let config = CameraConfig {
        camera,
        name: name.to_owned(),
        source: robot_agent::media::Source::Gstreamer(format!(
            "videotestsrc is-live=true pattern={pattern} ! video/x-raw,format=I420,width={width},height={height},framerate={fps}/1"
        )),
        width,
        height,
        fps,
        bitrate_kbps,
        encoder: None,
        recording: Default::default(),
    };
    let session = Arc::clone(session);
    Ok(Camera::start(config, move |frame| {
        if let Some(session) = session.get() {
            session.send_frame(&frame);
        }
    })?)
}
