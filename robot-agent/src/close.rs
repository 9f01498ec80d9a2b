//! What the sensors that look a few steps far said last: range cones, bumpers, drop sensors.

use crate::config::{BUMPERS_MAX, RANGES_MAX, RangeKind, RangeSensor, Ros, Side};
use agent_core::Close;
use agent_core::policy::{CloseSensors, ObstacleGuard};
use protocol::units::MonoMs;
use ros_msgs::sensor_msgs::Range;

const WORDS: usize = RANGES_MAX + BUMPERS_MAX;
/// Rays that stand for a cone.
const RAYS: u32 = 33;
/// Opening that a cone has at most, rad: half of all there is.
const OPENING_RAD_MAX: f64 = std::f64::consts::PI;

/// Where the sensors sit, and the robot's outline.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) guard: ObstacleGuard,
    ranges: Vec<RangeSensor>,
    bumpers: Vec<Side>,
}

impl Layout {
    pub(crate) fn new(ros: &Ros, guard: &ObstacleGuard) -> Self {
        let bumpers = ros.bumper.iter().map(|bumper| bumper.side).collect();
        Self { guard: guard.clone(), ranges: ros.range.clone(), bumpers }
    }
}

/// Whether a sensor is there, and what is expected of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Speech {
    #[default]
    Absent,
    Repeats,
    OnChange,
}

/// The newest word of each sensor: first the range sensors, then the bumpers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CloseWords {
    speech: [Speech; WORDS],
    words: [Option<Close>; WORDS],
}

impl Default for CloseWords {
    fn default() -> Self {
        Self { speech: [Speech::Absent; WORDS], words: [None; WORDS] }
    }
}

impl CloseWords {
    pub(crate) fn new(ros: &Ros) -> Self {
        let mut all = Self::default();
        for (speech, _) in all.speech.iter_mut().zip(&ros.range) {
            *speech = Speech::Repeats;
        }
        for (speech, bumper) in all.speech.iter_mut().skip(RANGES_MAX).zip(&ros.bumper) {
            *speech = if bumper.on_change { Speech::OnChange } else { Speech::Repeats };
        }
        all
    }

    /// Takes note of a cone's word. What is no number is no word: it must go stale.
    pub(crate) fn take_range(&mut self, n: usize, arrived: MonoMs, word: &Range, layout: &Layout) {
        let (Some(sensor), Some(slot)) = (layout.ranges.get(n), self.words.get_mut(n)) else {
            return;
        };
        if let Some(seen) = seen(word, sensor, &layout.guard) {
            *slot = Some(Close { arrived, ..seen });
        }
    }

    /// Takes note of a bumper's word.
    pub(crate) fn take_bumper(
        &mut self,
        n: usize,
        arrived: MonoMs,
        pressed: bool,
        layout: &Layout,
    ) {
        let slot = self.words.get_mut(RANGES_MAX.saturating_add(n));
        let (Some(side), Some(slot)) = (layout.bumpers.get(n), slot) else { return };
        *slot = Some(Close {
            arrived,
            bumper_front: pressed && *side == Side::Front,
            bumper_rear: pressed && *side == Side::Rear,
            ..Close::default()
        });
    }

    /// What all of them say together, for the safety core. Where the robot must have them, one that is silent makes all of
    /// it old, or nothing when it has never spoken; elsewhere only those that speak count.
    pub(crate) fn core(&self, now: MonoMs, policy: &CloseSensors) -> Option<Close> {
        let mut sum: Option<Close> = None;
        for (speech, word) in self.speech.iter().zip(&self.words) {
            let word = match (speech, word) {
                (Speech::Absent, _) | (Speech::OnChange, None) => continue,
                (Speech::OnChange, Some(word)) => Close { arrived: now, ..*word },
                (Speech::Repeats, None) if policy.active => return None,
                (Speech::Repeats, None) => continue,
                (Speech::Repeats, Some(word)) => {
                    let old = now.since(word.arrived) > u64::from(policy.age_ms_max);
                    if old && !policy.active {
                        continue;
                    }
                    *word
                }
            };
            sum = Some(sum.map_or(word, |sum| joined(sum, word)));
        }
        sum
    }
}

fn joined(a: Close, b: Close) -> Close {
    let nearer = |a: Option<u32>, b: Option<u32>| a.zip(b).map(|(a, b)| a.min(b)).or(a).or(b);
    Close {
        arrived: a.arrived.min(b.arrived),
        ahead_mm: nearer(a.ahead_mm, b.ahead_mm),
        behind_mm: nearer(a.behind_mm, b.behind_mm),
        bumper_front: a.bumper_front || b.bumper_front,
        bumper_rear: a.bumper_rear || b.bumper_rear,
        drop_ahead: a.drop_ahead || b.drop_ahead,
        drop_behind: a.drop_behind || b.drop_behind,
    }
}

/// What one range sensor sees; none when it says nothing that can be used. Something nearer than it measures is there,
/// right before it.
fn seen(word: &Range, sensor: &RangeSensor, guard: &ObstacleGuard) -> Option<Close> {
    let (range_m, far_m) = (f64::from(word.range), f64::from(word.max_range));
    let opening_rad = f64::from(word.field_of_view);
    if range_m.is_nan() || !far_m.is_finite() || !opening_rad.is_finite() {
        return None;
    }
    let near = range_m < f64::from(word.min_range);
    match sensor.kind {
        RangeKind::Drop => {
            let drops = !near && range_m > sensor.ground_m_max;
            let ahead = sensor.yaw_rad.cos() >= 0.0;
            Some(Close {
                drop_ahead: drops && ahead,
                drop_behind: drops && !ahead,
                ..Close::default()
            })
        }
        RangeKind::Obstacle => {
            let distance_m = if near { 0.0 } else { range_m };
            let met = distance_m <= far_m;
            let opening_rad = opening_rad.clamp(0.0, OPENING_RAD_MAX);
            let cone = Cone { sensor, opening_rad, guard };
            Some(if met { cone.met(distance_m) } else { cone.clear(far_m.max(0.0)) })
        }
    }
}

struct Cone<'a> {
    sensor: &'a RangeSensor,
    opening_rad: f64,
    guard: &'a ObstacleGuard,
}

impl Cone<'_> {
    /// Something is that far away, anywhere in the cone: the nearest place in the robot's corridor counts.
    fn met(&self, distance_m: f64) -> Close {
        let mut close = Close::default();
        let corridor_m = self.guard.half_width_m + self.guard.side_margin_m;
        for n in 0..RAYS {
            let part = f64::from(n) / f64::from(RAYS - 1) - 0.5;
            let (sin, cos) = (self.sensor.yaw_rad + part * self.opening_rad).sin_cos();
            let x_m = self.sensor.x_m + distance_m * cos;
            let y_m = self.sensor.y_m + distance_m * sin;
            if y_m.abs() > corridor_m {
                continue;
            }
            let way = self.way(x_m, cos);
            close = joined(way, close);
        }
        close
    }

    /// Nothing is in the cone: a cone that looks straight along the corridor vouches for its own length.
    fn clear(&self, far_m: f64) -> Close {
        // Half a degree of tolerance, for yaw is measured by hand.
        let half_rad = self.opening_rad / 2.0 + 0.01;
        let cos = self.sensor.yaw_rad.cos();
        if cos.abs() < half_rad.cos() || half_rad > std::f64::consts::FRAC_PI_2 {
            return Close::default();
        }
        self.way(self.sensor.x_m + far_m * cos.signum(), cos)
    }

    /// The free way to a place at `x_m`, by where it lies and, right in the middle, by where the ray points.
    fn way(&self, x_m: f64, cos: f64) -> Close {
        let mut close = Close::default();
        if x_m > 0.0 || (x_m == 0.0 && cos >= 0.0) {
            close.ahead_mm = Some(millimetres(x_m - self.guard.front_m));
        } else {
            close.behind_mm = Some(millimetres(-x_m - self.guard.rear_m));
        }
        close
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped first; NaN gives 0, which is no way"
)]
fn millimetres(distance_m: f64) -> u32 {
    (distance_m * 1000.0).clamp(0.0, 1_000_000.0) as u32
}

#[cfg(test)]
mod tests;
