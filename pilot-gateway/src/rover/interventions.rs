//! `/interventions/…`: a client says that a person takes over, and when that is over.
//!
//! They are kept in this gateway's memory, the newest hundred of each client, and end with the process. The episode
//! does not hold them: the wire has no event that a relay could have the robot record, and a gateway must not write
//! into what the robot signs. What the robot did meanwhile is in the episode in full, with who drove.

use super::client::Client;
use super::refused::Refused;
use crate::clock::{self, rfc3339};
use axum::Json;
use protocol::units::WallMs;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// Interventions that are remembered of one client.
const KEPT_MAX: usize = 100;

/// One intervention.
#[derive(Debug, Clone, PartialEq)]
pub struct Intervention {
    id: u64,
    ride: Option<String>,
    mission: Option<(String, String)>,
    start: WallMs,
    end: Option<WallMs>,
}

/// The interventions of one client on one robot, oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Interventions {
    all: VecDeque<Intervention>,
    count: u64,
}

impl Interventions {
    /// One begins: during which episode, in which mission (name, slug). One that is open goes on; gives its number.
    pub fn start(
        &mut self,
        now: WallMs,
        ride: Option<String>,
        mission: Option<(String, String)>,
    ) -> u64 {
        if let Some(open) = self.open() {
            return open.id;
        }
        if self.all.len() >= KEPT_MAX {
            self.all.pop_front();
        }
        self.count += 1;
        let new = Intervention { id: self.count, ride, mission, start: now, end: None };
        self.all.push_back(new);
        self.count
    }

    /// The open one ends. False when there is none.
    pub fn end(&mut self, now: WallMs) -> bool {
        match self.open() {
            Some(open) => {
                open.end = Some(now);
                true
            }
            None => false,
        }
    }

    fn open(&mut self) -> Option<&mut Intervention> {
        self.all.back_mut().filter(|last| last.end.is_none())
    }

    fn json(&self, robot: &str) -> Value {
        let one = |one: &Intervention| {
            let (name, slug) = one.mission.clone().unzip();
            json!({
                "ride_id": one.ride,
                "start_time": rfc3339(one.start),
                "end_time": one.end.map(rfc3339),
                "mission_name": name,
                "mission_slug": slug,
                "bot_name": robot,
                "bot_slug": robot,
            })
        };
        json!({ "interventions": self.all.iter().rev().map(one).collect::<Vec<_>>() })
    }
}

/// `POST /interventions/start`.
pub async fn start(client: Client) -> Result<Json<Value>, Refused> {
    client.gate()?;
    let open = client.app.drivers().touch(client.now(), client.rover.robot(), &client.rover.holder);
    let ride = open.ok().map(|open| open.episode.to_string());
    let mut memory = client.memory();
    let mission = memory.ride.as_ref().map(|ride| (ride.name.clone(), ride.slug.clone()));
    let id = memory.interventions.start(clock::wall(), ride, mission);
    let message = "Intervention started successfully";
    Ok(Json(json!({ "message": message, "intervention_id": id.to_string() })))
}

/// `POST /interventions/end`.
pub async fn end(client: Client) -> Result<Json<Value>, Refused> {
    if client.memory().interventions.end(clock::wall()) {
        return Ok(Json(json!({ "message": "Intervention ended successfully" })));
    }
    Err(Refused::bad("No active intervention found"))
}

/// `GET /interventions/history`.
pub async fn history(client: Client) -> Json<Value> {
    Json(client.memory().interventions.json(client.rover.robot().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_bounded() {
        let mut all = Interventions::default();
        assert!(!all.end(WallMs(1)));
        assert_eq!(all.start(WallMs(1), None, None), 1);
        assert_eq!(all.start(WallMs(2), None, None), 1, "it is open already");
        assert!(all.end(WallMs(3)) && !all.end(WallMs(4)));
        for n in 0..300 {
            all.start(WallMs(n), Some("eps_1".to_owned()), None);
            all.end(WallMs(n));
        }
        let shown = all.json("rover-1");
        let shown = shown["interventions"].as_array().unwrap();
        assert_eq!(shown.len(), KEPT_MAX);
        assert_eq!(shown[0]["ride_id"], "eps_1");
        assert_eq!(shown[0]["start_time"], "1970-01-01T00:00:00.299Z", "newest first");
    }
}
