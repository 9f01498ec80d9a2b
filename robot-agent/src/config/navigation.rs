//! The robot's own autonomy, as the configuration names it.

use anyhow::{Result, ensure};
use ros_bridge::navigation::{Middleware, NavigationConfig, VelocityMessage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The robot's own autonomy: Nav2, or whatever serves its action `NavigateToPose`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Navigation {
    /// Whether a driver may let it drive.
    pub active: bool,
    /// Name of the action, `nav2_msgs/action/NavigateToPose`.
    #[schemars(length(min = 2))]
    pub action: String,
    /// Topic on which the autonomy publishes the velocity that it wishes. Not the one that the base obeys: what Nav2 publishes
    /// there must be sent elsewhere, or it drives past the safety core.
    #[schemars(length(min = 2))]
    pub velocity_topic: String,
    /// The message on that topic: twist, or twist_stamped (Nav2 with enable_stamped_cmd_vel).
    pub velocity: VelocityMessage,
    /// The autonomy's ROS middleware (RMW_IMPLEMENTATION): fast_dds or cyclone_dds. They send requests differently.
    pub middleware: Middleware,
    /// The robot's own frame: x forward, y to the left. Goals are sent in it, and the autonomy finds them on its map.
    #[schemars(length(min = 1))]
    pub frame: String,
    /// Farthest goal.
    #[schemars(range(min = 1.0, max = 10_000.0))]
    pub distance_m_max: f64,
}

impl Default for Navigation {
    fn default() -> Self {
        let NavigationConfig { action, velocity_topic, velocity, middleware, .. } =
            NavigationConfig::new(0, "");
        Self {
            active: false,
            action,
            velocity_topic,
            velocity,
            middleware,
            frame: "base_link".to_owned(),
            distance_m_max: 500.0,
        }
    }
}

impl Navigation {
    /// As the connection to ROS needs it.
    pub(crate) fn ros(&self, domain_id: u16) -> NavigationConfig {
        NavigationConfig {
            action: self.action.clone(),
            velocity_topic: self.velocity_topic.clone(),
            velocity: self.velocity,
            middleware: self.middleware,
            ..NavigationConfig::new(domain_id, "longrein_navigator")
        }
    }

    /// What the types do not say.
    pub(super) fn check(&self, cmd_vel: &str) -> Result<()> {
        ensure!(
            !self.active || self.velocity_topic != cmd_vel,
            "navigation.velocity_topic = {cmd_vel:?} is what the base obeys: let the autonomy publish elsewhere, for example on \
             \"/cmd_vel_nav\", and name that"
        );
        Ok(())
    }
}
