//! What the episode says about the link.

use super::Leases;
use crate::clock;
use crate::record::Record;
use ros_msgs::builtin_interfaces::Time;
use ros_msgs::longrein_msgs::LinkStats;

impl Leases {
    /// Writes down how the link does.
    pub(super) fn record_link(&self) {
        let Some(link) = self.shared.lease().and_then(|lease| lease.link) else { return };
        let stats = link.stats();
        let at_ns = clock::wall_ns();
        let record = LinkStats {
            stamp: Time::from_ns(at_ns),
            rtt_ms: stats.rtt_ms.unwrap_or(f64::NAN),
            jitter_ms: f64::NAN,
            video_loss: stats.loss,
            video_kbps: f64::NAN,
            available_kbps: f64::NAN,
            frames_sent: stats.frames_sent,
            packets_sent: stats.packets_sent,
            nacks: stats.packets_nacked,
            keyframe_requests: stats.keyframes_asked,
            drive_received: stats.drive_received,
            drive_refused: self.shared.status().refused,
            telemetry_sent: 0,
        };
        self.recorder.put(at_ns, Record::Link(Box::new(record)));
    }
}
