//! What is broken at the moment, as a file says it: a cable that is pulled while the robot drives.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A part that can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The base's driver: it hears no command any more, and neither wheels nor battery are told.
    Base,
    Odometry,
    Imu,
    Field,
    Fix,
    Scan,
    Battery,
    FrontCamera,
    RearCamera,
}

const PARTS: [(&str, Part); 9] = [
    ("base", Part::Base),
    ("odometry", Part::Odometry),
    ("imu", Part::Imu),
    ("field", Part::Field),
    ("fix", Part::Fix),
    ("scan", Part::Scan),
    ("battery", Part::Battery),
    ("front-camera", Part::FrontCamera),
    ("rear-camera", Part::RearCamera),
];

impl Part {
    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Parts that are broken. All threads look at it.
#[derive(Debug, Default)]
pub(crate) struct Faults(AtomicU32);

impl Faults {
    pub(crate) fn broken(&self, part: Part) -> bool {
        self.0.load(Ordering::Relaxed) & part.bit() != 0
    }
}

/// The file that says what is broken.
#[derive(Debug)]
pub(crate) struct Watch {
    path: PathBuf,
    text: String,
}

impl Watch {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { path, text: String::new() }
    }

    /// Reads the file anew. One that is not there says that nothing is broken.
    pub(crate) fn look(&mut self, faults: &Faults) {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        if text == self.text {
            return;
        }
        match parse(&text) {
            Ok(bits) => {
                faults.0.store(bits, Ordering::Relaxed);
                tracing::info!(broken = text.trim(), "faults");
            }
            Err(word) => {
                let known = PARTS.map(|(name, _)| name).join(", ");
                tracing::error!("{word:?} in {} is none of {known}", self.path.display());
            }
        }
        self.text = text;
    }
}

/// The bits of the parts that `text` names, or the word that is none.
fn parse(text: &str) -> Result<u32, String> {
    text.split_whitespace().try_fold(0, |bits, word| {
        let found = PARTS.iter().find(|(name, _)| *name == word);
        found.map(|(_, part)| bits | part.bit()).ok_or_else(|| word.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_breaks_parts_and_mends_them() {
        let dir = std::env::temp_dir().join(format!("sim-faults-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (path, faults) = (dir.join("faults"), Faults::default());
        let mut watch = Watch::new(path.clone());
        watch.look(&faults);
        assert!(PARTS.iter().all(|(_, part)| !faults.broken(*part)), "no file, no fault");
        std::fs::write(&path, "fix rear-camera\n").unwrap();
        watch.look(&faults);
        let broken: Vec<_> = PARTS.iter().filter(|(_, part)| faults.broken(*part)).collect();
        assert_eq!(broken, [&("fix", Part::Fix), &("rear-camera", Part::RearCamera)]);
        std::fs::write(&path, "fix gnss").unwrap();
        watch.look(&faults);
        assert!(faults.broken(Part::RearCamera), "what can't be read changes nothing");
        std::fs::write(&path, "").unwrap();
        watch.look(&faults);
        assert!(!faults.broken(Part::Fix));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
