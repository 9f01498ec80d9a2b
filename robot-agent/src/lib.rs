//! The robot's agent: takes a driver's commands through the safety core to the base, sends video, records every
//! drive as a signed episode. A library beside a small program, so that its parts can be tested, measured and
//! shown on their own.

mod adapt;
mod audio;
mod autonomy;
mod backoff;
mod blind;
mod budget;
pub mod clock;
mod close;
mod compass;
pub mod config;
mod credentials;
pub mod diagnostics;
mod doctor;
mod drive;
mod enroll;
mod episodes;
mod fabric;
mod health;
pub mod home;
mod init;
pub mod interventions;
mod leases;
pub mod link;
mod live;
pub mod media;
mod navigation;
pub mod program;
mod record;
pub mod replay;
mod requests;
mod run;
mod senses;
mod sensors;
mod service;
pub mod session;
mod shared;
pub mod spool;
pub mod status;
mod telemetry;
mod ticks;
mod upload;
mod voice;
mod watch;
