//! The interventions of one lease: which one is open, and what the episode is told. Pure.

use protocol::ids::InterventionId;
use protocol::intervention::{Act, PER_LEASE_MAX};

/// What became of the interventions of the open lease.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interventions {
    open: Option<InterventionId>,
    ended: Option<InterventionId>,
    count: u32,
}

/// Why an act was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Slip {
    /// The end of what never began.
    #[error("no such intervention is open")]
    NotOpen,
    /// More than an episode should hold.
    #[error("this drive had {PER_LEASE_MAX} interventions; end it and begin another")]
    TooMany,
}

impl Interventions {
    /// The one that is open.
    pub const fn open(&self) -> Option<InterventionId> {
        self.open
    }

    /// Takes an act. Gives what the episode is to be told, in order: nothing when the act is a repetition, the end
    /// of an older one first when another starts.
    pub fn take(
        &mut self,
        id: InterventionId,
        act: Act,
    ) -> Result<Vec<(InterventionId, Act)>, Slip> {
        match act {
            Act::Start if self.open == Some(id) => Ok(Vec::new()),
            Act::Start if self.count >= PER_LEASE_MAX => Err(Slip::TooMany),
            Act::Start => {
                self.count += 1;
                self.ended = self.open.or(self.ended);
                let older = self.open.replace(id).map(|older| (older, Act::End));
                Ok(older.into_iter().chain([(id, Act::Start)]).collect())
            }
            Act::End if self.open == Some(id) => {
                (self.open, self.ended) = (None, Some(id));
                Ok(vec![(id, Act::End)])
            }
            Act::End if self.ended == Some(id) => Ok(Vec::new()),
            Act::End => Err(Slip::NotOpen),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> InterventionId {
        format!("itv_{n:032x}").parse().unwrap()
    }

    #[test]
    fn each_start_and_end_is_told_once() {
        let mut all = Interventions::default();
        assert_eq!(all.take(id(1), Act::End), Err(Slip::NotOpen));
        assert_eq!(all.take(id(1), Act::Start), Ok(vec![(id(1), Act::Start)]));
        assert_eq!(all.take(id(1), Act::Start), Ok(vec![]));
        assert_eq!(all.take(id(2), Act::End), Err(Slip::NotOpen));
        assert_eq!(all.open(), Some(id(1)));
        assert_eq!(all.take(id(1), Act::End), Ok(vec![(id(1), Act::End)]));
        assert_eq!(all.take(id(1), Act::End), Ok(vec![]));
        assert_eq!(all.open(), None);
    }

    #[test]
    fn another_start_ends_the_one_whose_end_was_lost() {
        let mut all = Interventions::default();
        all.take(id(1), Act::Start).unwrap();
        let told = all.take(id(2), Act::Start).unwrap();
        assert_eq!(told, [(id(1), Act::End), (id(2), Act::Start)]);
        assert_eq!(all.take(id(1), Act::End), Ok(vec![]), "its end came late");
        assert_eq!(all.open(), Some(id(2)));
    }

    #[test]
    fn an_episode_holds_so_many() {
        let mut all = Interventions::default();
        for n in 0..PER_LEASE_MAX {
            all.take(id(n), Act::Start).unwrap();
            all.take(id(n), Act::End).unwrap();
        }
        assert_eq!(all.take(id(9_999), Act::Start), Err(Slip::TooMany));
    }
}
