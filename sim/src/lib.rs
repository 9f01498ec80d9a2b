//! A simulated sidewalk robot in a city block.
//!
//! [`World`] is a pure function of its seed and the commands: [`World::step`] moves it on, nothing else does, and no
//! clock, thread or socket is known here. [`Renderer`] draws what its cameras see; [`sensors`] makes the messages that
//! a robot's drivers would send. The program `sim-robot` puts them on ROS 2 and into shared memory.
//!
//! [`netem`] is a network that is as bad as it is told to be.

pub mod autonomy;
pub mod base;
pub mod camera;
pub mod city;
pub mod netem;
pub mod people;
pub mod quality;
pub mod render;
pub mod rng;
pub mod route;
pub mod sensors;
pub mod world;

pub use base::Command;
pub use camera::CameraModel;
pub use render::{Assets, Picture, Renderer, Scene};
pub use route::demo_route;
pub use world::{Pose, World};
