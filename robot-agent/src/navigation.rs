//! Carries out what [`crate::autonomy`] decides: tells the robot's autonomy what to pursue, and driver and episode what
//! became of it. Away from the drive loop, which only ever takes the newest velocity.

use crate::autonomy::{Autonomy, Place};
use crate::clock;
use crate::config::Navigation;
use crate::leases::Leases;
use crate::shared::{Shared, lock};
use anyhow::{Context, Result};
use protocol::units::{GeoPoint, MonoNs};
use ros_bridge::navigation::{Heard, Navigator};
use ros_msgs::builtin_interfaces::Time;
use ros_msgs::geometry_msgs::{Point, Pose, PoseStamped, Quaternion};
use ros_msgs::std_msgs::Header;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked, beside when something changed.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Connects to the autonomy, if the robot has one, and serves it as long as the agent runs.
pub(crate) fn start(
    config: &Navigation,
    domain_id: u16,
    shared: &Arc<Shared>,
    leases: &Arc<Leases>,
) -> Result<()> {
    if !config.active {
        return Ok(());
    }
    *lock(&shared.autonomy) = Autonomy::new(config.distance_m_max);
    let listening = Arc::clone(shared);
    let heard = move |heard, arrived| hear(&listening, &heard, arrived);
    let navigator = Navigator::connect(&config.ros(domain_id), heard)
        .with_context(|| format!("connecting to {} in ROS 2", config.action))?;
    let (shared, leases, frame) = (Arc::clone(shared), Arc::clone(leases), config.frame.clone());
    tokio::spawn(async move { serve(&navigator, &frame, &shared, &leases).await });
    Ok(())
}

fn hear(shared: &Shared, heard: &Heard, arrived: MonoNs) {
    let now = arrived.ms();
    let mut autonomy = lock(&shared.autonomy);
    match heard {
        Heard::Velocity(twist) => return autonomy.wishes(twist, now),
        Heard::Distance(number, distance_m) => return autonomy.distance(*number, *distance_m),
        Heard::There(there) => {
            tracing::info!(there, "the robot's autonomy");
            autonomy.set_there(*there);
        }
        Heard::Accepted(number) => autonomy.accepted(*number, now),
        Heard::Arrived(number) => autonomy.ended(*number, Ok(())),
        Heard::Failed(number, why) => autonomy.ended(*number, Err(why)),
    }
    drop(autonomy);
    shared.navigated.notify_one();
}

async fn serve(navigator: &Navigator, frame: &str, shared: &Shared, leases: &Leases) {
    let mut pursued = None;
    loop {
        // Also after a while: packets that stop coming change something as well.
        drop(tokio::time::timeout(LOOK_EVERY, shared.navigated.notified()).await);
        let wanted = {
            let mut autonomy = lock(&shared.autonomy);
            autonomy.tick(clock::mono_ms());
            autonomy.wanted()
        };
        if wanted.map(|(number, _)| number) != pursued {
            pursued = wanted.map(|(number, _)| number);
            pursue(navigator, frame, shared, wanted);
        }
        leases.tell_goals();
    }
}

fn pursue(navigator: &Navigator, frame: &str, shared: &Shared, wanted: Option<(u64, GeoPoint)>) {
    let Some((number, point)) = wanted else { return navigator.pursue(None) };
    match pose(&point, shared.place(), frame) {
        Ok(pose) => navigator.pursue(Some((number, pose))),
        Err(why) => {
            navigator.pursue(None);
            lock(&shared.autonomy).ended(number, Err(&why));
        }
    }
}

/// The place as the robot sees it, to be reached in the direction in which it lies now. Without a time: the autonomy takes
/// where the robot is when it gets this.
fn pose(point: &GeoPoint, place: Place, frame: &str) -> Result<PoseStamped, String> {
    let ahead = place.see(point)?;
    Ok(PoseStamped {
        header: Header { stamp: Time::default(), frame_id: frame.to_owned() },
        pose: Pose {
            position: Point { x: ahead.forward_m, y: ahead.left_m, z: 0.0 },
            orientation: Quaternion::from_yaw(ahead.left_m.atan2(ahead.forward_m)),
        },
    })
}
