//! The API in process: the real router on a store in memory, with keys that play operator, pilot and robot.

mod auth;
mod connections;
mod contract;
mod credentials;
mod fabric;
mod ingest;
mod leases;
mod missions;
mod world;
