//! How a running agent does, told to whoever may read its data folder: one JSON object for each connection to
//! `agent.sock`. A check asks here what it can't look at itself, such as cameras that the agent holds.

use crate::diagnostics::Part;
use crate::home::Home;
use crate::media::CameraStats;
use crate::spool::SpoolState;
pub use crate::ticks::TickReport;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

const SOCKET: &str = "agent.sock";
/// A reader that does not read is left.
const WITHIN: Duration = Duration::from_secs(2);
/// An answer longer than this is none of ours.
const LEN_MAX: u64 = 1024 * 1024;

/// How the agent does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// The robot.
    pub robot: String,
    /// What the safety core decided last, and the reason for it, as codes.
    pub state: String,
    /// The reason.
    pub reason: String,
    /// Whether somebody drives.
    pub driven: bool,
    /// How late the ticks of the drive loop were.
    pub drive_loop: TickReport,
    /// Whether the recorder can write.
    pub recorder_able: bool,
    /// Episodes on the disk.
    pub spool: SpoolState,
    /// Cameras, in the order of the configuration.
    pub cameras: Vec<CameraStats>,
    /// Parts of the robot of which their drivers say that they are not well, the worst first.
    #[serde(default)]
    pub diagnostics: Vec<Part>,
}

/// The path of the socket by way of an open folder: whatever the length of the folder's name, the path is short enough.
fn path_in(dir: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd()))
}

/// Answers from a thread of its own for as long as the program runs.
pub(crate) fn serve(home: &Home, status: impl Fn() -> Status + Send + 'static) -> Result<()> {
    let dir = File::open(home.dir()).context("opening the data folder")?;
    let path = path_in(&dir);
    // The lock on the folder is ours: what is there was left by an agent that has ended.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).context("removing the socket of an earlier agent");
        }
        _ => {}
    }
    let listener = UnixListener::bind(&path).context("binding agent.sock")?;
    std::thread::Builder::new().name("status".to_owned()).spawn(move || {
        for stream in listener.incoming() {
            let told = stream.and_then(|mut stream| {
                stream.set_write_timeout(Some(WITHIN))?;
                stream.write_all(&serde_json::to_vec(&status())?)
            });
            if let Err(error) = told {
                tracing::debug!(%error, "somebody who asked how the agent does went away");
                // Should it be the listener itself: not in a hurry.
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    })?;
    Ok(())
}

/// Asks the agent that runs with this folder; none when there is none.
pub(crate) fn ask(home: &Home) -> Result<Option<Status>> {
    let dir = File::open(home.dir()).context("opening the data folder")?;
    let stream = match UnixStream::connect(path_in(&dir)) {
        Ok(stream) => stream,
        Err(error)
            if [ErrorKind::NotFound, ErrorKind::ConnectionRefused].contains(&error.kind()) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error).context("asking the running agent (agent.sock)"),
    };
    stream.set_read_timeout(Some(WITHIN))?;
    let mut text = Vec::new();
    stream.take(LEN_MAX).read_to_end(&mut text).context("the running agent does not answer")?;
    serde_json::from_slice(&text).map(Some).context("the running agent is of another version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_answers_whatever_the_length_of_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(&dir.path().join("long".repeat(50))).unwrap();
        assert_eq!(ask(&home).unwrap(), None);
        let status = Status {
            version: "1".to_owned(),
            robot: "a".to_owned(),
            state: "idle".to_owned(),
            reason: "no_lease".to_owned(),
            driven: false,
            drive_loop: TickReport { count: 3, late_us: vec![(64, 3)], ..TickReport::default() },
            recorder_able: true,
            spool: SpoolState { waiting: 2, ..SpoolState::default() },
            cameras: Vec::new(),
            diagnostics: Vec::new(),
        };
        let told = status.clone();
        serve(&home, move || told.clone()).unwrap();
        assert_eq!(ask(&home).unwrap().unwrap(), status);
        assert_eq!(ask(&home).unwrap().unwrap(), status, "and again");
    }
}
