//! Sealing, and what a crash left.

use crate::clock;
use crate::home::Home;
use episode::{Ending, OpenEpisode, Recorded};
use protocol::keys::PrivateKey;
use std::path::Path;

/// Seals a finished or recovered episode as the next one of this robot's chain. Whether it worked.
pub(crate) fn seal(home: &Home, dir: &Path, ending: Ending, key: &PrivateKey) -> bool {
    let shown = dir.display();
    let previous_manifest_sha256 = match home.previous_manifest() {
        Ok(previous) => previous,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the chain of manifests is broken here");
            None
        }
    };
    match episode::seal(dir, Ending { previous_manifest_sha256, ..ending }, key) {
        Ok(sealed) => {
            // A crash here starts the next manifest from the one before: the chain then forks, and says so.
            if let Err(error) = home.write_previous_manifest(&sealed.manifest_sha256) {
                tracing::error!(error = format!("{error:#}"), "the chain was not kept");
            }
            let (duration_s, distance_m) = (sealed.summary.duration_s, sealed.summary.distance_m);
            tracing::info!(episode = %shown, duration_s, distance_m, "episode sealed");
            true
        }
        Err(error) => {
            tracing::error!(episode = %shown, error = words(&error), "the episode was not sealed; tried again at the next start");
            false
        }
    }
}

/// An error with its causes: episodes' errors name a file first, and what is wrong with it after that.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

/// Recovers and seals every episode that a crash left open.
pub(crate) fn recover_all(home: &Home, key: &PrivateKey) {
    let episodes = match home.list_episodes() {
        Ok(episodes) => episodes,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "episodes can't be looked through");
            return;
        }
    };
    for (id, dir) in episodes {
        match OpenEpisode::read(&dir) {
            Ok(Some(_)) => {}
            Ok(None) => continue,
            Err(error) => {
                tracing::error!(episode = %id, error = words(&error), "an episode can't be recovered");
                continue;
            }
        }
        recover(home, &dir, "crashed", key);
    }
}

/// Recovers and seals an episode whose recorder did not finish it. Whether nothing is left to do.
pub(crate) fn recover(home: &Home, dir: &Path, why: &str, key: &PrivateKey) -> bool {
    match episode::recover(dir) {
        Ok(Some(loss)) => {
            let files = loss.files.len();
            tracing::warn!(episode = %dir.display(), files, why, "an episode that was left open is recovered");
            let ending = Ending {
                at: clock::wall_ms(),
                why: why.to_owned(),
                recorded: Recorded::default(),
                previous_manifest_sha256: None,
            };
            seal(home, dir, ending, key)
        }
        Ok(None) => true,
        Err(error) => {
            tracing::error!(episode = %dir.display(), error = words(&error), "an episode can't be recovered now");
            false
        }
    }
}
