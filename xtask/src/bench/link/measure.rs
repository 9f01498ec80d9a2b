//! What a drive over a bad network was like, from what the page, the simulator and the relay wrote down.

use crate::rig::{TraceLine, stop_in};
use serde::Deserialize;
use serde_json::{Value, json};

/// A picture that stands longer than this is frozen: six pictures late, and a pilot sees it.
const FREEZE_MS: f64 = 200.0;
/// No picture is on its way for longer: a network's queue, an outage and its repair come to less.
const AGE_MS_MAX: f64 = 20_000.0;
/// Pictures are back when they came for so long without a freeze.
const STEADY_MS: f64 = 1_000.0;
/// How often the age of what is on the screen is looked at.
const LOOK_EVERY_MS: f64 = 10.0;
/// The robot drives.
const DRIVES_MPS: f64 = 0.2;

/// What the pilot's page wrote down; times in ms since the Unix epoch.
#[derive(Debug, Deserialize)]
pub(super) struct Series {
    /// When a picture was shown, and when it was made.
    frames: Vec<(f64, Option<f64>)>,
    link: Vec<Value>,
    /// When it came; the robot's clock; the command that it had last, and for how long; age of what the pilot saw; state.
    telemetry: Vec<(f64, f64, u32, f64, f64, u8)>,
    commands: Vec<(f64, u32, bool)>,
    pub(super) lost: Vec<Value>,
}

/// What a sender meant to send: when, in ms since the Unix epoch, and how much, in kbit/s.
#[derive(Debug, Clone, Default)]
pub(super) struct Told(pub(super) Vec<(f64, f64)>);

impl Told {
    /// As our agent's log has it.
    pub(super) fn by_agent(log: &str) -> Self {
        let of = |line: &str| {
            let (at, words) = line.split_once(' ')?;
            let (_, bps) = words.split_once("target_bps: Some(")?;
            Some((wall_ms(at)?, bps.split(')').next()?.parse::<f64>().ok()? / 1e3))
        };
        Self(log.lines().filter_map(of).collect())
    }

    /// As the peers write it down.
    pub(super) fn by_peer(log: &str) -> Self {
        let of = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            Some((line["at"].as_f64()?, line["target_bps"].as_f64()? / 1e3))
        };
        Self(log.lines().filter_map(of).collect())
    }
}

/// A time such as 2026-11-27T07:20:00.123456Z in ms since the Unix epoch.
fn wall_ms(text: &str) -> Option<f64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut parts = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    // Years that begin in March have their leap day at the end.
    let year = if month < 3 { year - 1 } else { year };
    let (leaps, since_march) = (year / 4 - year / 100 + year / 400, (month + 9) % 12);
    let days = year * 365 + leaps + (since_march * 153 + 2) / 5 + day - 719_469;
    let mut parts = time.split(':').map(|part| part.parse::<f64>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let days = f64::from(i32::try_from(days).ok()?);
    Some((((days * 24.0 + hours) * 60.0 + minutes) * 60.0 + seconds) * 1e3)
}

/// How one picture that was shown compares with what the camera had filmed.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Quality {
    /// When it was filmed, microseconds since the Unix epoch.
    stamp_us: f64,
    psnr_db: f64,
    ssim: f64,
}

impl Series {
    /// The same without stamps that cannot be: bits that an encoder blurred.
    pub(super) fn believed(mut self) -> Self {
        for (at, made) in &mut self.frames {
            *made = made.filter(|made| (-5.0..AGE_MS_MAX).contains(&(*at - made)));
        }
        self
    }

    /// All that the browser received, on all its connections.
    pub(super) fn received(&self) -> f64 {
        let of = |line: &Value| Some((line["connections"].as_u64()?, line["received"].as_f64()?));
        let mut newest = std::collections::BTreeMap::new();
        newest.extend(self.link.iter().filter_map(of));
        newest.values().sum()
    }
}

/// Something that happened to the network, on the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) at_ms: u64,
    pub(super) over_ms: u64,
}

/// One drive.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) seen: Series,
    pub(super) trace: Vec<TraceLine>,
    /// The relay's account at the end of the time.
    pub(super) relay: Value,
    /// Everything that it said.
    pub(super) relay_said: Vec<Value>,
    /// What the sender meant to send.
    pub(super) targets: Told,
    /// What some of the pictures looked like.
    pub(super) quality: Vec<Quality>,
    pub(super) begun_ms: u64,
    pub(super) until_ms: u64,
    pub(super) wall_less_mono_ms: f64,
    /// What the machine's cores had left meanwhile.
    pub(super) machine_idle_percent: f64,
}

/// The value under which `share` (0 to 1) of them lie.
pub(super) fn percentile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a length"
    )]
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied()
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since the machine's start")]
const fn float(ms: u64) -> f64 {
    ms as f64
}

impl Run {
    /// A monotonic time as the page has it.
    fn wall(&self, mono_ms: u64) -> f64 {
        float(mono_ms) + self.wall_less_mono_ms
    }

    fn inside(&self, at: f64) -> bool {
        (self.wall(self.begun_ms)..self.wall(self.until_ms)).contains(&at)
    }

    fn minutes(&self) -> f64 {
        float(self.until_ms - self.begun_ms) / 60_000.0
    }

    /// From the making of each picture to the screen.
    pub(super) fn glass_ms(&self) -> Vec<f64> {
        let shown = self.seen.frames.iter().filter(|(at, _)| self.inside(*at));
        shown.filter_map(|(at, made)| made.map(|made| at - made)).collect()
    }

    /// Spans between pictures on the screen: when one was shown, when the next, and when the first was made. The measured
    /// time's own edges count as pictures.
    fn spans(&self) -> Vec<(f64, f64, Option<f64>)> {
        let (from, to) = (self.wall(self.begun_ms), self.wall(self.until_ms));
        let before = self.seen.frames.iter().rev().find(|(at, _)| *at < from);
        let mut shown = vec![(from, before.and_then(|(_, made)| *made))];
        shown.extend(self.seen.frames.iter().filter(|(at, _)| self.inside(*at)));
        shown.push((to, None));
        shown.windows(2).map(|pair| (pair[0].0, pair[1].0, pair[0].1)).collect()
    }

    /// Age of what was on the screen, at equal intervals: other than glass to glass it grows while a picture stands.
    pub(super) fn picture_age_ms(&self) -> Vec<f64> {
        let mut ages = Vec::new();
        let mut at = self.wall(self.begun_ms);
        for (_, to, made) in self.spans() {
            while at < to {
                ages.extend(made.map(|made| at - made));
                at += LOOK_EVERY_MS;
            }
        }
        ages
    }

    /// How much of a minute the picture stood.
    pub(super) fn frozen_s_per_min(&self) -> f64 {
        let stood = self.spans().into_iter().map(|(from, to, _)| to - from);
        stood.filter(|ms| *ms > FREEZE_MS).fold(0.0, |sum, ms| sum + ms) / 1_000.0 / self.minutes()
    }

    pub(super) fn freeze_longest_ms(&self) -> Option<f64> {
        self.spans().into_iter().map(|(from, to, _)| to - from).max_by(f64::total_cmp)
    }

    pub(super) fn fps(&self) -> f64 {
        let shown = self.seen.frames.iter().filter(|(at, _)| self.inside(*at)).count();
        #[expect(clippy::cast_precision_loss, reason = "pictures of minutes")]
        let shown = shown as f64;
        shown / self.minutes() / 60.0
    }

    fn links(&self) -> impl Iterator<Item = &Value> {
        let inside = |line: &&Value| line["at"].as_f64().is_some_and(|at| self.inside(at));
        self.seen.link.iter().filter(inside)
    }

    /// Bitrate of the front camera's video for each half second: when, and how much.
    fn rates_kbps(&self) -> Vec<(f64, f64)> {
        let of = |line: &Value| {
            let bytes = line["video"]["bytesReceived"].as_f64()?;
            Some((line["at"].as_f64()?, line["connections"].as_u64()?, bytes))
        };
        let counts: Vec<(f64, u64, f64)> = self.links().filter_map(of).collect();
        let same = counts.windows(2).filter(|pair| pair[0].1 == pair[1].1);
        same.map(|pair| (pair[1].0, (pair[1].2 - pair[0].2) * 8.0 / (pair[1].0 - pair[0].0)))
            .collect()
    }

    pub(super) fn bitrate_kbps(&self) -> Option<f64> {
        let rates: Vec<f64> = self.rates_kbps().into_iter().map(|(_, kbps)| kbps).collect();
        #[expect(clippy::cast_precision_loss, reason = "half seconds of minutes")]
        let count = rates.len() as f64;
        (count > 0.0).then(|| rates.iter().sum::<f64>() / count)
    }

    /// The median of the picture's height.
    pub(super) fn height_px(&self) -> Option<f64> {
        let heights: Vec<f64> =
            self.links().filter_map(|line| line["video"]["frameHeight"].as_f64()).collect();
        percentile(&heights, 0.5)
    }

    fn looked_like(&self) -> impl Iterator<Item = &Quality> {
        self.quality.iter().filter(|one| self.inside(one.stamp_us / 1e3))
    }

    /// PSNR in dB of pictures that were shown, the better the larger.
    pub(super) fn psnr_db(&self) -> Vec<f64> {
        self.looked_like().map(|one| one.psnr_db).collect()
    }

    /// SSIM of pictures that were shown, 1 at best.
    pub(super) fn ssim(&self) -> Vec<f64> {
        self.looked_like().map(|one| one.ssim).collect()
    }

    /// When the profile began, ms since the Unix epoch.
    pub(super) fn begun_wall_ms(&self) -> f64 {
        self.wall(self.begun_ms).round()
    }

    /// How long ago the command that counted at the robot had been sent, whenever the robot told the page of it.
    pub(super) fn command_age_ms(&self) -> Vec<f64> {
        let told = self.seen.telemetry.iter().filter(|told| self.inside(told.0));
        let age = |&(_, robot_ms, seq, _, _, _): &(f64, f64, u32, f64, f64, u8)| {
            // A link that was opened anew goes on counting.
            let (sent, ..) = self.seen.commands.iter().rev().find(|(_, sent, _)| *sent == seq)?;
            Some(robot_ms + self.wall_less_mono_ms - sent)
        };
        told.filter_map(age).filter(|age| *age >= -1.0).collect()
    }

    /// Age of what the pilot had seen, when a command arrived, as the robot knows it.
    pub(super) fn loop_latency_ms(&self) -> Vec<f64> {
        let told = self.seen.telemetry.iter().filter(|told| self.inside(told.0));
        told.map(|told| told.4).filter(|ms| *ms < f64::from(u16::MAX)).collect()
    }

    fn drive(&self) -> impl Iterator<Item = &TraceLine> {
        self.trace.iter().filter(|line| (self.begun_ms..self.until_ms).contains(&line.mono_ms))
    }

    /// Mean speed, standing and turning included.
    pub(super) fn speed_mps(&self) -> f64 {
        let (count, sum) = self
            .drive()
            .fold((0_u32, 0.0), |(count, sum), line| (count + 1, sum + line.speed_mps.abs()));
        sum / f64::from(count.max(1))
    }

    /// From the end of the trouble until pictures come steadily again.
    pub(super) fn pictures_again_s(&self, over_ms: u64) -> Option<f64> {
        let over = self.wall(over_ms);
        let mut since = None;
        for (from, to, _) in self.spans().into_iter().filter(|(_, to, _)| *to > over) {
            if to - from > FREEZE_MS {
                since = Some(to);
            }
            let since = *since.get_or_insert(from.max(over));
            if to - since >= STEADY_MS {
                return Some((since - over) / 1_000.0);
            }
        }
        None
    }

    /// From the end of the trouble until as much arrives as `share` of what arrived before it began.
    pub(super) fn rate_again_s(&self, cut: Cut, share: f64) -> Option<f64> {
        let (at, over) = (self.wall(cut.at_ms), self.wall(cut.over_ms));
        let rates = self.rates_kbps();
        let before: Vec<f64> =
            rates.iter().filter(|(when, _)| *when < at).map(|(_, kbps)| *kbps).collect();
        let wanted = percentile(&before, 0.5)? * share;
        let (when, _) = rates.iter().find(|(when, kbps)| *when > over && *kbps >= wanted)?;
        Some((when - over) / 1_000.0)
    }

    /// From the end of the trouble until the robot drives, if it stopped for it.
    pub(super) fn drive_again_s(&self, cut: Cut) -> Option<f64> {
        let stopped = self.drive().find(|line| line.mono_ms >= cut.at_ms && line.rests());
        let from_ms = stopped.map_or(cut.over_ms, |line| line.mono_ms.max(cut.over_ms));
        let drives = |line: &&TraceLine| {
            line.mono_ms >= from_ms
                && (line.speed_mps.abs() > DRIVES_MPS || line.turn_radps.abs() > DRIVES_MPS)
        };
        let again = self.drive().find(drives)?;
        Some(float(again.mono_ms.saturating_sub(cut.over_ms)) / 1_000.0)
    }

    /// From the cut until a stop was commanded, and until the robot stood, ms.
    pub(super) fn stop(&self, at_ms: u64) -> Option<(f64, f64)> {
        let after: Vec<TraceLine> =
            self.trace.iter().copied().filter(|line| line.mono_ms >= at_ms).collect();
        let stop = stop_in(&after, at_ms)?;
        Some((float(stop.commanded_ms), float(stop.at_rest_ms)))
    }

    /// How far the robot went from the cut until it stood; nothing if it never did.
    pub(super) fn driven_past_m(&self, at_ms: u64) -> Option<f64> {
        let after = || self.trace.iter().filter(|line| line.mono_ms >= at_ms);
        let rest_ms = after().find(|line| line.rests())?.mono_ms;
        let way: Vec<&TraceLine> = after().take_while(|line| line.mono_ms <= rest_ms).collect();
        let step = |pair: &[&TraceLine]| {
            float(pair[1].mono_ms - pair[0].mono_ms) / 1e3 * pair[0].speed_mps.abs()
        };
        Some(way.windows(2).map(step).sum())
    }

    /// What the sender meant to send, from the beginning to the end: it is told only when it changes.
    fn wanted_kbps(&self) -> impl Iterator<Item = (f64, f64)> {
        let (from, to) = (self.wall(self.begun_ms), self.wall(self.until_ms));
        let told = self.targets.0.iter();
        let before = told.clone().take_while(|(at, _)| *at < from).last();
        let last = told.clone().take_while(|(at, _)| *at < to).last();
        let inside = told.filter(|(at, _)| self.inside(*at)).copied();
        let first = before.map(|(_, kbps)| (from, *kbps));
        first.into_iter().chain(inside).chain(last.map(|(_, kbps)| (to, *kbps)))
    }

    /// What plots are drawn of, times in seconds since the profile's beginning.
    pub(super) fn series(&self) -> Value {
        let since = |at: f64| ((at - self.wall(self.begun_ms)) / 10.0).round() / 100.0;
        let rates = self.rates_kbps();
        let speeds = self.drive().step_by(10);
        let spans = self.spans().into_iter().map(|(from, to, made)| {
            (since(from), since(to), made.map(|made| (from - made).round()))
        });
        json!({
            // When a picture was shown, when the next, and how old it was at first.
            "pictures": spans.collect::<Vec<_>>(),
            "bitrate_kbps": rates.iter().map(|(at, kbps)| (since(*at), kbps.round())).collect::<Vec<_>>(),
            "target_kbps": self.wanted_kbps().map(|(at, kbps)| (since(at), kbps.round())).collect::<Vec<_>>(),
            "arriving_kbps": self.arriving_kbps(),
            "capacity_kbps": self.relay_tells("kbps"),
            "queue_ms": self.relay_tells("queue_ms"),
            "height_px": self.links().filter_map(|line| {
                Some((since(line["at"].as_f64()?), line["video"]["frameHeight"].as_f64()?))
            }).collect::<Vec<_>>(),
            "psnr_db": self.looked_like().map(|one| (since(one.stamp_us / 1e3), one.psnr_db)).collect::<Vec<_>>(),
            "speed_mps": speeds.map(|line| (since(self.wall(line.mono_ms)), line.speed_mps)).collect::<Vec<_>>(),
        })
    }

    /// Packets to the driver that did not fit into the queue while it was measured.
    pub(super) fn lost_in_queue(&self) -> Option<f64> {
        let lost = |line: &Value| line["to_driver"]["lost_in_queue"].as_f64();
        let early = |line: &&Value| line["mono_ms"].as_u64().is_some_and(|at| at < self.begun_ms);
        let before = self.relay_said.iter().filter(early).filter_map(lost).next_back();
        Some(lost(&self.relay)? - before.unwrap_or(0.0))
    }

    /// What the relay said while it was measured: since the beginning in s, and the account of the way to the driver.
    fn accounts(&self) -> impl Iterator<Item = (f64, &Value)> {
        let inside = |line: &&Value| {
            let at = line["mono_ms"].as_u64();
            at.is_some_and(|at| (self.begun_ms..=self.until_ms).contains(&at))
                && line["to_driver"].is_object()
        };
        self.relay_said.iter().filter(inside).map(|line| {
            let at_ms = line["mono_ms"].as_u64().unwrap_or(self.begun_ms);
            (float(at_ms - self.begun_ms) / 1e3, &line["to_driver"])
        })
    }

    fn relay_tells(&self, key: &str) -> Vec<(f64, f64)> {
        self.accounts().filter_map(|(at, line)| Some((at, line[key].as_f64()?.round()))).collect()
    }

    /// All that the relay let through to the driver, error correction and repeats among it.
    fn arriving_kbps(&self) -> Vec<(f64, f64)> {
        let counts: Vec<(f64, f64)> = self
            .accounts()
            .filter_map(|(at, line)| Some((at, line["bytes_out"].as_f64()?)))
            .collect();
        let pairs = counts.windows(2).filter(|pair| pair[1].0 > pair[0].0);
        pairs
            .map(|pair| {
                let kbps = (pair[1].1 - pair[0].1) * 8.0 / 1e3 / (pair[1].0 - pair[0].0);
                (pair[1].0, kbps.round())
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
