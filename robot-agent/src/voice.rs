//! The robot's voice: one text at a time, on a thread of its own, a few waiting.

use crate::clock;
use crate::config::Speech;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

/// Texts that may wait while one is said.
pub(crate) const WAITING_MAX: usize = 4;
/// The longest that one text may take. 500 characters take half a minute.
const SAY_WITHIN: Duration = Duration::from_secs(60);
/// How often a speaking program is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Kept files at most; the oldest go.
const KEPT_MAX: usize = 200;
/// Words of a failed program that are told.
const WORDS_MAX: u64 = 300;

/// Something that speaks.
pub(crate) trait Speaker: Send + Sync + 'static {
    /// Whether it could speak now; if not, what is missing and what to do.
    fn check(&self) -> Result<(), String>;
    /// Says a text and returns when it is said.
    fn say(&self, text: &str) -> Result<(), String>;
}

/// Why a text is not said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VoiceError {
    #[error("this robot does not speak: {0}")]
    Mute(String),
    #[error("the robot is still speaking, and {WAITING_MAX} texts wait: try again when it is done")]
    Busy,
}

/// The way to the voice.
pub(crate) struct Voice {
    /// None when the owner switched it off.
    speaker: Option<Arc<dyn Speaker>>,
    queue: SyncSender<String>,
}

impl Voice {
    /// Starts the thread. `failed` hears, in words, of texts that could not be said.
    pub(crate) fn start(
        speaker: Option<Arc<dyn Speaker>>,
        failed: impl Fn(&str) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (queue, texts) = sync_channel::<String>(WAITING_MAX);
        if let Some(speaker) = speaker.clone() {
            std::thread::Builder::new().name("voice".to_owned()).spawn(move || {
                for text in texts {
                    if let Err(error) = speaker.say(&text) {
                        failed(&error);
                    }
                }
            })?;
        }
        Ok(Self { speaker, queue })
    }

    /// Whether it could speak now. Looks for a program on the disk.
    pub(crate) fn check(&self) -> Result<(), VoiceError> {
        let off = || VoiceError::Mute("its owner switched the voice off".to_owned());
        self.speaker.as_ref().ok_or_else(off)?.check().map_err(VoiceError::Mute)
    }

    /// Queues a text. Looks for a program on the disk, waits for nothing else.
    pub(crate) fn say(&self, text: String) -> Result<(), VoiceError> {
        self.check()?;
        self.queue.try_send(text).map_err(|error| match error {
            TrySendError::Full(_) => VoiceError::Busy,
            TrySendError::Disconnected(_) => VoiceError::Mute("its voice has failed".to_owned()),
        })
    }
}

/// `espeak-ng`, or a program that is called in the same way.
pub(crate) struct Espeak {
    config: Speech,
}

impl Espeak {
    pub(crate) fn new(config: Speech) -> Self {
        Self { config }
    }

    /// As child process, the text written to it.
    fn start(&self, text: &str, keep: Option<&Path>) -> Result<Child, String> {
        let mut command = Command::new(&self.config.command);
        if let Some(voice) = &self.config.voice {
            command.arg("-v").arg(voice);
        }
        if let Some(file) = keep {
            command.arg("-w").arg(file);
        }
        // By standard input: a text that begins with '-' is no option.
        command.arg("--stdin").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let shown = &self.config.command;
        let mut child =
            command.spawn().map_err(|error| format!("{shown} does not start: {error}"))?;
        if let Some(mut input) = child.stdin.take()
            && let Err(error) = input.write_all(text.as_bytes())
        {
            // Its exit tells more.
            tracing::debug!(%error, "the speaking program did not take its text");
        }
        Ok(child)
    }

    fn run(&self, text: &str, keep: Option<&Path>) -> Result<(), String> {
        let mut child = self.start(text, keep)?;
        let shown = &self.config.command;
        let until = Instant::now() + SAY_WITHIN;
        let ended = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < until => std::thread::sleep(LOOK_EVERY),
                hung => {
                    // It may have ended just now; then there is nothing to end.
                    child.kill().unwrap_or_default();
                    drop(child.wait());
                    return Err(match hung {
                        Err(error) => format!("{shown} can't be watched: {error}"),
                        Ok(_) => format!("{shown} took more than {} s", SAY_WITHIN.as_secs()),
                    });
                }
            }
        };
        if ended.success() {
            return Ok(());
        }
        let mut words = String::new();
        if let Some(stderr) = child.stderr.take() {
            // What can't be read is not told.
            stderr.take(WORDS_MAX).read_to_string(&mut words).unwrap_or_default();
        }
        Err(format!("{shown} failed ({ended}): {}", words.trim()))
    }
}

impl Speaker for Espeak {
    fn check(&self) -> Result<(), String> {
        if find(&self.config.command) {
            return Ok(());
        }
        let command = &self.config.command;
        Err(format!(
            "the program {command:?} is not there; install the package espeak-ng on the robot, or name \
             another with `command` under [speech]"
        ))
    }

    fn say(&self, text: &str) -> Result<(), String> {
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let Some(folder) = &self.config.keep else { return self.run(&text, None) };
        let io = |error: std::io::Error| format!("{}: {error}", folder.display());
        std::fs::create_dir_all(folder).map_err(io)?;
        // A reader never sees half a file.
        let part = folder.join("speaking.part");
        self.run(&text, Some(&part))?;
        std::fs::rename(&part, free_name(folder)).map_err(io)?;
        prune(folder).map_err(io)
    }
}

/// Whether a program can be found: a path, or a name in one of the folders of `PATH`.
fn find(command: &str) -> bool {
    if command.contains('/') {
        return Path::new(command).is_file();
    }
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(command).is_file()))
}

/// A name by the time, so that names sort by age.
fn free_name(folder: &Path) -> PathBuf {
    let mut at = clock::wall_ms().0;
    loop {
        let path = folder.join(format!("speech-{at:013}.wav"));
        if !path.exists() {
            return path;
        }
        at += 1;
    }
}

/// Removes the oldest files of ours beyond [`KEPT_MAX`].
fn prune(folder: &Path) -> std::io::Result<()> {
    let mut kept: Vec<PathBuf> = std::fs::read_dir(folder)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with("speech-") && name.ends_with(".wav")
        })
        .collect();
    kept.sort();
    let surplus = kept.len().saturating_sub(KEPT_MAX);
    kept.iter().take(surplus).try_for_each(std::fs::remove_file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    /// Says a text when the test lets it.
    struct Slow {
        said: Mutex<Vec<String>>,
        go: Mutex<std::sync::mpsc::Receiver<()>>,
    }

    impl Speaker for Slow {
        fn check(&self) -> Result<(), String> {
            Ok(())
        }
        fn say(&self, text: &str) -> Result<(), String> {
            self.go.lock().unwrap().recv().unwrap();
            self.said.lock().unwrap().push(text.to_owned());
            Err("no loudspeaker".to_owned())
        }
    }

    #[test]
    fn one_text_at_a_time_and_few_wait() {
        let (go, wait) = channel();
        let (tell, told) = channel();
        let slow = Arc::new(Slow { said: Mutex::default(), go: Mutex::new(wait) });
        let voice = Voice::start(Some(Arc::clone(&slow) as Arc<dyn Speaker>), move |error| {
            tell.send(error.to_owned()).unwrap();
        })
        .unwrap();
        // The thread may or may not have taken the first: one is said, WAITING_MAX wait.
        let mut taken = 0;
        while voice.say(format!("text {taken}")).is_ok() {
            taken += 1;
            if taken == 1 {
                std::thread::sleep(Duration::from_millis(100));
            }
            assert!(taken <= WAITING_MAX + 1, "bounded");
        }
        assert!(taken >= WAITING_MAX);
        assert_eq!(voice.say("one more".to_owned()), Err(VoiceError::Busy));
        for _ in 0..taken {
            go.send(()).unwrap();
            assert_eq!(told.recv().unwrap(), "no loudspeaker");
        }
        assert_eq!(slow.said.lock().unwrap()[..2], ["text 0", "text 1"]);
    }

    #[test]
    fn a_missing_program_is_named() {
        let speech = Speech { command: "no-such-speaker".to_owned(), ..Speech::default() };
        let voice = Voice::start(Some(Arc::new(Espeak::new(speech))), |_| {}).unwrap();
        let error = voice.say("hello".to_owned()).unwrap_err().to_string();
        assert!(error.contains("no-such-speaker") && error.contains("espeak-ng"), "{error}");
        let off = Voice::start(None, |_| {}).unwrap();
        assert!(off.say("hello".to_owned()).unwrap_err().to_string().contains("switched"));
    }

    #[test]
    fn a_kept_text_is_a_file() {
        let dir = tempfile::tempdir().unwrap();
        // Stands in for espeak-ng: `-v VOICE -w FILE --stdin`.
        let program = dir.path().join("speaker");
        std::fs::write(&program, "#!/bin/sh\n[ \"$5\" = --stdin ] && cat > \"$4\"\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).unwrap();
        let keep = dir.path().join("kept");
        let speaker = Espeak::new(Speech {
            command: program.display().to_string(),
            voice: Some("en".to_owned()),
            keep: Some(keep.clone()),
            ..Speech::default()
        });
        speaker.check().unwrap();
        speaker.say("-w /etc/passwd\nhello").unwrap();
        speaker.say("again").unwrap();
        let mut files: Vec<_> =
            std::fs::read_dir(&keep).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert_eq!(files.len(), 2);
        assert_eq!(std::fs::read_to_string(&files[0]).unwrap(), "-w /etc/passwd hello");
        for n in 0..KEPT_MAX {
            std::fs::write(keep.join(format!("speech-{n:013}.wav")), "").unwrap();
        }
        prune(&keep).unwrap();
        assert_eq!(std::fs::read_dir(&keep).unwrap().count(), KEPT_MAX);
        assert!(files[1].exists(), "the oldest went");
    }

    #[test]
    fn a_failing_program_is_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("speaker");
        std::fs::write(&program, "#!/bin/sh\necho no sound card >&2\nexit 3\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).unwrap();
        let command = program.display().to_string();
        let error = Espeak::new(Speech { command, ..Speech::default() }).say("x").unwrap_err();
        assert!(error.contains("no sound card"), "{error}");
    }
}
