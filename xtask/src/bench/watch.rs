//! `cargo xtask bench watch`: spectators of one robot at 720p30, beside Janus, in one run.
//!
//! Both servers get the same access units, 30 a second, and serve the same viewers: peers of the `webrtc` crate, which only
//! receive. What counts is what the server's process costs.

use super::single;
use crate::process::{Process, wait_for};
use crate::{progress, setup};
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Measure how many spectators a core serves, beside Janus.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How many watch
    #[arg(long, default_value_t = 30)]
    viewers: u32,
    /// How long it is measured
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Leave Janus out
    #[arg(long)]
    without_janus: bool,
}

const JANUS: &[&str] = &["janus"];
/// After the last viewer is connected, before it is measured.
const SETTLE: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(30);

/// A program that is spoken to by lines of JSON.
struct Lines {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Lines {
    fn start(program: &Path, args: &[&str]) -> Result<Self> {
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let to = child.stdin.take().context("its standard input")?;
        let from = BufReader::new(child.stdout.take().context("its standard output")?);
        Ok(Self { child, to, from })
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        let said: Value = serde_json::from_str(&line).context("a line of JSON")?;
        match said["error"].as_str() {
            Some(error) => Err(anyhow!("{error}")),
            None => Ok(said),
        }
    }

    fn ask(&mut self, order: &Value) -> Result<Value> {
        writeln!(self.to, "{order}")?;
        self.line()
    }

    /// The session description in an answer.
    fn sdp(&mut self, order: &Value) -> Result<Value> {
        let mut said = self.ask(order)?;
        ensure!(said["sdp"].is_string(), "no session description in {said}");
        Ok(said["sdp"].take())
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What one server did.
struct Served {
    /// Cores that its process used.
    cores: f64,
    viewers: u32,
    mbit_per_viewer: f64,
    /// Frames that the viewer who got fewest got, of those that there were.
    least: f64,
    gaps: u64,
}

impl Served {
    fn per_core(&self) -> f64 {
        f64::from(self.viewers) / self.cores.max(1e-6)
    }

    fn json(&self) -> Value {
        json!({
            "viewers_per_core": self.per_core(), "cores": self.cores, "viewers": self.viewers,
            "mbit_per_viewer": self.mbit_per_viewer, "least_frames": self.least, "gaps": self.gaps,
        })
    }
}

/// CPU time of all threads of a process, seconds, as the scheduler counts it: bursts shorter than a tick count as well.
fn cpu_s(pid: u32) -> Result<f64> {
    let mut ns = 0.0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
        // A thread may end between the listing and the reading.
        let Ok(text) = std::fs::read_to_string(task.path().join("schedstat")) else { continue };
        let used = text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
        ns += used.context("a thread's schedstat")?;
    }
    Ok(ns / 1e9)
}

/// Waits until all are connected and see frames, then measures.
fn measure(server: u32, viewers: &mut Lines, args: &Args) -> Result<Served> {
    let stats = json!({"do": "stats"});
    let begun = Instant::now();
    loop {
        let seen = viewers.ask(&stats)?;
        let all = seen["connected"].as_u64() == Some(u64::from(args.viewers));
        if all && seen["least_frames"].as_u64().is_some_and(|frames| frames > 0) {
            break;
        }
        ensure!(begun.elapsed() < PATIENCE, "not all viewers see something: {seen}");
        std::thread::sleep(Duration::from_millis(200));
    }
    std::thread::sleep(SETTLE);
    let (before, cpu_before, start) = (viewers.ask(&stats)?, cpu_s(server)?, Instant::now());
    std::thread::sleep(Duration::from_secs(args.seconds));
    let (cpu, elapsed) = (cpu_s(server)? - cpu_before, start.elapsed().as_secs_f64());
    let after = viewers.ask(&stats)?;
    let grown = |name: &str| {
        let number = |seen: &Value| seen[name].as_f64().unwrap_or(0.0);
        number(&after) - number(&before)
    };
    let count = f64::from(args.viewers);
    Ok(Served {
        cores: cpu / elapsed,
        viewers: args.viewers,
        mbit_per_viewer: grown("bytes") * 8.0 / 1e6 / elapsed / count,
        least: grown("least_frames") / (elapsed * 30.0),
        gaps: grown("gaps") as u64,
    })
}

fn ours(source: &Path, video: &str, viewers: &Path, args: &Args) -> Result<Served> {
    progress("viewers of our own server");
    let mut server = Lines::start(source, &[video, "serve"])?;
    server.line()?;
    let mut peers = Lines::start(viewers, &[])?;
    for n in 0..args.viewers {
        let offer = peers.sdp(&json!({"do": "offer"}))?;
        let mut answer = server.ask(&json!({"offer": offer}))?;
        peers.ask(&json!({"do": "accept", "n": n, "sdp": answer["answer"].take()}))?;
    }
    measure(server.child.id(), &mut peers, args)
}

/// A port that nobody has.
fn free_port() -> Result<u16> {
    Ok(UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A folder of Janus's configuration: the streaming plugin, asked over HTTP, and nothing else.
fn configure(folder: &Path, http: u16, rtp: u16) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let lib = ["/usr/lib/x86_64-linux-gnu/janus", "/usr/lib/aarch64-linux-gnu/janus"];
    let lib = lib.iter().find(|path| Path::new(path).exists()).context("Janus's plugins")?;
    let others = |kind: &str, keep: &str| -> Result<String> {
        let names = std::fs::read_dir(format!("{lib}/{kind}")).into_iter().flatten().flatten();
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let names: Vec<String> =
            names.filter(|name| name.ends_with(".so") && !name.contains(keep)).collect();
        Ok(names.join(","))
    };
    let folder_words = folder.display();
    let main = format!(
        "general: {{ configs_folder = \"{folder_words}\" plugins_folder = \"{lib}/plugins\" \
         transports_folder = \"{lib}/transports\" events_folder = \"{lib}/events\" loggers_folder = \"{lib}/loggers\" \
         debug_level = 3 session_timeout = 0 }}\n\
         plugins: {{ disable = \"{}\" }}\ntransports: {{ disable = \"{}\" }}\nevents: {{ broadcast = false }}\n",
        others("plugins", "streaming")?,
        others("transports", "http")?,
    );
    let files = [
        ("janus.jcfg", main),
        (
            "janus.transport.http.jcfg",
            format!(
                "general: {{ json = \"compact\" base_path = \"/janus\" http = true port = {http} ip = \"127.0.0.1\" https = false }}\nadmin: {{ admin_http = false }}\n"
            ),
        ),
        (
            "janus.plugin.streaming.jcfg",
            format!(
                "bench: {{ type = \"rtp\" id = 1 description = \"bench\" media = ( {{ type = \"video\" mid = \"v\" label = \"v\" iface = \"127.0.0.1\" port = {rtp} pt = 96 codec = \"h264\" fmtp = \"packetization-mode=1;profile-level-id=42e01f\" }} ) }}\n"
            ),
        ),
    ];
    for (name, text) in files {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}

/// Janus's HTTP API, as much as is needed.
struct Janus {
    url: String,
    agent: ureq::Agent,
    session: u64,
}

impl Janus {
    fn post(&self, path: &str, mut body: Value) -> Result<Value> {
        body["transaction"] = json!("bench");
        let mut answer = self.agent.post(format!("{}{path}", self.url)).send_json(body)?;
        let answer: Value = answer.body_mut().read_json()?;
        ensure!(answer["janus"] != "error", "Janus: {answer}");
        Ok(answer)
    }

    fn open(http: u16) -> Result<Self> {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build().into();
        let url = format!("http://127.0.0.1:{http}/janus");
        let mut janus = Self { url, agent, session: 0 };
        let created = janus.post("", json!({"janus": "create"}))?;
        janus.session = created["data"]["id"].as_u64().context("a session of Janus")?;
        Ok(janus)
    }

    /// Asks for the stream and gives the handle and Janus's offer.
    fn watch(&self) -> Result<(String, Value)> {
        let session = format!("/{}", self.session);
        let attach = json!({"janus": "attach", "plugin": "janus.plugin.streaming"});
        let attached = self.post(&session, attach)?;
        let handle = attached["data"]["id"].as_u64().context("a handle of Janus")?;
        let path = format!("{session}/{handle}");
        self.post(&path, json!({"janus": "message", "body": {"request": "watch", "id": 1}}))?;
        let begun = Instant::now();
        loop {
            let mut event: Value =
                self.agent.get(format!("{}{session}", self.url)).call()?.body_mut().read_json()?;
            if event["sender"].as_u64() == Some(handle) && event["jsep"]["type"] == "offer" {
                return Ok((path, event["jsep"]["sdp"].take()));
            }
            ensure!(begun.elapsed() < PATIENCE, "Janus makes no offer: {event}");
        }
    }

    fn start(&self, path: &str, answer: &Value) -> Result<()> {
        let jsep = json!({"type": "answer", "sdp": answer});
        let body = json!({"janus": "message", "body": {"request": "start"}, "jsep": jsep});
        self.post(path, body).map(drop)
    }
}

fn janus(source: &Path, video: &str, viewers: &Path, data: &Path, args: &Args) -> Result<Served> {
    progress("the same viewers of Janus");
    let (http, rtp) = (free_port()?, free_port()?);
    let folder = data.join("janus");
    configure(&folder, http, rtp)?;
    let options = ["--disable-colors", "-F", &folder.display().to_string()].map(str::to_owned);
    let log = data.join("logs/janus.log");
    let mut server = Process::start("janus", Path::new("/usr/bin/janus"), &options, log)?;
    let api = wait_for("Janus's answer", PATIENCE.as_secs(), || {
        server.check()?;
        Ok(Janus::open(http).ok())
    })?;
    let mut camera = Lines::start(source, &[video, "rtp", &format!("127.0.0.1:{rtp}")])?;
    camera.line()?;
    let mut peers = Lines::start(viewers, &[])?;
    for _ in 0..args.viewers {
        let (path, offer) = api.watch()?;
        let answer = peers.sdp(&json!({"do": "answer", "sdp": offer}))?;
        api.start(&path, &answer)?;
    }
    let served = measure(server.pid(), &mut peers, args);
    served.with_context(|| server.log_tail())
}

/// Ten seconds of 720p30 that change everywhere, in access units with delimiters.
fn video(data: &Path) -> Result<PathBuf> {
    let file = data.join("video.h264");
    progress("encoding the video");
    let pipeline = format!(
        "videotestsrc num-buffers=300 pattern=zone-plate kx2=12 ky2=12 kt=2 \
         ! video/x-raw,format=I420,width=1280,height=720,framerate=30/1 \
         ! x264enc tune=zerolatency speed-preset=ultrafast bitrate=2500 vbv-buf-capacity=200 key-int-max=60 bframes=0 aud=true \
         ! video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au ! filesink location={}",
        file.display()
    );
    let words = pipeline.split_whitespace();
    setup::run(Command::new("gst-launch-1.0").arg("-q").args(words).stdout(Stdio::null()))?;
    Ok(file)
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<Vec<Value>> {
    setup::test_packages()?;
    if !args.without_janus {
        setup::install(JANUS)?;
    }
    setup::examples()?;
    let data = setup::target_dir().join("bench-watch");
    if data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    std::fs::create_dir_all(data.join("logs"))?;
    let data = data.canonicalize()?;
    let video = video(&data)?.display().to_string();
    let examples = setup::target_dir().join("debug/examples");
    let (source, viewers) = (examples.join("watch_source"), examples.join("watch_viewers"));
    let own = ours(&source, &video, &viewers, args).context("our own server")?;
    let peer = match args.without_janus {
        true => None,
        false => Some(janus(&source, &video, &viewers, &data, args).context("Janus")?),
    };
    Ok(rows(&own, peer.as_ref()))
}

fn rows(own: &Served, janus: Option<&Served>) -> Vec<Value> {
    let beside = |id: &str, unit: &str, of: fn(&Served) -> f64, bar: &str, holds: bool| {
        let mut row = single(id, unit, Some(of(own)), bar, holds);
        if let Some(janus) = janus {
            row["peers"] = json!({"janus": {"value": of(janus)}});
        }
        row
    };
    let as_many = janus.is_none_or(|janus| own.per_core() >= janus.per_core());
    let per_viewer = |served: &Served| served.cores * 100.0 / f64::from(served.viewers);
    let mut rows = vec![
        beside("watch_viewers_per_core", "viewers", Served::per_core, ">= Janus", as_many),
        beside("watch_cpu_per_viewer", "% of a core", per_viewer, "none", true),
        beside("watch_mbit_per_viewer", "Mbit/s", |s| s.mbit_per_viewer, "none", true),
        beside("watch_frames_seen", "of those sent", |s| s.least, ">= 0.98", own.least >= 0.98),
    ];
    if let (Some(first), Some(janus)) = (rows.first_mut(), janus) {
        first["detail"] = json!({"own": own.json(), "janus": janus.json()});
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_janus_is_the_bar() {
        let served =
            |cores| Served { cores, viewers: 30, mbit_per_viewer: 2.5, least: 1.0, gaps: 0 };
        let holds =
            |own: f64, janus: f64| rows(&served(own), Some(&served(janus)))[0]["holds"].clone();
        assert_eq!(holds(0.1, 0.2), json!(true));
        assert_eq!(holds(0.2, 0.1), json!(false));
        assert!((served(0.1).per_core() - 300.0).abs() < 1e-9);
        let alone = rows(&served(0.1), None);
        assert_eq!(alone[0]["peers"], json!({}));
    }
}
