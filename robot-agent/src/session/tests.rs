use super::*;
use protocol::dsse::Envelope;
use protocol::keys::PrivateKey;
use protocol::lease::{LeaseLimits, LeaseMission};
use protocol::program::{NO_RECEIPT, ProgramCommand, ProgramReceipt};
use protocol::signal::open_bytes;
use protocol::{keyexpr, message};

mod owner;

const WALL: WallMs = WallMs(1_800_000_000_000);
const NOW: MonoMs = MonoMs(1_000_000);

struct Cast {
    fleet: PrivateKey,
    driver: PrivateKey,
    relay: PrivateKey,
    robot: RobotId,
    robot_did: Did,
}

impl Cast {
    fn new() -> Self {
        Self {
            fleet: PrivateKey::from_seed(&[1; 32]),
            driver: PrivateKey::from_seed(&[2; 32]),
            relay: PrivateKey::from_seed(&[3; 32]),
            robot: "rover".parse().unwrap(),
            robot_did: PrivateKey::from_seed(&[4; 32]).did(),
        }
    }

    fn book(&self, epoch_highest: u64) -> Book {
        Book::new(self.robot.clone(), self.robot_did, self.fleet.did(), epoch_highest)
    }

    fn lease(&self, epoch: u64) -> Lease {
        Lease {
            v: 1,
            lease_id: format!("lse_{epoch:032x}").parse().unwrap(),
            robot: self.robot.clone(),
            robot_did: self.robot_did,
            holder: self.driver.did(),
            relay: None,
            driver_kind: DriverKind::Pilot,
            epoch,
            renewal: 0,
            issued_at: WALL,
            ttl_ms: 30_000,
            limits: LeaseLimits { speed_mps_max: 1.2 },
            mission: None,
        }
    }

    fn sign(&self, lease: &Lease) -> Envelope {
        Envelope::sign(payload_type::LEASE, lease, &self.fleet).unwrap()
    }

    fn request(&self, lease: &Lease, offer: &str) -> SignalRequest {
        let envelope = self.sign(lease);
        let verified = VerifiedLease::verify(envelope.clone(), &self.fleet.did()).unwrap();
        let signature = self.driver.sign(&open_bytes(verified.digest(), offer));
        SignalRequest {
            lease: envelope,
            offer_sdp: offer.to_owned(),
            driver_signature: hex::encode(signature),
            ice_servers: Vec::new(),
        }
    }

    fn opened(&self, lease: &Lease) -> Book {
        let mut book = self.book(0);
        let offer = if lease.relay.is_some() { "" } else { "v=0" };
        let checked = book.check_open(&self.request(lease, offer), WALL).unwrap();
        book.open(checked, NOW);
        book
    }
}

#[test]
fn a_good_opening_gives_the_core_its_lease() {
    let cast = Cast::new();
    let book = cast.opened(&cast.lease(7));
    let core = book.current().unwrap().core();
    assert_eq!((core.epoch, core.expires, core.speed_mmps_max), (7, MonoMs(1_030_000), 1_200));
    assert!(!core.program);
    assert_eq!(book.epoch_highest(), 7);
}

#[test]
fn a_missions_area_goes_to_the_core_or_nobody_drives() {
    let mission = |area: Option<Vec<Vec<[i32; 2]>>>| LeaseMission {
        id: format!("msn_{:032x}", 9).parse().unwrap(),
        name: "Around the block".to_owned(),
        checkpoints: Vec::new(),
        area,
    };
    let policy = agent_core::Policy::default();
    assert_eq!(super::with_mission(&policy, None), Ok(policy.clone()));
    assert_eq!(super::with_mission(&policy, Some(&mission(None))), Ok(policy.clone()));
    let square = vec![[0, 0], [10_000, 0], [10_000, 20_000], [0, 20_000]];
    let narrowed = super::with_mission(&policy, Some(&mission(Some(vec![square])))).unwrap();
    let corners = [[0.0, 0.0], [0.0, 0.001], [0.002, 0.001], [0.002, 0.0]];
    assert_eq!(narrowed.geofence.mission, [corners.to_vec()]);
    let crossed = vec![[0, 0], [10_000, 20_000], [10_000, 0], [0, 20_000]];
    for bad in [vec![], vec![vec![[0, 0]]], vec![crossed]] {
        let refusal = super::with_mission(&policy, Some(&mission(Some(bad)))).unwrap_err();
        assert!(refusal.to_string().contains("the mission's area"), "{refusal}");
        assert_eq!(refusal.code(), "bad-request");
    }
}

#[test]
fn openings_that_are_refused() {
    let cast = Cast::new();
    let check = |lease: &Lease, change: &dyn Fn(&mut SignalRequest)| {
        let mut request = cast.request(lease, "v=0");
        change(&mut request);
        cast.book(7).check_open(&request, WALL).unwrap_err()
    };
    let keep = |_: &mut SignalRequest| {};
    let good = cast.lease(8);
    for epoch in [0, 6, 7] {
        let error = check(&cast.lease(epoch), &keep);
        assert_eq!(error, Refusal::Ended { epoch, highest: 7 });
        assert_eq!(error.code(), "lease-ended");
    }
    let other = Lease { robot: "other".parse().unwrap(), ..good.clone() };
    assert!(matches!(check(&other, &keep), Refusal::OtherRobot(_)));
    let other = Lease { robot_did: cast.driver.did(), ..good.clone() };
    assert!(matches!(check(&other, &keep), Refusal::OtherRobot(_)));
    let old = Lease { issued_at: WallMs(WALL.0 - 35_001), ..good.clone() };
    assert_eq!(check(&old, &keep), Refusal::Outdated(35));
    let future = Lease { issued_at: WallMs(WALL.0 + 5_001), ..good.clone() };
    assert_eq!(check(&future, &keep), Refusal::Outdated(-5));
    assert!(check(&future, &keep).to_string().contains("5 s in the future by this robot's clock"));
    let forged = |request: &mut SignalRequest| {
        request.lease = Envelope::sign(payload_type::LEASE, &good, &cast.driver).unwrap();
    };
    assert_eq!(check(&good, &forged).code(), "bad-signature");
    let moved = |request: &mut SignalRequest| request.offer_sdp.push(' ');
    assert_eq!(check(&good, &moved), Refusal::DriverSignature);
    let unsigned = |request: &mut SignalRequest| request.driver_signature.clear();
    assert_eq!(check(&good, &unsigned), Refusal::DriverSignature);
    let empty = |request: &mut SignalRequest| request.offer_sdp.clear();
    assert_eq!(check(&good, &empty), Refusal::NoOffer);
    let just = Lease { issued_at: WallMs(WALL.0 - 35_000), ..good };
    assert!(cast.book(7).check_open(&cast.request(&just, "v=0"), WALL).is_ok());
}

#[test]
fn a_program_behind_a_relay_may_be_unable_to_sign_but_a_pilot_may_not() {
    let cast = Cast::new();
    let lease = Lease { relay: Some(cast.relay.did()), ..cast.lease(1) };
    let mut request = cast.request(&lease, "");
    assert!(cast.book(0).check_open(&request, WALL).unwrap().relayed);
    request.driver_signature.clear();
    assert_eq!(cast.book(0).check_open(&request, WALL), Err(Refusal::DriverSignature));
    let lease = Lease { driver_kind: DriverKind::Agent, ..lease };
    let request = SignalRequest { driver_signature: String::new(), ..cast.request(&lease, "") };
    assert!(cast.book(0).check_open(&request, WALL).is_ok());
    let request = SignalRequest { driver_signature: String::new(), ..cast.request(&lease, "v=0") };
    assert_eq!(cast.book(0).check_open(&request, WALL), Err(Refusal::DriverSignature));
}

#[test]
fn the_same_lease_may_be_opened_again_while_it_is_open_and_never_after() {
    let cast = Cast::new();
    let mut book = cast.opened(&cast.lease(7));
    let checked = book.check_open(&cast.request(&cast.lease(7), "v=0 again"), WALL).unwrap();
    assert!(checked.again);
    book.open(checked, NOW);
    book.end("released");
    let again = book.check_open(&cast.request(&cast.lease(7), "v=0"), WALL);
    assert_eq!(again, Err(Refusal::Ended { epoch: 7, highest: 7 }));
    assert_eq!(book.last_ended().unwrap().why, "released");
    // After a restart, too: the epoch was made durable.
    let again = cast.book(7).check_open(&cast.request(&cast.lease(7), "v=0"), WALL);
    assert_eq!(again, Err(Refusal::Ended { epoch: 7, highest: 7 }));
}

#[test]
fn a_renewal_counts_up_and_is_the_same_lease_signed_by_the_fleet() {
    let cast = Cast::new();
    let lease = cast.lease(7);
    let mut book = cast.opened(&lease);
    let one = Lease { renewal: 1, ..lease.clone() };
    let later = NOW.plus(10_000);
    assert_eq!(book.renew(cast.sign(&one), later, WALL), Ok(1));
    assert_eq!(book.current().unwrap().expires(), MonoMs(1_040_000));
    // Replayed, or overtaken.
    let replayed = Refusal::OldRenewal { got: 1, current: 1 };
    assert_eq!(book.renew(cast.sign(&one), later, WALL), Err(replayed));
    let first = Refusal::OldRenewal { got: 0, current: 1 };
    assert_eq!(book.renew(cast.sign(&lease), later, WALL), Err(first));
    let two = Lease { renewal: 2, ..lease };
    let forged = Envelope::sign(payload_type::LEASE, &two, &cast.driver).unwrap();
    assert_eq!(book.renew(forged, later, WALL).unwrap_err().code(), "bad-signature");
    for other in [
        Lease { epoch: 8, ..two.clone() },
        Lease { lease_id: cast.lease(9).lease_id, ..two.clone() },
        Lease { holder: cast.relay.did(), ..two.clone() },
        Lease { relay: Some(cast.relay.did()), ..two.clone() },
    ] {
        assert_eq!(book.renew(cast.sign(&other), later, WALL), Err(Refusal::NotCurrent));
    }
    let old = Lease { issued_at: WallMs(WALL.0 - 40_000), ..two.clone() };
    assert_eq!(book.renew(cast.sign(&old), later, WALL), Err(Refusal::Outdated(40)));
    let late = NOW.plus(40_000);
    assert_eq!(book.renew(cast.sign(&two), late, WALL), Err(Refusal::NotCurrent), "it has expired");
    assert_eq!(book.renew(cast.sign(&two), later, WALL), Ok(2));
}

#[test]
fn a_drive_goes_on_when_the_robots_wall_clock_is_set() {
    let cast = Cast::new();
    let lease = cast.lease(7);
    let mut book = cast.opened(&lease);
    let hour = |wall: WallMs| WallMs(wall.0 + 3_600_000);
    let renewed = |renewal: u32, issued_after_ms: u64| Lease {
        renewal,
        issued_at: WallMs(WALL.0 + issued_after_ms),
        ..lease.clone()
    };
    let (later, wall) = (NOW.plus(20_000), hour(WallMs(WALL.0 + 20_000)));
    assert_eq!(book.renew(cast.sign(&renewed(1, 19_900)), later, wall), Ok(1));
    // What somebody held back is as old as before.
    let (later, wall) = (NOW.plus(45_000), hour(WallMs(WALL.0 + 45_000)));
    let held_back = book.renew(cast.sign(&renewed(2, 9_000)), later, wall);
    assert_eq!(held_back, Err(Refusal::Outdated(3_636)));
    assert_eq!(book.renew(cast.sign(&renewed(2, 44_000)), later, wall), Ok(2));
    // The fleet's clock may be set as well; the robot's then agrees with it after a while.
    let (later, wall) = (NOW.plus(60_000), hour(WallMs(WALL.0 + 60_000)));
    assert_eq!(book.renew(cast.sign(&renewed(3, 3_660_000)), later, wall), Ok(3));
    // A new drive wants clocks that agree.
    let next = cast.request(&cast.lease(8), "v=0");
    assert_eq!(book.check_open(&next, wall), Err(Refusal::Outdated(3_660)));
}

#[test]
fn a_lease_ends_when_it_expires_or_when_its_driver_has_gone() {
    let cast = Cast::new();
    let mut book = cast.opened(&cast.lease(7));
    assert_eq!(book.due(NOW.plus(14_999)), None);
    assert_eq!(book.due(NOW.plus(15_000)), Some("driver-gone"), "never came");
    book.heard(NOW.plus(20_000));
    book.heard(NOW.plus(19_000));
    assert_eq!(book.due(NOW.plus(24_999)), None);
    assert_eq!(book.due(NOW.plus(25_000)), Some("driver-gone"));
    book.heard(NOW.plus(29_999));
    assert_eq!(book.due(NOW.plus(30_000)), Some("expired"));
    book.end("expired");
    assert_eq!(book.due(NOW.plus(90_000)), None);
}

#[test]
fn a_ttl_beyond_all_measure_and_a_limit_that_is_no_number() {
    let cast = Cast::new();
    let limits = LeaseLimits { speed_mps_max: -3.0 };
    let book = cast.opened(&Lease { ttl_ms: u32::MAX, limits, ..cast.lease(7) });
    let core = book.current().unwrap().core();
    assert_eq!((core.expires, core.speed_mmps_max), (NOW.plus(120_000), 0));
    assert_eq!(speed_mmps(f64::NAN), 0);
}

#[test]
fn only_the_relay_of_the_open_lease_speaks_for_it() {
    let cast = Cast::new();
    let key = keyexpr::command(&cast.robot);
    let by = |signer: &PrivateKey| message::sign(&key, b"packet", signer);
    let relayed = Lease { relay: Some(cast.relay.did()), ..cast.lease(7) };
    let book = cast.opened(&relayed);
    assert_eq!(book.verify_relay(&key, b"packet", &by(&cast.relay)), Ok(()));
    for (payload, signature) in [
        (b"packet", by(&cast.driver)),
        (b"Packet", by(&cast.relay)),
        (b"packet", message::sign(&keyexpr::lease(&cast.robot), b"packet", &cast.relay)),
    ] {
        assert_eq!(
            book.verify_relay(&key, payload, &signature).unwrap_err().code(),
            "bad-signature"
        );
    }
    assert_eq!(book.check_release(relayed.lease_id), Ok(()));
    assert_eq!(book.check_release(cast.lease(8).lease_id), Err(Refusal::NotCurrent));
    assert!(cast.opened(&cast.lease(7)).verify_relay(&key, b"packet", &by(&cast.relay)).is_err());
    assert_eq!(
        cast.book(7).verify_relay(&key, b"packet", &by(&cast.relay)),
        Err(Refusal::NotCurrent)
    );
}

#[test]
fn the_fleet_the_driver_and_its_relay_may_stop_and_only_under_the_lease_clear() {
    let cast = Cast::new();
    let key = keyexpr::estop(&cast.robot);
    let ask = |book: &mut Book, signer: &PrivateKey, request: &EstopRequest| {
        let payload = serde_json::to_vec(request).unwrap();
        let signature = message::sign(&key, &payload, signer);
        let attachment = [signer.did().as_bytes().as_slice(), &signature].concat();
        book.take_estop(&key, &payload, &attachment, WALL)
    };
    let lease = Lease { relay: Some(cast.relay.did()), ..cast.lease(7) };
    let (mut open, mut idle) = (cast.opened(&lease), cast.book(7));
    let stop = EstopRequest { stop: true, lease_id: None, at: WALL, reason: "test".into() };
    for signer in [&cast.fleet, &cast.driver, &cast.relay] {
        assert_eq!(ask(&mut open, signer, &stop).as_ref(), Ok(&stop));
    }
    assert!(ask(&mut idle, &cast.fleet, &stop).is_ok());
    assert!(ask(&mut idle, &cast.driver, &stop).is_err());
    assert!(ask(&mut open, &PrivateKey::from_seed(&[9; 32]), &stop).is_err());
    assert!(open.take_estop(&key, b"{}", &[0; 20], WALL).is_err());
    assert!(open.take_estop(&key, b"{}", &[0xff; 96], WALL).is_err());
    let clear = EstopRequest { stop: false, lease_id: Some(lease.lease_id), ..stop.clone() };
    assert!(ask(&mut open, &cast.driver, &clear).is_ok());
    assert_eq!(ask(&mut idle, &cast.fleet, &clear), Err(Refusal::NotCurrent));
    let nameless = EstopRequest { lease_id: None, ..clear.clone() };
    assert_eq!(ask(&mut open, &cast.driver, &nameless), Err(Refusal::NotCurrent));
    let recorded = EstopRequest { at: WallMs(WALL.0 - 10_001), ..clear };
    assert_eq!(ask(&mut open, &cast.driver, &recorded), Err(Refusal::OldRequest(10)));
}

#[test]
fn a_stop_is_obeyed_whatever_the_clocks_say_but_no_copy_of_one() {
    let cast = Cast::new();
    let key = keyexpr::estop(&cast.robot);
    let mut book = cast.opened(&Lease { relay: Some(cast.relay.did()), ..cast.lease(7) });
    let mut stop = |signer: &PrivateKey, at: u64| {
        let request =
            EstopRequest { stop: true, lease_id: None, at: WallMs(at), reason: "test".into() };
        let payload = serde_json::to_vec(&request).unwrap();
        let signature = message::sign(&key, &payload, signer);
        let attachment = [signer.did().as_bytes().as_slice(), &signature].concat();
        book.take_estop(&key, &payload, &attachment, WALL).map(drop)
    };
    assert_eq!(stop(&cast.fleet, 5), Ok(()), "a clock that starts in 1970");
    assert_eq!(stop(&cast.fleet, 5), Err(Refusal::Repeated));
    assert_eq!(stop(&cast.relay, WALL.0 + 9_000_000), Ok(()), "a clock hours ahead");
    assert_eq!(stop(&cast.driver, WALL.0), Ok(()), "does not bar those who are behind it");
    assert_eq!(stop(&cast.fleet, 4), Err(Refusal::Repeated));
    assert_eq!(stop(&cast.fleet, 6), Ok(()));
}

#[test]
fn a_text_and_a_lamp_are_for_the_relay_of_the_open_lease() {
    let cast = Cast::new();
    let lease = Lease { relay: Some(cast.relay.did()), ..cast.lease(7) };
    let book = cast.opened(&lease);
    let key = keyexpr::speak(&cast.robot);
    let none = WallMs(0);
    let ask = |signer: &PrivateKey, request: &SpeakRequest, after: WallMs| {
        let payload = serde_json::to_vec(request).unwrap();
        book.check_speak(&key, &payload, &message::sign(&key, &payload, signer), WALL, after)
    };
    let speak = SpeakRequest { lease_id: lease.lease_id, text: "hello".into(), at: WALL };
    assert_eq!(ask(&cast.relay, &speak, none).as_ref(), Ok(&speak));
    for other in [&cast.fleet, &cast.driver] {
        assert_eq!(ask(other, &speak, none).unwrap_err().code(), "bad-signature");
    }
    assert_eq!(ask(&cast.relay, &speak, WALL), Err(Refusal::Repeated), "a copy");
    let old = SpeakRequest { at: WallMs(WALL.0 - 10_001), ..speak.clone() };
    assert_eq!(ask(&cast.relay, &old, none), Err(Refusal::OldRequest(10)));
    let other = SpeakRequest { lease_id: cast.lease(8).lease_id, ..speak.clone() };
    assert_eq!(ask(&cast.relay, &other, none), Err(Refusal::NotCurrent));
    for text in [String::new(), " ".to_owned(), "x".repeat(SPEAK_CHARS_MAX + 1)] {
        let error = ask(&cast.relay, &SpeakRequest { text, ..speak.clone() }, none).unwrap_err();
        assert_eq!(error.code(), "bad-request");
    }
    let lamp_key = keyexpr::lamp(&cast.robot);
    let lamp = |json: &str| {
        let signature = message::sign(&lamp_key, json.as_bytes(), &cast.relay);
        book.check_lamp(&lamp_key, json.as_bytes(), &signature, WALL, none)
    };
    let (id, at) = (lease.lease_id, WALL.0);
    assert_eq!(lamp(&format!(r#"{{"lease_id":"{id}","level":3,"at":{at}}}"#)).unwrap().level, 3);
    for bad in ["4", "-1", "1.5", "\"1\"", "null", "99999999999999999999"] {
        let json = format!(r#"{{"lease_id":"{id}","level":{bad},"at":{at}}}"#);
        assert_eq!(lamp(&json).unwrap_err().code(), "bad-request", "{bad}");
    }
    assert_eq!(lamp("not JSON").unwrap_err().code(), "bad-request");
    let idle = cast.book(7).check_speak(&key, b"{}", &[0; 64], WALL, none);
    assert_eq!(idle, Err(Refusal::NotCurrent));
}

#[test]
fn an_opening_behind_a_relay_that_is_signed_must_be_signed_by_the_holder() {
    let cast = Cast::new();
    let relay = cast.relay.did();
    let lease = Lease { relay: Some(relay), driver_kind: DriverKind::Agent, ..cast.lease(1) };
    let good = cast.request(&lease, "");
    assert!(cast.book(0).check_open(&good, WALL).unwrap().relayed);
    let verified = VerifiedLease::verify(good.lease.clone(), &cast.fleet.did()).unwrap();
    let bytes = open_bytes(verified.digest(), "");
    let other_relay = Lease { relay: Some(cast.robot_did), ..lease.clone() };
    for signature in [
        hex::encode(cast.relay.sign(&bytes)),
        hex::encode(cast.fleet.sign(&bytes)),
        // The holder agreed to another relay, or to an opening with an offer.
        cast.request(&other_relay, "").driver_signature,
        cast.request(&lease, "v=0").driver_signature,
        "00".repeat(64),
        "not hexadecimal".to_owned(),
    ] {
        let request = SignalRequest { driver_signature: signature, ..good.clone() };
        let refused = cast.book(0).check_open(&request, WALL).unwrap_err();
        assert_eq!(refused, Refusal::DriverSignature);
        assert_eq!(refused.code(), "bad-signature");
    }
}

#[test]
fn a_programs_receipts_are_its_own_and_recorded_once() {
    let cast = Cast::new();
    let lease =
        Lease { relay: Some(cast.relay.did()), driver_kind: DriverKind::Agent, ..cast.lease(7) };
    let mut book = cast.opened(&lease);
    let command =
        ProgramCommand { n: 1, at: WALL, linear_ppm: 1_000_000, angular_ppm: 0, seen_ms: None };
    let receipt = ProgramReceipt {
        lease_id: lease.lease_id,
        epoch: 7,
        index: 0,
        previous: NO_RECEIPT.to_owned(),
        commands: vec![command],
    };
    let signed = |key: &PrivateKey| RelayedReceipt {
        receipt: Envelope::sign(payload_type::COMMANDS, &receipt, key).unwrap(),
        first_seqs: vec![1],
        through_seq: 4,
    };
    let refused = book.program_receipt(&signed(&cast.relay)).unwrap_err();
    assert!(refused.to_string().contains("not signed by the lease's holder"), "{refused}");
    assert_eq!(book.program_receipt(&signed(&cast.driver)), Ok(true));
    assert_eq!(book.program_receipt(&signed(&cast.driver)), Ok(false), "its answer got lost");
    book.end("released");
    assert_eq!(book.program_receipt(&signed(&cast.driver)), Err(Refusal::NotCurrent));
}

#[test]
fn receipts_form_a_chain() {
    let cast = Cast::new();
    let lease = cast.lease(7);
    let mut book = cast.opened(&lease);
    let receipt = |index, previous: &str, first_seq, digests: &str| Receipt {
        lease_id: lease.lease_id,
        epoch: 7,
        index,
        previous: previous.to_owned(),
        first_seq,
        digests: digests.to_owned(),
    };
    let signed =
        |receipt: &Receipt| Envelope::sign(payload_type::RECEIPT, receipt, &cast.driver).unwrap();
    let two = "0011223344556677".repeat(2);
    let first = signed(&receipt(0, NO_RECEIPT, 1, &two));
    let head = hex::encode(Sha256::digest(first.body_unverified().unwrap()));
    let forged =
        Envelope::sign(payload_type::RECEIPT, &receipt(0, NO_RECEIPT, 1, &two), &cast.relay);
    for bad in [
        forged.unwrap(),
        signed(&Receipt { epoch: 8, ..receipt(0, NO_RECEIPT, 1, &two) }),
        signed(&receipt(1, NO_RECEIPT, 1, &two)),
        signed(&receipt(0, &head, 1, &two)),
        signed(&receipt(0, NO_RECEIPT, 1, "0011")),
        signed(&receipt(0, NO_RECEIPT, 1, "zz11223344556677")),
    ] {
        assert!(matches!(book.receipt(&bad), Err(Refusal::Receipt(_))));
    }
    assert_eq!(book.receipt(&first), Ok(true));
    assert_eq!(book.receipt(&first), Ok(false), "sent once more, after a change of link");
    assert!(book.receipt(&signed(&receipt(1, &head, 2, &two))).is_err(), "overlaps");
    assert_eq!(book.receipt(&signed(&receipt(1, &head, 3, &two))), Ok(true));
}

#[test]
fn an_intervention_is_the_relays_to_tell_and_the_robots_to_end_with_the_lease() {
    use protocol::intervention::{Act, InterventionRequest};
    let cast = Cast::new();
    let lease = Lease { relay: Some(cast.relay.did()), ..cast.lease(7) };
    let mut book = cast.opened(&lease);
    let key = keyexpr::intervention(&cast.robot);
    let id = "itv_00000000000000000000000000000001".parse().unwrap();
    let good = InterventionRequest {
        lease_id: lease.lease_id,
        id,
        act: Act::Start,
        cause: "a person takes over".to_owned(),
        at: WALL,
    };
    let mut take = |request: &InterventionRequest, signer: &PrivateKey, after| {
        let payload = serde_json::to_vec(request).unwrap();
        let signature = message::sign(&key, &payload, signer);
        book.intervene(&key, &payload, &signature, WALL, after)
    };
    let before = WallMs(0);
    let error = take(&good, &cast.driver, before).unwrap_err();
    assert_eq!(error.code(), "bad-signature");
    let other = InterventionRequest { lease_id: cast.lease(8).lease_id, ..good.clone() };
    assert_eq!(take(&other, &cast.relay, before), Err(Refusal::NotCurrent));
    let late = InterventionRequest { at: WallMs(WALL.0 - 10_001), ..good.clone() };
    assert!(matches!(take(&late, &cast.relay, before), Err(Refusal::OldRequest(_))));
    assert_eq!(take(&good, &cast.relay, WALL), Err(Refusal::Repeated));
    for cause in [String::new(), "x".repeat(201)] {
        let wrong = InterventionRequest { cause, ..good.clone() };
        assert!(matches!(take(&wrong, &cast.relay, before), Err(Refusal::Request(_))));
    }
    let end = InterventionRequest { act: Act::End, ..good.clone() };
    assert!(matches!(take(&end, &cast.relay, before), Err(Refusal::Request(_))), "never began");

    let (at, notes) = take(&good, &cast.relay, before).unwrap();
    assert_eq!((at, notes.len()), (WALL, 1));
    assert_eq!((notes[0].act, notes[0].by), (Act::Start, cast.driver.did()));
    let cut = book.cut_short("driver-gone").unwrap();
    assert_eq!((cut.id, cut.act, cut.by), (id, Act::End, cast.robot_did));
    assert_eq!(cut.cause, "driver-gone");
    book.end("driver-gone").unwrap();
    assert_eq!(book.cut_short("driver-gone"), None);
}

#[test]
fn a_takeover_is_an_intervention_of_the_holder_until_the_autonomy_drives_again() {
    use protocol::intervention::Act;
    let id = |n: u32| format!("itv_{n:032x}").parse().unwrap();
    let cast = Cast::new();
    let mut nobody = cast.book(0);
    assert!(nobody.take_over(id(1)).is_empty() && nobody.hand_back().is_empty());
    let mut book = cast.opened(&cast.lease(7));
    assert!(book.hand_back().is_empty(), "nothing to hand back");
    let told = book.take_over(id(1));
    let holder = cast.driver.did();
    let start = (id(1), Act::Start, "takeover", holder);
    assert_eq!((told[0].id, told[0].act, told[0].cause.as_str(), told[0].by), start);
    let told = book.hand_back();
    assert_eq!((told.len(), told[0].id, told[0].act), (1, id(1), Act::End));
    book.take_over(id(2));
    assert_eq!(book.cut_short("released").unwrap().id, id(2), "the drive ended first");
}
