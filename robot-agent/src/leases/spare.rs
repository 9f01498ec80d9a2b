//! A second link of the open lease, until it is connected: the driver's end doubts the first, or has changed its address.
//! Which of both works only shows when packets arrive, so the first stays until then.

use super::Leases;
use crate::link;
use crate::session::Checked;
use crate::shared::lock;
use protocol::units::MonoMs;
use std::sync::Arc;

/// A link that is not connected yet.
pub(super) struct Spare {
    generation: u64,
    link: Arc<link::Session>,
}

impl Leases {
    /// Keeps `link` beside the one that carries the drive, until it is connected; false if there is none that could go on
    /// until then. A spare that was there before is closed: the driver's end opens one at a time.
    pub(super) fn keep_spare(&self, generation: u64, link: &Arc<link::Session>) -> bool {
        self.drop_spare();
        let carried = lock(&self.shared.lease).as_ref().and_then(|lease| lease.link.clone());
        if !carried.is_some_and(|link| link.stats().connected) {
            return false;
        }
        *lock(&self.spare) = Some(Spare { generation, link: Arc::clone(link) });
        tracing::info!("the driver opens another link beside the one it has");
        true
    }

    /// The opening of a spare renews what an opening renews, and the lease goes on over the link that it has.
    pub(super) fn open_again(&self, checked: Checked, now: MonoMs) {
        let core = {
            let mut book = lock(&self.book);
            book.open(checked, now);
            book.core()
        };
        if let (Some(core), Some(lease)) = (core, lock(&self.shared.lease).as_mut()) {
            lease.core = core;
        }
    }

    /// The link of this opening is connected: if it was the spare, it carries the drive from now on.
    pub(super) fn spare_connected(&self, generation: u64) {
        let Some(spare) = self.take_spare(generation) else { return };
        self.forget_goal();
        self.encode_for(Some(&spare.link));
        let before = {
            let mut lease = lock(&self.shared.lease);
            let Some(lease) = lease.as_mut() else {
                spare.link.close();
                return;
            };
            lease.generation = spare.generation;
            lease.link.replace(spare.link)
        };
        if let Some(before) = before {
            before.close();
        }
        for camera in self.cameras() {
            camera.force_keyframe();
        }
        self.tell_episode("link-changed", "the drive goes on over another link", String::new());
        tracing::info!("the drive goes on over another link");
    }

    /// The link of this opening has closed.
    pub(super) fn spare_closed(&self, generation: u64) {
        drop(self.take_spare(generation));
    }

    /// The lease is over, or another spare comes.
    pub(super) fn drop_spare(&self) {
        let spare = lock(&self.spare).take();
        if let Some(spare) = spare {
            spare.link.close();
        }
    }

    fn take_spare(&self, generation: u64) -> Option<Spare> {
        lock(&self.spare).take_if(|spare| spare.generation == generation)
    }
}
