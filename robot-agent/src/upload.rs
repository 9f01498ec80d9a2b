//! Brings sealed episodes to the fleet, and keeps them until the fleet has said, signed, that it has them.
//!
//! Nothing is remembered but what is on disk: a sealed episode without `ingest.dsse.json` waits for upload, and
//! the server knows how much of it it has. So any interruption, on either side, costs one chunk at most.

use crate::backoff::Backoff;
use crate::budget::{Budget, Leave};
use crate::clock;
use crate::home::Home;
use crate::shared::Shared;
use anyhow::{Context, Result, anyhow, bail, ensure};
use episode::layout;
use protocol::api::{
    BeginUpload, Challenge, ChallengeRequest, IngestReceipt, Session, SessionRequest, UploadFile,
    UploadStatus, auth_bytes,
};
use protocol::dsse::{Envelope, payload_type};
use protocol::ids::{EpisodeId, RobotId};
use protocol::keys::{Did, PrivateKey};
use protocol::problem::{Problem, code};
use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::Notify;

const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(120);
/// Without news, the folder is looked through this often.
const LOOK_EVERY: Duration = Duration::from_secs(30);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The server's answer was a refusal, not a failure: trying again changes nothing.
#[derive(Debug, thiserror::Error)]
#[error("refused: {detail} ({code})")]
struct Refused {
    code: String,
    detail: String,
}

/// Uploads episodes.
pub(crate) struct Uploader {
    pub(crate) home: Home,
    pub(crate) server: String,
    pub(crate) robot: RobotId,
    pub(crate) fleet: Did,
    pub(crate) key: Arc<PrivateKey>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) keep_uploaded: bool,
    /// What of the network uploads may take. The drive comes first.
    pub(crate) budget: Budget,
    pub(crate) waiting: Arc<AtomicU32>,
    pub(crate) wake: Arc<Notify>,
    pub(crate) client: reqwest::Client,
    pub(crate) token: Option<String>,
    /// Refused by the server: not tried again in this run.
    pub(crate) refused: Vec<EpisodeId>,
}

impl Uploader {
    /// Uploads whatever is sealed, for ever.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
        loop {
            match self.round().await {
                Ok(()) => {
                    backoff.reset();
                    tokio::select! {
                        () = self.wake.notified() => {}
                        () = tokio::time::sleep(LOOK_EVERY) => {}
                    }
                }
                Err(error) => {
                    let pause = backoff.pause();
                    tracing::warn!(
                        error = format!("{error:#}"),
                        again_in_s = pause.as_secs_f32(),
                        "an upload is interrupted"
                    );
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Episodes that wait, oldest first.
    fn pending(&self) -> Result<Vec<(EpisodeId, PathBuf)>> {
        let mut episodes = self.home.list_episodes()?;
        episodes.retain(|(_, dir)| {
            let sealed = dir.join(layout::MANIFEST).exists() && !dir.join(layout::OPEN).exists();
            sealed && !dir.join(layout::INGEST_RECEIPT).exists()
        });
        self.waiting.store(u32::try_from(episodes.len()).unwrap_or(u32::MAX), Ordering::Relaxed);
        episodes.retain(|(id, _)| !self.refused.contains(id));
        Ok(episodes)
    }

    async fn round(&mut self) -> Result<()> {
        for (id, dir) in self.pending()? {
            match self.upload(id, &dir).await {
                Ok(()) => {}
                Err(error) if error.downcast_ref::<Refused>().is_some() => {
                    tracing::error!(episode = %id, error = format!("{error:#}"), "the fleet does not take an episode; it stays here");
                    self.refused.push(id);
                }
                Err(error) => return Err(error.context(format!("uploading {id}"))),
            }
        }
        self.pending()?;
        Ok(())
    }

    async fn upload(&mut self, id: EpisodeId, dir: &Path) -> Result<()> {
        let manifest = episode::read_manifest(dir)?.context("the manifest has gone")?;
        let manifest_sha256 = episode::manifest::sha256(&manifest)?;
        let begin = BeginUpload { episode: id, manifest };
        let mut status: UploadStatus =
            self.call(Method::POST, "/v1/episodes", |r| r.json(&begin)).await?;
        let mut receipt = status.receipt.take();
        while receipt.is_none() {
            for file in &status.files {
                self.send_file(id, dir, file).await?;
            }
            let path = format!("/v1/episodes/{id}/complete");
            let done: UploadStatus = self.call(Method::POST, &path, |r| r).await?;
            ensure!(done.receipt.is_some(), "the server has all of it and gives no receipt yet");
            receipt = done.receipt;
        }
        let receipt = receipt.context("no receipt")?;
        self.check(&receipt, id, &manifest_sha256)?;
        let bytes = serde_json::to_vec(&receipt)?;
        let path = dir.join(layout::INGEST_RECEIPT);
        let dir = dir.to_owned();
        let keep = self.keep_uploaded;
        tokio::task::spawn_blocking(move || -> Result<()> {
            let part = path.with_extension("part");
            std::fs::write(&part, &bytes).context("keeping the fleet's receipt")?;
            std::fs::File::open(&part)?.sync_all()?;
            std::fs::rename(&part, &path).context("keeping the fleet's receipt")?;
            if !keep {
                std::fs::remove_dir_all(&dir).context("removing an uploaded episode")?;
            }
            Ok(())
        })
        .await??;
        tracing::info!(episode = %id, kept = keep, "the fleet has an episode");
        Ok(())
    }

    /// Only the fleet's own word, about this very manifest, lets an episode go.
    fn check(&self, receipt: &Envelope, id: EpisodeId, manifest_sha256: &str) -> Result<()> {
        let said: IngestReceipt = receipt
            .verify(payload_type::INGEST, &self.fleet)
            .context("the receipt is not the fleet's")?;
        ensure!(
            said.episode == id
                && said.robot == self.robot
                && said.manifest_sha256 == manifest_sha256,
            "the receipt is about another episode"
        );
        Ok(())
    }

    async fn send_file(&mut self, id: EpisodeId, dir: &Path, file: &UploadFile) -> Result<()> {
        ensure!(layout::is_recording(&file.name), "the server asks for a file {:?}", file.name);
        let path = dir.join(&file.name);
        let what = || format!("reading {}", path.display());
        let mut source = tokio::fs::File::open(&path).await.with_context(what)?;
        let mut offset = file.received;
        source.seek(std::io::SeekFrom::Start(offset)).await.with_context(what)?;
        while offset < file.size {
            let most = self.leave().await;
            let left = usize::try_from(file.size - offset).unwrap_or(most);
            let mut chunk = vec![0; most.min(left)];
            source.read_exact(&mut chunk).await.with_context(what)?;
            let len = u64::try_from(chunk.len()).unwrap_or(0);
            let path = format!("/v1/episodes/{id}/files/{}?offset={offset}", file.name);
            let chunk = bytes::Bytes::from(chunk);
            let begun = clock::mono_ms();
            self.send(Method::PATCH, &path, |r| {
                r.header("content-type", "application/octet-stream").body(chunk.clone())
            })
            .await?;
            self.budget.sent(chunk.len(), clock::mono_ms().since(begun));
            offset += len;
        }
        Ok(())
    }

    /// Waits until a chunk may go; how large it may be.
    async fn leave(&mut self) -> usize {
        loop {
            match self.budget.ask(clock::mono_ms(), self.shared.lease().is_some()) {
                Leave::Send(most) => return most,
                Leave::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            }
        }
    }

    async fn call<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<T> {
        let bytes = self.send(method, path, body).await?;
        serde_json::from_slice(&bytes).with_context(|| format!("the server's answer on {path}"))
    }

    /// One request, signed in; once more when the session has run out.
    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<bytes::Bytes> {
        for attempt in 0..2 {
            let token = match self.token.clone() {
                Some(token) => token,
                None => self.sign_in().await?,
            };
            let url = format!("{}{path}", self.server);
            let request = self.client.request(method.clone(), &url).timeout(REQUEST_TIMEOUT);
            let response = body(request.bearer_auth(token)).send().await.context("no answer")?;
            let status = response.status();
            let bytes = response.bytes().await.context("reading an answer")?;
            if status.is_success() {
                return Ok(bytes);
            }
            let problem = serde_json::from_slice::<Problem>(&bytes).ok();
            if status.as_u16() == 401 && attempt == 0 {
                self.token = None;
                continue;
            }
            let Some(problem) = problem else { bail!("the server answers {status} on {path}") };
            let (code, detail) = (problem.code, problem.detail);
            // Only these say that the episode itself is at fault.
            if [code::NOT_VERIFIED, code::FORBIDDEN, code::BAD_REQUEST, code::TOO_LARGE]
                .contains(&code.as_str())
            {
                return Err(Refused { code, detail }.into());
            }
            bail!("{detail} ({code})");
        }
        Err(anyhow!("the server does not accept this robot's session"))
    }

    async fn sign_in(&mut self) -> Result<String> {
        let did = self.key.did();
        let challenge: Challenge =
            self.public("/v1/auth/challenge", &ChallengeRequest { did }).await?;
        let signature = hex::encode(self.key.sign(&auth_bytes(&challenge.nonce)));
        let request = SessionRequest { did, nonce: challenge.nonce, signature };
        let session: Session = self.public("/v1/auth/session", &request).await?;
        self.token = Some(session.token.clone());
        Ok(session.token)
    }

    async fn public<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<T> {
        let url = format!("{}{path}", self.server);
        let response = self.client.post(&url).timeout(REQUEST_TIMEOUT).json(body).send().await;
        let response = response.with_context(|| format!("no fleet-server at {}", self.server))?;
        let status = response.status();
        let bytes = response.bytes().await.context("reading an answer")?;
        ensure!(status.is_success(), "signing in: {status} {}", String::from_utf8_lossy(&bytes));
        serde_json::from_slice(&bytes).with_context(|| format!("the server's answer on {path}"))
    }
}
