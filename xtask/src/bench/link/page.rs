//! A page in a headless Chromium that writes down what arrives until it is told to end.

use super::measure::Series;
use crate::setup;
use crate::{progress, root};
use anyhow::{Context, Result, ensure};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long a page may take to close its browser.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// A script of tests/browser with its browser.
pub(super) struct Page {
    child: Child,
    lines: Receiver<String>,
}

impl Page {
    /// Starts `script`, which keeps what was shown in the file `shown`. The script's own arguments come last.
    pub(super) fn start(script: &str, shown: &Path, args: &[String]) -> Result<Self> {
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "node", script, "--chromium"])
            .arg(setup::chromium()?)
            .arg("--shown")
            .arg(shown)
            .args(args)
            .current_dir(root().join("tests/browser"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {script} (node)"))?;
        let out = child.stdout.take().context("the page's output")?;
        let (told, lines) = channel();
        std::thread::Builder::new().name("page".to_owned()).spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if told.send(line).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { child, lines })
    }

    fn line(&self, what: &str, seconds: u64) -> Result<String> {
        let line = self.lines.recv_timeout(Duration::from_secs(seconds));
        line.with_context(|| format!("{what} did not come within {seconds} s"))
    }

    /// Waits until pictures come.
    pub(super) fn wait_until_it_streams(&self) -> Result<()> {
        let line = self.line("a peer's pictures", 40)?;
        ensure!(line.contains("streams"), "the page said {line:?}");
        Ok(())
    }

    /// Lets the page end, and gives what it saw.
    pub(super) fn end(mut self) -> Result<Series> {
        let mut input = self.child.stdin.take().context("the page's input")?;
        writeln!(input, "end").context("the page has gone")?;
        let line = self.line("what the page saw", 90)?;
        let seen: Series = serde_json::from_str(&line).context("what the page saw")?;
        // It closes its browser now; who is told to end twice may stumble.
        let until = Instant::now() + CLOSE_MAX;
        while self.child.try_wait()?.is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(seen.believed())
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // Node must clean up its browser: ask first. It fails for one that has ended, which is what is wanted.
        drop(Command::new("kill").arg(self.child.id().to_string()).stderr(Stdio::null()).status());
        if self.child.wait().is_err() {
            progress("a page was lost");
        }
    }
}
