//! Decides for each frame of a camera which encode goes into the episode.

use super::{Decision, Recording, Told, What, encode};
use crate::clock;
use crate::media::camera::lock;
use crate::media::encoder::Chosen;
use crate::media::feed::Raw;
use crate::media::{CameraConfig, Codec, EncodedFrame};
use protocol::units::MonoNs;
use ros_bridge::priority;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};

/// Raw frames that may wait for the recording's encode.
const QUEUE: usize = 4;
/// Over such a time it is judged whether the encode keeps up.
const WINDOW_NS: u64 = 2_000_000_000;
/// More than one in so many frames dropped in a window: it does not.
const DROPPED_ONE_IN: u32 = 10;
/// An encode has so long to give its first frame; what is dropped until then says nothing.
const FIRST_WITHIN_NS: u64 = 3_000_000_000;

/// How well an encode keeps up.
#[derive(Debug)]
struct Window {
    started: MonoNs,
    begun: MonoNs,
    /// It has given a frame.
    runs: bool,
    offered: u32,
    dropped: u32,
}

/// What a window shows when it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Nothing,
    Dropped(u32),
    TooSlow,
}

impl Window {
    const fn new(now: MonoNs) -> Self {
        Self { started: now, begun: now, runs: false, offered: 0, dropped: 0 }
    }

    fn offered(&mut self, now: MonoNs, taken: bool) -> Shown {
        if !self.runs {
            self.begun = now;
            let late = now.since(self.started) > FIRST_WITHIN_NS;
            return if late { Shown::TooSlow } else { Shown::Nothing };
        }
        self.offered += 1;
        self.dropped += u32::from(!taken);
        if now.since(self.begun) < WINDOW_NS {
            return Shown::Nothing;
        }
        let (offered, dropped) = (self.offered, self.dropped);
        (self.begun, self.offered, self.dropped) = (now, 0, 0);
        if dropped > offered / DROPPED_ONE_IN {
            Shown::TooSlow
        } else if dropped > 0 {
            Shown::Dropped(dropped)
        } else {
            Shown::Nothing
        }
    }
}

#[derive(Debug)]
enum Mode {
    Idle,
    /// The live frames, from the next keyframe on.
    Shared {
        decodable: bool,
    },
    Separate {
        raw: SyncSender<Raw>,
        window: Window,
    },
}

struct Inner {
    episode: Option<u64>,
    /// How what is sent is encoded.
    sent: Codec,
    mode: Mode,
    /// Counts the encodes: what an older one still gives is not of this episode.
    generation: u64,
    /// Capture of the newest recorded frame: time only grows, whichever encode the next comes from.
    newest: MonoNs,
    /// The separate encode was given up, and nobody was told yet.
    gave_up: bool,
}

/// The switch of one camera. Its lock is held for moments only, by capture, live encode and the recording's encode.
pub(super) struct Switch {
    config: CameraConfig,
    recording: Arc<dyn Recording>,
    inner: Mutex<Inner>,
}

impl Switch {
    pub(super) fn new(config: CameraConfig, recording: Arc<dyn Recording>) -> Self {
        let inner = Inner {
            episode: None,
            sent: Codec::H264,
            mode: Mode::Idle,
            generation: 0,
            newest: MonoNs(0),
            gave_up: false,
        };
        Self { config, recording, inner: Mutex::new(inner) }
    }

    pub(super) fn is_new(&self, episode: Option<u64>) -> bool {
        lock(&self.inner).episode != episode
    }

    /// An episode has begun, or the last one has ended.
    pub(super) fn begin(
        self: &Arc<Self>,
        episode: Option<u64>,
        decision: Option<Decision>,
        encoder: Option<Chosen>,
    ) {
        let mut inner = lock(&self.inner);
        inner.episode = episode;
        inner.generation += 1;
        (inner.newest, inner.gave_up) = (MonoNs(0), false);
        // The end of the sender is the end of an encode that runs.
        inner.mode = Mode::Idle;
        if episode.is_none() {
            return;
        }
        let Decision { separate, why } = decision.unwrap_or_else(|| Decision {
            separate: false,
            why: "nothing is known of the machine".to_owned(),
        });
        let started = match encoder {
            Some(encoder) if separate => self.start(encoder, inner.generation),
            None if separate => Err("no encoder is chosen yet".to_owned()),
            _ => Err(why.clone()),
        };
        match started {
            Ok(raw) => {
                inner.mode = Mode::Separate { raw, window: Window::new(clock::mono_ns()) };
                let CameraConfig { recording, bitrate_kbps, .. } = &self.config;
                let bitrate_kbps = recording.bitrate_kbps.unwrap_or(*bitrate_kbps);
                self.tell(What::Separate { bitrate_kbps, why });
            }
            Err(why) => {
                inner.mode = Mode::Shared { decodable: false };
                self.tell_shared(inner.sent, why);
            }
        }
    }

    /// What is sent is encoded so from now on.
    pub(super) fn sent_as(&self, codec: Codec) {
        let mut inner = lock(&self.inner);
        if std::mem::replace(&mut inner.sent, codec) != codec
            && matches!(inner.mode, Mode::Shared { .. })
        {
            self.tell_shared(codec, "the driver's browser takes H.264 again".to_owned());
        }
    }

    /// The pipeline's encode is recorded: it is what is sent, unless that is VP8.
    fn tell_shared(&self, sent: Codec, why: String) {
        let CameraConfig { bitrate_kbps, .. } = self.config;
        self.tell(match sent {
            Codec::H264 => What::Shared { why },
            Codec::Vp8 => {
                let why = "the driver's browser has no H.264 and is sent VP8".to_owned();
                What::Separate { bitrate_kbps, why }
            }
        });
    }

    fn start(
        self: &Arc<Self>,
        encoder: Chosen,
        generation: u64,
    ) -> Result<SyncSender<Raw>, String> {
        let (raw, frames) = sync_channel(QUEUE);
        let this = Arc::clone(self);
        let thread = std::thread::Builder::new().name(format!("record-{}", self.config.camera));
        let run = move || {
            // The drive and the live video come first.
            priority::lower();
            let switch = Arc::clone(&this);
            let deliver = move |frame| switch.separate(generation, frame);
            if let Err(why) = encode::run(&this.config, &encoder, &frames, deliver) {
                this.give_up(&mut lock(&this.inner), generation, why);
            }
        };
        thread.spawn(run).map(|_detached| raw).map_err(|error| format!("no thread for it: {error}"))
    }

    /// Whether captured frames are encoded for the episode.
    pub(super) fn wants(&self) -> bool {
        matches!(lock(&self.inner).mode, Mode::Separate { .. })
    }

    /// Whether the separate encode was given up since this was asked last, so that a keyframe is wanted.
    pub(super) fn gave_up(&self) -> bool {
        std::mem::take(&mut lock(&self.inner).gave_up)
    }

    /// A captured frame.
    pub(super) fn offer(&self, frame: Raw) {
        let mut inner = lock(&self.inner);
        let generation = inner.generation;
        let Mode::Separate { raw, window } = &mut inner.mode else { return };
        let taken = match raw.try_send(frame) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => false,
            Err(TrySendError::Disconnected(_)) => {
                return self.give_up(&mut inner, generation, "its thread has ended".to_owned());
            }
        };
        match window.offered(clock::mono_ns(), taken) {
            Shown::TooSlow => {
                self.give_up(&mut inner, generation, "it does not keep up".to_owned())
            }
            Shown::Dropped(count) => self.tell(What::Dropped { count }),
            Shown::Nothing => {}
        }
    }

    /// From here on the live frames are recorded.
    fn give_up(&self, inner: &mut Inner, generation: u64, why: String) {
        if inner.generation != generation || !matches!(inner.mode, Mode::Separate { .. }) {
            return;
        }
        inner.generation += 1;
        inner.mode = Mode::Shared { decodable: false };
        inner.gave_up = true;
        self.tell_shared(inner.sent, why);
    }

    /// A frame of the pipeline's encode.
    pub(super) fn live(&self, frame: EncodedFrame) {
        let mut inner = lock(&self.inner);
        let newest = inner.newest;
        let Mode::Shared { decodable } = &mut inner.mode else { return };
        // A recording has one size. Made smaller for the link, live pictures are not it.
        let fits = (frame.width, frame.height) == (self.config.width, self.config.height);
        *decodable &= fits;
        *decodable |= fits && frame.keyframe && frame.capture > newest;
        if *decodable {
            inner.newest = frame.capture;
            self.recording.frame(frame);
        }
    }

    pub(super) fn takes_live(&self) -> bool {
        matches!(lock(&self.inner).mode, Mode::Shared { .. })
    }

    /// A frame of the recording's encode.
    fn separate(&self, generation: u64, frame: EncodedFrame) {
        let mut inner = lock(&self.inner);
        if inner.generation != generation || frame.capture <= inner.newest {
            return;
        }
        inner.newest = frame.capture;
        if let Mode::Separate { window, .. } = &mut inner.mode {
            window.runs = true;
        }
        self.recording.frame(frame);
    }

    fn tell(&self, what: What) {
        let camera = self.config.name.clone();
        match &what {
            What::Separate { bitrate_kbps, why } => {
                tracing::info!(camera, bitrate_kbps, why, "the episode gets an encode of its own");
            }
            What::Shared { why } => {
                tracing::info!(camera, why, "the episode gets what is sent");
            }
            What::Dropped { count } => {
                tracing::warn!(camera, count, "the recording's encode dropped frames");
            }
        }
        self.recording.tell(Told { camera, what });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(window: &mut Window, from_ms: u64, drop_every: u64) -> Vec<Shown> {
        let frames = (0..100).map(|n| {
            let now = MonoNs((from_ms + n * 33) * 1_000_000);
            window.offered(now, drop_every == 0 || n % drop_every != 0)
        });
        frames.filter(|shown| *shown != Shown::Nothing).collect()
    }

    #[test]
    fn an_encode_may_start_slowly_and_must_then_keep_up() {
        let mut window = Window::new(MonoNs(0));
        assert_eq!(window.offered(MonoNs(FIRST_WITHIN_NS), false), Shown::Nothing);
        assert_eq!(window.offered(MonoNs(FIRST_WITHIN_NS + 1), false), Shown::TooSlow);
        window.runs = true;
        assert_eq!(shown(&mut window, 3_000, 0), []);
        assert!(matches!(shown(&mut window, 10_000, 30)[..], [Shown::Dropped(1..=5), ..]));
        assert!(shown(&mut window, 20_000, 4).contains(&Shown::TooSlow));
    }
}
