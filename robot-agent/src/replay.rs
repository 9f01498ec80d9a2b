//! `robot-agent replay EPISODE`: runs the safety core again over what it was told, and compares what it says.

use agent_core::{Inputs, Policy, Supervisor};
use anyhow::{Context, Result, ensure};
use episode::layout::{self, topic};
use ros_msgs::longrein_msgs::{Event, SafetyStep};
use serde::Deserialize;
use std::path::Path;

/// Code of the event that carries the core's memory.
pub(crate) const SNAPSHOT: &str = "core-snapshot";

#[derive(Deserialize)]
struct Snapshot {
    tick: u64,
    snapshot: String,
}

/// What a replay found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Steps that were run again.
    pub steps: u64,
    /// Steps without a known memory before them: before the first snapshot, and between a gap and the next one.
    pub skipped: u64,
    /// Gaps in the numbers of the steps.
    pub gaps: u64,
    /// Snapshots that were compared with the memory reached.
    pub snapshots: u64,
    /// The first difference.
    pub difference: Option<String>,
}

struct Replayer {
    core: Supervisor,
    /// Number of the next step; none while the memory is unknown.
    next_tick: Option<u64>,
    report: Report,
}

impl Replayer {
    fn event(&mut self, event: &Event) -> Result<()> {
        if event.code != SNAPSHOT {
            return Ok(());
        }
        let snapshot: Snapshot = serde_json::from_str(&event.json).context("a snapshot's JSON")?;
        let bytes = hex::decode(&snapshot.snapshot).context("a snapshot's bytes")?;
        if self.next_tick == Some(snapshot.tick) {
            self.report.snapshots += 1;
            if self.core.snapshot().as_slice() != bytes {
                self.differ(snapshot.tick, "the memory before it differs".to_owned());
            }
        } else {
            self.core.resume(&bytes).with_context(other_core)?;
            self.next_tick = Some(snapshot.tick);
        }
        Ok(())
    }

    fn step(&mut self, step: &SafetyStep) -> Result<()> {
        match self.next_tick {
            Some(next) if next == step.tick => {}
            Some(_gap) => {
                self.report.gaps += 1;
                self.report.skipped += 1;
                self.next_tick = None;
                return Ok(());
            }
            None => {
                self.report.skipped += 1;
                return Ok(());
            }
        }
        let (now, inputs) = Inputs::decode(&step.inputs)
            .with_context(|| format!("inputs of step {}", step.tick))
            .with_context(other_core)?;
        let outputs = self.core.step(now, &inputs);
        self.report.steps += 1;
        self.next_tick = Some(step.tick + 1);
        if outputs.encode().as_slice() != step.outputs {
            let (recorded, now) = (hex::encode(&step.outputs), hex::encode(outputs.encode()));
            self.differ(
                step.tick,
                format!("recorded {recorded}\n  computed {now}\n  that is   {outputs:?}"),
            );
        }
        Ok(())
    }

    fn differ(&mut self, tick: u64, what: String) {
        self.report.difference.get_or_insert_with(|| format!("step {tick}: {what}"));
    }
}

/// A record of another version can only be run again by the core that made it.
fn other_core() -> String {
    "the record of the safety core can't be run again here; if it says another version, replay it with the robot-agent \
     that recorded it (its version stands in the manifest under `software`)"
        .to_owned()
}

/// Replays the episode in `dir`, sealed or not.
pub fn replay(dir: &Path) -> Result<Report> {
    let policy = policy(dir)?;
    let mut replayer = Replayer {
        core: Supervisor::new(&policy).context("the episode's policy")?,
        next_tick: None,
        report: Report::default(),
    };
    let mut reader = episode::read::Reader::open(&dir.join(layout::TELEMETRY))?;
    while let Some(message) = reader.next()? {
        match message.channel.topic.as_str() {
            topic::SAFETY_STEP => replayer.step(&message.decode()?)?,
            topic::EVENT => replayer.event(&message.decode()?)?,
            _ => {}
        }
    }
    ensure!(replayer.report.steps > 0, "the episode holds no step of the safety core");
    Ok(replayer.report)
}

fn policy(dir: &Path) -> Result<Policy> {
    let document = match episode::read_manifest(dir)? {
        Some(envelope) => {
            let robot = episode::manifest::signer_unverified(&envelope)?;
            episode::manifest::open(&envelope, &robot)?.policy
        }
        None => {
            let open = episode::OpenEpisode::read(dir)?;
            open.with_context(|| {
                format!("{} is no episode: give the folder of one (eps_…)", dir.display())
            })?
            .meta
            .policy
        }
    };
    serde_json::from_str(&document.json).context("the episode's policy")
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::units::MonoMs;

    fn recorded(ticks: std::ops::Range<u64>) -> Vec<SafetyStep> {
        let mut core = Supervisor::new(&Policy::default()).unwrap();
        ticks
            .map(|tick| {
                let (now, inputs) = (MonoMs(1_000 + tick * 10), Inputs::default());
                let outputs = core.step(now, &inputs).encode().to_vec();
                SafetyStep {
                    tick,
                    inputs: inputs.encode(now).to_vec(),
                    outputs,
                    ..SafetyStep::default()
                }
            })
            .collect()
    }

    fn snapshot(tick: u64, core: &Supervisor) -> Event {
        let json = format!(r#"{{"tick":{tick},"snapshot":"{}"}}"#, hex::encode(core.snapshot()));
        Event { code: SNAPSHOT.to_owned(), json, ..Event::default() }
    }

    fn replayer() -> Replayer {
        let core = Supervisor::new(&Policy::default()).unwrap();
        Replayer { core, next_tick: None, report: Report::default() }
    }

    #[test]
    fn the_same_inputs_give_the_same_bytes() {
        let mut replayer = replayer();
        let fresh = Supervisor::new(&Policy::default()).unwrap();
        replayer.event(&snapshot(5, &fresh)).unwrap();
        for step in recorded(5..9) {
            replayer.step(&step).unwrap();
        }
        let reached = replayer.core.clone();
        replayer.event(&snapshot(9, &reached)).unwrap();
        let expected = Report { steps: 4, snapshots: 1, ..Report::default() };
        assert_eq!(replayer.report, expected);
    }

    #[test]
    fn the_record_of_an_older_core_is_refused_in_words() {
        let mut replayer = replayer();
        let json = format!(r#"{{"tick":1,"snapshot":"{}"}}"#, hex::encode([0; 160]));
        let old = Event { code: SNAPSHOT.to_owned(), json, ..Event::default() };
        let words = format!("{:#}", replayer.event(&old).unwrap_err());
        assert!(words.contains("version 1, expected 2") && words.contains("manifest"), "{words}");
        let fresh = Supervisor::new(&Policy::default()).unwrap();
        replayer.event(&snapshot(1, &fresh)).unwrap();
        let step = SafetyStep { tick: 1, inputs: vec![0; 128], ..SafetyStep::default() };
        let words = format!("{:#}", replayer.step(&step).unwrap_err());
        assert!(words.contains("version 1, expected 2") && words.contains("step 1"), "{words}");
    }

    #[test]
    fn a_changed_byte_is_found_and_a_gap_is_counted() {
        let mut replayer = replayer();
        let fresh = Supervisor::new(&Policy::default()).unwrap();
        let mut steps = recorded(0..9);
        replayer.step(&steps[0]).unwrap();
        assert_eq!(replayer.report.skipped, 1, "nothing is known yet");
        replayer.event(&snapshot(1, &fresh)).unwrap();
        steps[2].outputs[4] ^= 1;
        replayer.step(&steps[1]).unwrap();
        replayer.step(&steps[2]).unwrap();
        assert!(replayer.report.difference.as_ref().unwrap().starts_with("step 2: recorded"));
        replayer.step(&steps[5]).unwrap();
        replayer.step(&steps[6]).unwrap();
        assert_eq!((replayer.report.gaps, replayer.report.skipped), (1, 3));
        replayer.event(&snapshot(7, &fresh)).unwrap();
        replayer.step(&steps[7]).unwrap();
        assert_eq!(replayer.report.steps, 3);
    }
}
