//! The lease book: who may drive a robot, under which epoch, until when.
//!
//! One robot has at most one live lease. Its epoch grows by one with each lease and never shrinks, so a robot
//! that has seen epoch 8 can refuse whatever was signed for epoch 7. The caller stores the new epoch before it
//! hands the lease out.

use protocol::ids::LeaseId;
use protocol::keys::Did;
use protocol::units::WallMs;
use serde::{Deserialize, Serialize};

/// How long after its last copy ran out a lease still blocks the robot: copies travel, clocks differ.
pub const GRACE_MS: u64 = 5_000;

/// What the book holds about one robot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Highest epoch ever granted; 0 before the first.
    pub epoch: u64,
    /// The lease that blocks the robot, if any.
    pub live: Option<Live>,
}

/// A live lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Live {
    /// The lease.
    pub id: LeaseId,
    /// Who holds it.
    pub holder: Did,
    /// Its newest copy.
    pub renewal: u32,
    /// When it no longer blocks the robot, on the fleet's clock: its time to live and [`GRACE_MS`].
    pub until: WallMs,
}

/// Why the book refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Somebody else drives this robot.
    #[error(
        "somebody else drives this robot; its lease lasts {left_ms} ms more unless it is renewed"
    )]
    Taken {
        /// How long it blocks the robot if nobody renews it.
        left_ms: u64,
    },
    /// The lease has ended, or a newer one took its place.
    #[error("this lease has ended; take a new one")]
    Ended,
    /// The lease is somebody else's.
    #[error("this lease is held by somebody else")]
    NotHolder,
}

/// A granted lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// Its epoch.
    pub epoch: u64,
    /// The lease that this one ends: the holder's own older one, or that of whom it takes over from.
    pub fenced: Option<LeaseId>,
}

impl Page {
    /// The lease that is live at `now`.
    pub fn live(&self, now: WallMs) -> Option<&Live> {
        self.live.as_ref().filter(|live| now < live.until)
    }

    /// A lease that is still in the book although its time is over.
    pub fn expired(&self, now: WallMs) -> Option<&Live> {
        self.live.as_ref().filter(|live| now >= live.until)
    }

    /// Grants a new lease. A holder who asks again fences its own older lease: a page that was reloaded must not
    /// lock its pilot out.
    ///
    /// # Errors
    /// [`Refusal::Taken`] while somebody else's lease is live.
    pub fn grant(
        &mut self,
        id: LeaseId,
        holder: Did,
        now: WallMs,
        ttl_ms: u32,
    ) -> Result<Granted, Refusal> {
        if let Some(other) = self.live(now).filter(|live| live.holder != holder) {
            return Err(Refusal::Taken { left_ms: other.until.0.saturating_sub(now.0) });
        }
        Ok(self.take_over(id, holder, now, ttl_ms))
    }

    /// Grants a new lease whoever holds the live one, which this ends. Who may do that is for the caller to know.
    pub fn take_over(&mut self, id: LeaseId, holder: Did, now: WallMs, ttl_ms: u32) -> Granted {
        let fenced = self.live.map(|live| live.id);
        self.epoch = self.epoch.saturating_add(1);
        self.live = Some(Live { id, holder, renewal: 0, until: until(now, ttl_ms) });
        Granted { epoch: self.epoch, fenced }
    }

    /// Renews a lease; gives the number of the new copy.
    ///
    /// # Errors
    /// When it is not the live lease, or not the holder's.
    pub fn renew(
        &mut self,
        id: LeaseId,
        holder: &Did,
        now: WallMs,
        ttl_ms: u32,
    ) -> Result<u32, Refusal> {
        let live = self.live.as_mut().filter(|live| live.id == id && now < live.until);
        let live = live.ok_or(Refusal::Ended)?;
        if live.holder != *holder {
            return Err(Refusal::NotHolder);
        }
        live.renewal = live.renewal.saturating_add(1);
        live.until = until(now, ttl_ms);
        Ok(live.renewal)
    }

    /// Takes a lease out of the book. False when it was not in it: ending twice is no mistake.
    pub fn end(&mut self, id: LeaseId) -> bool {
        let was = self.live.is_some_and(|live| live.id == id);
        if was {
            self.live = None;
        }
        was
    }
}

fn until(now: WallMs, ttl_ms: u32) -> WallMs {
    WallMs(now.0.saturating_add(u64::from(ttl_ms)).saturating_add(GRACE_MS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use protocol::keys::PrivateKey;
    use uuid::Uuid;

    fn id(n: u128) -> LeaseId {
        LeaseId::new(Uuid::from_u128(n))
    }
    fn did(n: u8) -> Did {
        PrivateKey::from_seed(&[n; 32]).did()
    }
    const TTL: u32 = 30_000;

    #[test]
    fn one_driver_at_a_time() {
        let mut page = Page::default();
        assert_eq!(
            page.grant(id(1), did(1), WallMs(0), TTL),
            Ok(Granted { epoch: 1, fenced: None })
        );
        assert_eq!(
            page.grant(id(2), did(2), WallMs(1), TTL),
            Err(Refusal::Taken { left_ms: 34_999 })
        );
        assert_eq!(page.renew(id(1), &did(2), WallMs(1), TTL), Err(Refusal::NotHolder));
        assert_eq!(page.renew(id(1), &did(1), WallMs(30_000), TTL), Ok(1));
        assert!(page.grant(id(2), did(2), WallMs(64_999), TTL).is_err());
        let granted = page.grant(id(2), did(2), WallMs(65_000), TTL);
        assert_eq!(granted, Ok(Granted { epoch: 2, fenced: Some(id(1)) }));
        assert_eq!(page.renew(id(1), &did(1), WallMs(65_001), TTL), Err(Refusal::Ended));
    }

    #[test]
    fn the_holder_may_start_anew_and_ending_frees() {
        let mut page = Page::default();
        page.grant(id(1), did(1), WallMs(0), TTL).unwrap();
        let again = page.grant(id(2), did(1), WallMs(1), TTL);
        assert_eq!(again, Ok(Granted { epoch: 2, fenced: Some(id(1)) }));
        assert!(!page.end(id(1)), "the fenced lease no longer counts");
        assert!(page.end(id(2)));
        assert!(!page.end(id(2)));
        assert_eq!(page.grant(id(3), did(2), WallMs(2), TTL).unwrap().epoch, 3);
    }

    #[test]
    fn who_is_taken_over_from_cannot_come_back() {
        let mut page = Page::default();
        page.grant(id(1), did(1), WallMs(0), TTL).unwrap();
        let taken = page.take_over(id(2), did(2), WallMs(1), TTL);
        assert_eq!(taken, Granted { epoch: 2, fenced: Some(id(1)) });
        assert_eq!(page.renew(id(1), &did(1), WallMs(2), TTL), Err(Refusal::Ended));
        assert!(matches!(page.grant(id(3), did(1), WallMs(2), TTL), Err(Refusal::Taken { .. })));
        assert!(!page.end(id(1)) && page.live(WallMs(2)).is_some_and(|live| live.id == id(2)));
        let free = Page::default().take_over(id(1), did(1), WallMs(0), TTL);
        assert_eq!(free, Granted { epoch: 1, fenced: None }, "of a robot that nobody drives");
    }

    proptest! {
        #[test]
        fn epochs_grow_and_no_two_drivers_are_live(asks in prop::collection::vec((0u8..3, 1u8..4, 0u64..20_000), 1..80)) {
            let (mut page, mut now, mut n, mut epoch) = (Page::default(), 0, 0, 0);
            for (ask, who, wait) in asks {
                now += wait;
                let before = page.live(WallMs(now)).copied();
                match ask {
                    0 => {
                        n += 1;
                        if let Ok(granted) = page.grant(id(n), did(who), WallMs(now), TTL) {
                            prop_assert!(before.is_none_or(|live| live.holder == did(who)));
                            prop_assert_eq!(granted.epoch, epoch + 1);
                            epoch = granted.epoch;
                        } else {
                            prop_assert!(before.is_some_and(|live| live.holder != did(who)));
                        }
                    }
                    1 => {
                        let renewed = page.renew(id(n), &did(who), WallMs(now), TTL).is_ok();
                        prop_assert_eq!(renewed, before.is_some_and(|l| l.id == id(n) && l.holder == did(who)));
                    }
                    _ => { page.end(id(n)); }
                }
                prop_assert_eq!(page.epoch, epoch);
            }
        }
    }
}
