//! What the machine can carry: whether the episodes of a camera get an encode of their own.

use crate::config::Separate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Half cores that are not for encodes: drive loop, link, ROS and the robot's own programs need them.
const RESERVED_HALF_CORES: u64 = 3;
/// Of the other cores, encodes may take one part in so many.
const SHARE: u64 = 4;
/// Of an encoder in hardware, all encodes may take so much, thousandths.
const HARDWARE_MILLI_MAX: u64 = 500;

/// What one camera's encodes take, and what its owner wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Demand {
    pub(crate) name: String,
    pub(crate) separate: Separate,
    pub(crate) fps: u32,
    /// Mean time for one frame, microseconds; none as long as nothing is known.
    pub(crate) frame_us: Option<u64>,
    /// The encoder leaves the processor to the rest.
    pub(crate) hardware: bool,
    /// The encoder's bitrate is written in the configuration's own text.
    pub(crate) fixed: bool,
    /// A separate encode did not keep up since the start.
    pub(crate) failed: bool,
}

impl Demand {
    /// Thousandths of a core, or of the encoder in hardware, for one encode.
    fn milli(&self) -> u64 {
        self.frame_us.unwrap_or(0).saturating_mul(u64::from(self.fps)) / 1_000
    }
}

/// Whether a camera's episodes get an encode of their own, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// They do.
    pub separate: bool,
    /// Why, in words.
    pub why: String,
}

/// Decides for all cameras, the most important first.
pub(crate) fn decide(cores: u64, cameras: &BTreeMap<u8, Demand>) -> BTreeMap<u8, Decision> {
    let sum = |hardware: bool| -> u64 {
        let of = cameras.values().filter(|camera| camera.hardware == hardware);
        let always = |camera: &Demand| if camera.separate == Separate::Always { 2 } else { 1 };
        of.map(|camera| camera.milli().saturating_mul(always(camera))).sum()
    };
    let software_milli_max = (cores * 2).saturating_sub(RESERVED_HALF_CORES) * 500 / SHARE;
    let (mut software, mut hardware) = (sum(false), sum(true));
    // Once one does not fit, no less important one takes what is left.
    let mut full = false;
    let mut decided = BTreeMap::new();
    for (number, camera) in cameras {
        let (taken, most, of) = match camera.hardware {
            true => (&mut hardware, HARDWARE_MILLI_MAX, "the encoder in hardware".to_owned()),
            false => (&mut software, software_milli_max, format!("a core, of {cores}")),
        };
        let with = taken.saturating_add(camera.milli());
        let fits = !full && with <= most;
        let percent = |milli: u64| milli / 10;
        let decision = match camera.separate {
            Separate::Always => (true, "the configuration says always".to_owned()),
            Separate::Never => (false, "the configuration says never".to_owned()),
            Separate::Auto if camera.failed => {
                (false, "a separate encode did not keep up".to_owned())
            }
            Separate::Auto if camera.fixed => {
                (false, "the configuration's own encoder keeps its bitrate anyway".to_owned())
            }
            Separate::Auto if camera.frame_us.is_none() => {
                (false, "how long an encode takes is not known yet".to_owned())
            }
            Separate::Auto => {
                let (with, most) = (percent(with), percent(most));
                if fits {
                    *taken = taken.saturating_add(camera.milli());
                }
                full |= !fits;
                (fits, format!("with it all encodes take {with} % of {of}; they may take {most} %"))
            }
        };
        decided.insert(*number, Decision { separate: decision.0, why: decision.1 });
    }
    decided
}

/// The machine that all cameras share.
#[derive(Debug)]
pub struct Machine {
    cores: u64,
    cameras: Mutex<BTreeMap<u8, Demand>>,
}

impl Default for Machine {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { cores: u64::try_from(cores).unwrap_or(1), cameras: Mutex::default() }
    }
}

impl Machine {
    /// Changes what is known of a camera.
    pub(crate) fn note(&self, number: u8, change: impl FnOnce(&mut Demand)) {
        if let Some(demand) = super::lock(&self.cameras).get_mut(&number) {
            change(demand);
        }
    }

    pub(crate) fn join(&self, number: u8, demand: Demand) {
        super::lock(&self.cameras).insert(number, demand);
    }

    /// For one camera, as things are now.
    pub(crate) fn decision(&self, number: u8) -> Option<Decision> {
        decide(self.cores, &super::lock(&self.cameras)).remove(&number)
    }

    /// For all cameras, by their names, as things are now.
    pub fn decisions(&self) -> Vec<(String, Decision)> {
        let cameras = super::lock(&self.cameras);
        let decided = decide(self.cores, &cameras);
        cameras.values().map(|camera| camera.name.clone()).zip(decided.into_values()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(fps: u32, frame_us: u64) -> Demand {
        Demand {
            name: "front".to_owned(),
            separate: Separate::Auto,
            fps,
            frame_us: Some(frame_us),
            hardware: false,
            fixed: false,
            failed: false,
        }
    }

    fn decided(cores: u64, cameras: &[Demand]) -> Vec<bool> {
        let numbered = (0_u8..).zip(cameras.iter().cloned()).collect();
        decide(cores, &numbered).into_values().map(|decision| decision.separate).collect()
    }

    #[test]
    fn small_machines_share_and_large_ones_do_not() {
        let hd = camera(30, 6_000);
        assert_eq!(decided(1, std::slice::from_ref(&hd)), [false]);
        assert_eq!(decided(2, std::slice::from_ref(&hd)), [false]);
        assert_eq!(decided(2, &[camera(15, 1_000)]), [true], "a small picture costs little");
        assert_eq!(decided(4, std::slice::from_ref(&hd)), [true]);
        assert_eq!(decided(4, &vec![hd.clone(); 4]), [false; 4], "the live encodes alone fill it");
        assert_eq!(decided(8, &vec![hd; 4]), [true; 4]);
    }

    #[test]
    fn the_first_camera_comes_first_and_a_small_later_one_takes_no_place() {
        let (hd, small) = (camera(30, 6_000), camera(15, 500));
        assert_eq!(decided(4, &[hd.clone(), hd.clone(), small.clone()]), [true, false, false]);
        let always = Demand { separate: Separate::Always, ..hd.clone() };
        let never = Demand { separate: Separate::Never, ..hd.clone() };
        assert_eq!(decided(2, &[always.clone(), small]), [true, false]);
        assert_eq!(decided(64, &[never, hd]), [false, true]);
        assert_eq!(decided(1, &[always]), [true], "the owner's word");
    }

    #[test]
    fn hardware_has_a_measure_of_its_own_and_what_is_unknown_is_shared() {
        let hardware = |frame_us| Demand { hardware: true, ..camera(30, frame_us) };
        assert_eq!(decided(2, &[hardware(4_000)]), [true]);
        assert_eq!(decided(2, &[hardware(4_000), hardware(6_000)]), [true, false]);
        let base = camera(30, 100);
        assert_eq!(decided(64, &[Demand { frame_us: None, ..base.clone() }]), [false]);
        assert_eq!(decided(64, &[Demand { failed: true, ..base.clone() }]), [false]);
        assert_eq!(decided(64, &[Demand { fixed: true, ..base }]), [false]);
    }

    #[test]
    fn the_reason_has_numbers() {
        let cameras = BTreeMap::from([(0, camera(30, 6_000))]);
        let why = |cores| decide(cores, &cameras)[&0].why.clone();
        assert_eq!(why(2), "with it all encodes take 36 % of a core, of 2; they may take 12 %");
        assert_eq!(why(4), "with it all encodes take 36 % of a core, of 4; they may take 62 %");
    }
}
