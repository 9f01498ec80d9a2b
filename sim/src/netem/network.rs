//! Both directions, and what happens to them over time.

use super::profile::{AddressChange, End, Profile};
use super::{Counts, Fate, Micros, Pipe};

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From robot to driver.
    ToDriver,
    /// From driver to robot.
    ToRobot,
}

/// A network between a robot and its driver, carrying packets of type `P`. Times given to it must not go back.
#[derive(Debug)]
pub struct Network<P> {
    to_driver: Pipe<P>,
    to_robot: Pipe<P>,
    begun_us: Option<Micros>,
    /// The last one first.
    changes: Vec<AddressChange>,
}

impl<P> Network<P> {
    /// A network as `profile` describes it. Equal seeds give equal chance.
    pub fn new(profile: &Profile, seed: u64) -> Self {
        let pipe = |path, stream| Pipe::new(path, &profile.outages, seed, stream);
        let mut changes = profile.address_changes.clone();
        changes.sort_by_key(|change| std::cmp::Reverse(change.at_ms));
        Self {
            to_driver: pipe(&profile.to_driver, 1),
            to_robot: pipe(&profile.to_robot, 2),
            begun_us: None,
            changes,
        }
    }

    /// The profile's own time begins, once: until now no rate changed, and no outage and no change of address came.
    pub fn begin(&mut self, now_us: Micros) {
        self.begun_us.get_or_insert(now_us);
        self.to_driver.begin(now_us);
        self.to_robot.begin(now_us);
    }

    /// Nothing gets through either way for so long from now on.
    pub fn cut(&mut self, now_us: Micros, for_us: Micros) {
        self.to_driver.cut(now_us, for_us);
        self.to_robot.cut(now_us, for_us);
    }

    const fn pipe(&mut self, way: Way) -> &mut Pipe<P> {
        match way {
            Way::ToDriver => &mut self.to_driver,
            Way::ToRobot => &mut self.to_robot,
        }
    }

    /// A packet of `len` bytes goes in.
    pub fn push(&mut self, way: Way, now_us: Micros, len: usize, packet: P) -> Fate {
        self.pipe(way).push(now_us, len, packet)
    }

    /// The next packet that is due in a direction; nothing when none is.
    pub fn pop(&mut self, way: Way, now_us: Micros) -> Option<P> {
        self.pipe(way).pop(now_us)
    }

    /// The end that has another address by now, once for each change.
    pub fn moved(&mut self, now_us: Micros) -> Option<End> {
        let due = self.change_us().is_some_and(|at_us| at_us <= now_us);
        if due { self.changes.pop().map(|change| change.of) } else { None }
    }

    fn change_us(&self) -> Option<Micros> {
        let change = self.changes.last()?;
        self.begun_us.map(|begun_us| begun_us + change.at_ms * 1_000)
    }

    /// When something is due.
    pub fn next_us(&self) -> Option<Micros> {
        let dues = [self.to_driver.next_us(), self.to_robot.next_us(), self.change_us()];
        dues.into_iter().flatten().min()
    }

    /// How long a packet would wait for a direction's bottleneck, in milliseconds, and what that carries, in kbit/s.
    pub fn state(&mut self, way: Way, now_us: Micros) -> (f64, Option<u32>) {
        let pipe = self.pipe(way);
        (pipe.queue_ms(now_us), pipe.rate_kbps(now_us))
    }

    /// The account of a direction.
    pub const fn counts(&self, way: Way) -> &Counts {
        match way {
            Way::ToDriver => self.to_driver.counts(),
            Way::ToRobot => self.to_robot.counts(),
        }
    }
}
