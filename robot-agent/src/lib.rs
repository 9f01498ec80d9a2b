//! The parts of the robot's agent that touch cameras and the network, apart from the program so that they can
//! be tested, measured and shown on their own.

pub mod clock;
pub mod link;
pub mod media;
