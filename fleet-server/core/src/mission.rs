//! What may happen to a mission: one table, and nothing outside it.

use protocol::mission::MissionState::{self, *};
use serde::{Deserialize, Serialize};

/// Something that happens to a mission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The reward was put into escrow.
    Fund,
    /// The operator puts it on the board.
    Open,
    /// It is shown to one driver first.
    Offer,
    /// That driver did not take it.
    Decline,
    /// A driver got a lease for it.
    Assign,
    /// The robot reports that lease: the drive is under way.
    Start,
    /// The lease ended before all checkpoints were reached.
    LeaseEnded,
    /// The last checkpoint was reached.
    AllReached,
    /// Its episode was accepted and its reward paid.
    Settle,
    /// The operator takes it back.
    Cancel,
    /// Its deadline passed.
    Expire,
    /// It can't be done.
    Fail,
    /// Someone objects: its episode was refused, say.
    Dispute,
}

/// Every event.
pub const EVENTS: [Event; 13] = [
    Event::Fund,
    Event::Open,
    Event::Offer,
    Event::Decline,
    Event::Assign,
    Event::Start,
    Event::LeaseEnded,
    Event::AllReached,
    Event::Settle,
    Event::Cancel,
    Event::Expire,
    Event::Fail,
    Event::Dispute,
];

/// Every state, in the order of a mission's life.
pub const STATES: [MissionState; 12] = [
    Draft, Funded, Open, Offered, Assigned, Active, Verifying, Settled, Cancelled, Expired, Failed,
    Disputed,
];

/// One row: in any of `from`, `event` leads to `to`.
pub struct Row {
    /// What happens.
    pub event: Event,
    /// Where it may happen.
    pub from: &'static [MissionState],
    /// Where it leads.
    pub to: MissionState,
}

const fn row(event: Event, from: &'static [MissionState], to: MissionState) -> Row {
    Row { event, from, to }
}

/// The whole life of a mission. What is not here can't happen.
///
/// A mission that is being driven can't be cancelled: the driver would work for nothing. It can expire, for its
/// deadline was known. Once all checkpoints are reached it can only be paid, disputed or found impossible.
pub const TABLE: &[Row] = &[
    row(Event::Fund, &[Draft], Funded),
    row(Event::Open, &[Funded], Open),
    row(Event::Offer, &[Open], Offered),
    row(Event::Decline, &[Offered], Open),
    row(Event::Assign, &[Open, Offered], Assigned),
    row(Event::Start, &[Assigned], Active),
    row(Event::LeaseEnded, &[Assigned, Active], Open),
    row(Event::AllReached, &[Active], Verifying),
    row(Event::Settle, &[Verifying, Disputed], Settled),
    row(Event::Cancel, &[Draft, Funded, Open, Offered], Cancelled),
    row(Event::Expire, &[Draft, Funded, Open, Offered, Assigned, Active], Expired),
    row(Event::Fail, &[Funded, Open, Offered, Assigned, Active, Verifying, Disputed], Failed),
    row(Event::Dispute, &[Verifying], Disputed),
];

/// Where `event` leads from `state`; none when it can't happen there.
pub fn next(state: MissionState, event: Event) -> Option<MissionState> {
    TABLE.iter().find(|row| row.event == event && row.from.contains(&state)).map(|row| row.to)
}

/// Whether the mission has ended for good.
pub const fn is_ended(state: MissionState) -> bool {
    matches!(state, Settled | Cancelled | Expired | Failed)
}

/// Whether the reward lies in escrow.
pub const fn has_escrow(state: MissionState) -> bool {
    !matches!(state, Draft) && !is_ended(state)
}

/// Whether a driver holds a lease for it that still counts.
pub const fn is_driven(state: MissionState) -> bool {
    matches!(state, Assigned | Active)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_table() {
        // One line per state: every event that may happen there. All others must be refused.
        let allowed: &[(MissionState, &[(Event, MissionState)])] = &[
            (Draft, &[(Event::Fund, Funded), (Event::Cancel, Cancelled), (Event::Expire, Expired)]),
            (
                Funded,
                &[
                    (Event::Open, Open),
                    (Event::Cancel, Cancelled),
                    (Event::Expire, Expired),
                    (Event::Fail, Failed),
                ],
            ),
            (
                Open,
                &[
                    (Event::Offer, Offered),
                    (Event::Assign, Assigned),
                    (Event::Cancel, Cancelled),
                    (Event::Expire, Expired),
                    (Event::Fail, Failed),
                ],
            ),
            (
                Offered,
                &[
                    (Event::Decline, Open),
                    (Event::Assign, Assigned),
                    (Event::Cancel, Cancelled),
                    (Event::Expire, Expired),
                    (Event::Fail, Failed),
                ],
            ),
            (
                Assigned,
                &[
                    (Event::Start, Active),
                    (Event::LeaseEnded, Open),
                    (Event::Expire, Expired),
                    (Event::Fail, Failed),
                ],
            ),
            (
                Active,
                &[
                    (Event::LeaseEnded, Open),
                    (Event::AllReached, Verifying),
                    (Event::Expire, Expired),
                    (Event::Fail, Failed),
                ],
            ),
            (
                Verifying,
                &[(Event::Settle, Settled), (Event::Fail, Failed), (Event::Dispute, Disputed)],
            ),
            (Disputed, &[(Event::Settle, Settled), (Event::Fail, Failed)]),
            (Settled, &[]),
            (Cancelled, &[]),
            (Expired, &[]),
            (Failed, &[]),
        ];
        assert_eq!(allowed.len(), STATES.len());
        for (state, events) in allowed {
            for event in EVENTS {
                let expected = events.iter().find(|(e, _)| *e == event).map(|(_, to)| *to);
                assert_eq!(next(*state, event), expected, "{state:?} {event:?}");
            }
        }
    }

    #[test]
    fn an_ended_mission_stays_ended_and_holds_no_money() {
        for state in STATES {
            if is_ended(state) {
                assert!(EVENTS.iter().all(|event| next(state, *event).is_none()));
                assert!(!has_escrow(state));
            } else {
                // Every mission can end: there is a way out of each state.
                assert!(EVENTS.iter().filter_map(|e| next(state, *e)).any(is_ended), "{state:?}");
            }
        }
    }
}
