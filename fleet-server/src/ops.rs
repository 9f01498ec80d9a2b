//! What the fleet does, each as one transaction or as a part of one. HTTP handlers, the state tracker and the
//! clock call these; no rule lives in any of them.

pub(crate) mod credentials;
pub(crate) mod episodes;
pub(crate) mod interventions;
pub(crate) mod leases;
pub(crate) mod missions;
pub(crate) mod people;
pub(crate) mod settings;
