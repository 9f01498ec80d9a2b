//! The gateway's own certificate for the message router: asked for at the start, renewed in time.

use crate::app::App;
use crate::clock;
use crate::problem::ApiError;
use anyhow::{Context, Result};
use fabric_tunnel::Files;
use protocol::api::{AcceptInvitation, invitation_bytes};
use protocol::credentials::{Asking, Granted};
use protocol::problem::code;
use protocol::units::WallMs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use tempfile::NamedTempFile;

const RETRY: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Asks until the fleet gives a certificate.
pub(crate) async fn first(app: &App) -> (Files, WallMs) {
    let mut told = None;
    loop {
        match renew(app).await {
            Ok(got) => return got,
            Err(error) => {
                let words = format!("{error:#}");
                if told.as_ref() != Some(&words) {
                    tracing::warn!("no certificate for the message router yet; trying on: {words}");
                    told = Some(words);
                }
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Renews the certificate whenever it is time, for ever. The files are read when the next link is opened.
pub(crate) async fn keep(app: &App, mut renew_at: WallMs) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if clock::wall() < renew_at {
            continue;
        }
        match renew(app).await {
            Ok((_, next)) => {
                tracing::info!("the certificate for the message router is renewed");
                renew_at = next;
            }
            Err(error) => tracing::warn!("the certificate for the message router: {error:#}"),
        }
    }
}

async fn renew(app: &App) -> Result<(Files, WallMs)> {
    let fleet_did = app.fleet.info().await.map_err(words)?.fleet_did;
    let asked = ask(app, fleet_did).await;
    let granted = match (&app.config.code, asked) {
        // The fleet does not know our key yet: a code is the way in.
        (Some(code), Err(error)) if error.downcast_ref::<NotKnown>().is_some() => {
            join(app, code).await?;
            ask(app, fleet_did).await?
        }
        (_, asked) => asked?,
    };
    let key = &app.config.key;
    let (tls_pem, root_pem) = (key.with_extension("tls.pem"), key.with_extension("root.pem"));
    write(&tls_pem, &granted.tls_pem)?;
    write(&root_pem, &granted.credentials.root)?;
    Ok((Files { tls_pem, root_pem }, granted.credentials.renew_at))
}

/// The fleet does not know the gateway's key.
#[derive(Debug, thiserror::Error)]
#[error(
    "the fleet does not know this gateway: have an operator make an invitation (POST /v1/invitations, role gateway) and \
     start it once with --code CODE"
)]
struct NotKnown;

fn words(error: ApiError) -> anyhow::Error {
    if error.code() == code::SIGN_IN {
        return NotKnown.into();
    }
    anyhow::anyhow!("{} ({})", error.detail(), error.code())
}

async fn ask(app: &App, fleet: protocol::keys::Did) -> Result<Granted> {
    let asking = Asking::begin(&app.key, clock::wall()).context("making a key")?;
    let envelope = app.fleet.certificate(asking.request()).await.map_err(words)?;
    Ok(asking.take(&envelope, &fleet)?)
}

async fn join(app: &App, code: &str) -> Result<()> {
    let accept = AcceptInvitation {
        did: app.did,
        name: "Gateway".to_owned(),
        signature: hex::encode(app.key.sign(&invitation_bytes(code))),
    };
    app.fleet.accept_invitation(code, &accept).await.map_err(words)?;
    tracing::info!(gateway = %app.did, "registered with the fleet");
    Ok(())
}

/// Writes a file so that a reader finds the old one or the new one, whole.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let written = || -> std::io::Result<()> {
        // Mode 0600, as its library makes all of them.
        let mut file = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    written().with_context(|| format!("cannot write {}", path.display()))
}
