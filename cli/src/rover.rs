//! `longrein earth-rover`: a robot at `http://localhost:8000`, as the Earth Rovers SDK gives its own.

use crate::api::Gateway;
use crate::driver::Driver;
use crate::{keys, note, print, proxy};
use anyhow::{Context, Result};
use axum::http::HeaderValue;
use axum::serve::ListenerExt as _;
use protocol::api::{Role, Session};
use protocol::ids::{MissionId, RobotId};
use protocol::keys::PrivateKey;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, Semaphore};

/// Most requests and streams at the same time.
const PLACES: usize = 256;
/// How long a sign-in is not tried again after it failed.
const RENEW_PAUSE: Duration = Duration::from_secs(10);
/// How long giving the robot back may take at the end.
const LET_GO: Duration = Duration::from_secs(5);

const EXAMPLES: &str = "\
Examples:
  longrein earth-rover --robot demo-rover-1
  longrein earth-rover --robot rover-7 --key rover-7.key --url https://fleet.example --port 8001

Then, in another terminal:
  curl http://localhost:8000/data                          where it is, how it moves, its battery
  curl http://localhost:8000/v2/front                      what it sees, as base64 JPEG
  curl -X POST http://localhost:8000/control -H 'Content-Type: application/json' \\
       -d '{\"command\": {\"linear\": 0.5, \"angular\": 0.0}}'
LeRobot's class earthrover_mini_plus needs no setting: it looks at http://localhost:8000.

A command is repeated for the time that the robot's owner allows (a second, if it is not set).
The robot obeys only while it is safe; if it does not obey, the answer is 409 with the reason.
Ctrl-C stops the robot and gives it back.";

/// Give programs on this machine a robot as the Earth Rovers SDK gives its own: at http://localhost:8000.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The robot
    #[arg(long)]
    robot: RobotId,
    /// Key file [default: ~/.config/longrein/agent.key]
    #[arg(long, env = "LONGREIN_KEY")]
    key: Option<PathBuf>,
    /// Address of the gateway
    #[arg(long, env = "LONGREIN_URL", default_value = "http://127.0.0.1:7070")]
    url: String,
    /// Port on this machine; 0 picks a free one
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Address to listen on instead of this machine's own; whoever reaches it drives the robot
    #[arg(long)]
    bind: Option<IpAddr>,
    /// Mission that clients must start with /start-mission before anything else. Without it they drive freely, and
    /// /start-mission starts the first open one of the robot
    #[arg(long)]
    mission: Option<MissionId>,
}

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Rover {
    /// Where requests go.
    pub(crate) gateway: Gateway,
    /// Whether only this machine may call.
    pub(crate) local_only: bool,
    /// The mission to name, if one was chosen.
    pub(crate) mission: Option<HeaderValue>,
    /// Room for requests.
    pub(crate) places: Arc<Semaphore>,
    /// No request is passed on any more.
    pub(crate) stopping: AtomicBool,
    /// Lease and receipts.
    pub(crate) driver: Driver,
    pub(crate) robot: RobotId,
    pub(crate) key: PrivateKey,
    base: String,
    session: RwLock<Session>,
    signing_in: Mutex<()>,
}

impl Rover {
    /// What requests share, for the owner of `key` who has signed in.
    pub(crate) fn new(
        gateway: Gateway,
        robot: RobotId,
        mission: Option<MissionId>,
        key: PrivateKey,
        session: Session,
        local_only: bool,
    ) -> Result<Arc<Self>> {
        Ok(Arc::new(Self {
            base: format!("{}/v1/robots/{robot}/earth-rover", gateway.parts().1),
            gateway,
            local_only,
            mission: mission.map(|m| HeaderValue::from_str(&m.to_string())).transpose()?,
            places: Arc::new(Semaphore::new(PLACES)),
            stopping: AtomicBool::new(false),
            driver: Driver::default(),
            robot,
            key,
            session: RwLock::new(session),
            signing_in: Mutex::new(()),
        }))
    }

    /// Where the robot's API is at the gateway, without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The token of the session.
    pub(crate) fn token(&self) -> String {
        self.session.read().unwrap_or_else(PoisonError::into_inner).token.clone()
    }

    /// A token that is not `refused`, from a new sign-in if need be; none if that fails.
    pub(crate) async fn renewed(&self, refused: &str) -> Option<String> {
        let _one_at_a_time = self.signing_in.lock().await;
        let known = self.token();
        if known != refused {
            return Some(known);
        }
        match self.gateway.sign_in(&self.key).await {
            Ok(session) => {
                let token = session.token.clone();
                *self.session.write().unwrap_or_else(PoisonError::into_inner) = session;
                Some(token)
            }
            Err(error) => {
                note(&format!("cannot sign in again: {error:#}"));
                None
            }
        }
    }

    /// How long the session lasts yet.
    fn left(&self) -> Duration {
        let until = self.session.read().unwrap_or_else(PoisonError::into_inner).claims.expires_at.0;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Duration::from_millis(until).saturating_sub(now)
    }

    /// Signs in again well before the session ends, for ever.
    async fn keep_signed_in(&self) {
        loop {
            tokio::time::sleep((self.left() / 2).max(RENEW_PAUSE)).await;
            // A failure was told; the old session goes on as long as it lasts.
            drop(self.renewed(&self.token()).await);
        }
    }

    /// Stops the robot, signs what is not signed yet, and gives the robot back, if a client of ours took it.
    pub(crate) async fn let_go(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        if self.driver.lease().is_none() {
            return;
        }
        let given_back = async {
            self.settle(true).await;
            self.gateway.let_go(&self.robot, &self.token()).await
        };
        match tokio::time::timeout(LET_GO, given_back).await {
            Ok(Ok(true)) => note("robot stopped and given back"),
            Ok(Ok(false)) => note("the robot was free already"),
            Ok(Err(error)) => note(&format!(
                "could not give the robot back: {error:#}; it stops and is free by itself within 5 s"
            )),
            Err(_elapsed) => {
                note(
                    "the gateway takes too long; the robot stops and is free by itself within 5 s",
                );
            }
        }
    }
}

/// The listeners: of this machine's two own addresses, or of the one that was named.
async fn listen(args: &Args) -> Result<Vec<TcpListener>> {
    let bind = |address: IpAddr, port| async move {
        TcpListener::bind(SocketAddr::new(address, port)).await
    };
    let first = args.bind.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let listener = bind(first, args.port).await.with_context(|| {
        format!("cannot listen on {first} port {}; choose another with --port", args.port)
    })?;
    let port = listener.local_addr()?.port();
    let mut listeners = vec![listener];
    if args.bind.is_none() {
        // Many clients try IPv6 first for "localhost". A machine without it needs none.
        listeners.extend(bind(IpAddr::V6(Ipv6Addr::LOCALHOST), port).await.ok());
    }
    Ok(listeners)
}

/// Runs the command until it is told to stop.
pub(crate) async fn run(args: Args) -> Result<()> {
    let key = keys::load(&keys::path(args.key.clone())?)?;
    let gateway = Gateway::new(&args.url)?;
    let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let listeners = listen(&args).await?;
    let session = gateway.sign_in(&key).await.context("cannot sign in")?;
    gateway.check_robot(&args.robot, &session.token).await?;
    if let Some(mission) = &args.mission {
        gateway.check_mission(mission, &args.robot, &session.token).await?;
    }
    let local_only = listeners.iter().all(|l| l.local_addr().is_ok_and(|a| a.ip().is_loopback()));
    announce(&args, &gateway, &session, listeners.first(), local_only)?;

    let rover = Rover::new(gateway, args.robot, args.mission, key, session, local_only)?;
    let app = proxy::router(&rover);
    let servers = listeners.into_iter().map(|listener| {
        let app = app.clone();
        // A command is one small packet: waiting for more to send with it would only delay it.
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap_or_default());
        async move { axum::serve(listener, app).await }
    });
    let told = async {
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
        }
        // Requests are answered meanwhile: with the word that this program is stopping.
        rover.let_go().await;
    };
    tokio::select! {
        served = futures::future::try_join_all(servers) => drop(served.context("serving broke off")?),
        () = rover.keep_signed_in() => {}
        () = rover.keep_signing() => {}
        () = told => {}
    }
    Ok(())
}

/// Says what is served where.
fn announce(
    args: &Args,
    gateway: &Gateway,
    session: &Session,
    listener: Option<&TcpListener>,
    local_only: bool,
) -> Result<()> {
    let address = listener.map(TcpListener::local_addr).transpose()?;
    let Some(address) = address else { return Ok(()) };
    let url = match args.bind {
        None => format!("http://localhost:{}", address.port()),
        Some(_) => format!("http://{address}"),
    };
    let (claims, (_, base)) = (&session.claims, gateway.parts());
    if !matches!(claims.role, Role::Agent | Role::Pilot) {
        note(
            "your role may look but not drive: ask an operator for an invitation with the role agent",
        );
    }
    if !local_only {
        note(&format!(
            "whoever reaches {url} drives {}: nobody is asked for a key there",
            args.robot
        ));
    }
    let far = reqwest::Url::parse(base).is_ok_and(|url| {
        url.scheme() == "http"
            && !matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"))
    });
    if far {
        note(&format!("{base} is not encrypted: whoever listens on the way can read the session"));
    }
    print(&format!(
        "{robot} at {url}, for {name:?}, through {base}\n\
         \x20 drive    POST /control, /speak            see      GET /v2/front, /v2/rear, /feed, /screenshot\n\
         \x20 sense    GET /data, /status, WS /ws/data  mission  POST /start-mission, /checkpoint-reached, /end-mission\n\
         Ctrl-C stops the robot and gives it back.",
        robot = args.robot,
        name = claims.name,
    ))
}
