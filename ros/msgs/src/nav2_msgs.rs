//! Package `nav2_msgs`: the parts of the action `NavigateToPose`, as ROS 2 Humble to Jazzy have them. They are sent, never
//! recorded, so they have no schema texts.

use crate::builtin_interfaces::Duration;
use crate::geometry_msgs::PoseStamped;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// Where to go.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct NavigateToPoseGoal {
    /// The place, in the frame that its header names.
    pub pose: PoseStamped,
    /// The behaviour tree; empty for the server's own.
    pub behavior_tree: String,
}

/// How it ended, beside the action's status. Older servers have no code, some no words: what is not there is 0 and empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct NavigateToPoseResult {
    /// 0 is none.
    pub error_code: u16,
    /// In words.
    pub error_msg: String,
}

impl<'de> Deserialize<'de> for NavigateToPoseResult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WhatIsThere;
        impl<'de> Visitor<'de> for WhatIsThere {
            type Value = NavigateToPoseResult;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a code and words, or less")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                // The end of the sample is no error here.
                let error_code = seq.next_element().ok().flatten();
                let error_msg = error_code.and_then(|_| seq.next_element().ok().flatten());
                Ok(NavigateToPoseResult {
                    error_code: error_code.unwrap_or_default(),
                    error_msg: error_msg.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_tuple(2, WhatIsThere)
    }
}

/// How it goes. Newer servers say more after these.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct NavigateToPoseFeedback {
    /// Where the robot is.
    pub current_pose: PoseStamped,
    /// How long it has been going.
    pub navigation_time: Duration,
    /// How long it thinks that it still needs.
    pub estimated_time_remaining: Duration,
    /// How often it had to help itself.
    pub number_of_recoveries: i16,
    /// Way to go, metres.
    pub distance_remaining: f32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use byteorder::LittleEndian;

    fn read(bytes: &[u8]) -> NavigateToPoseResult {
        cdr_encoding::from_bytes::<NavigateToPoseResult, LittleEndian>(bytes).unwrap().0
    }

    #[test]
    fn a_result_is_read_as_far_as_it_goes() {
        let whole = NavigateToPoseResult { error_code: 9003, error_msg: "late".to_owned() };
        let mut bytes = Vec::new();
        cdr_encoding::to_writer::<_, LittleEndian, _>(&mut bytes, &whole).unwrap();
        assert_eq!(bytes, [0x2b, 0x23, 0, 0, 5, 0, 0, 0, b'l', b'a', b't', b'e', 0]);
        assert_eq!(read(&bytes), whole);
        // Iron and some of Jazzy have no words, Humble one empty byte.
        assert_eq!(read(&bytes[..2]).error_code, 9003);
        assert_eq!(read(&[0]), NavigateToPoseResult::default());
    }
}
