//! What an owner signs, and what it narrows.

use super::*;
use protocol::settings::{Drivers, OwnerSettings, Owners, SettingsRequest};

fn owner_settings(cast: &Cast, version: u64) -> OwnerSettings {
    OwnerSettings {
        v: 1,
        robot: cast.robot.clone(),
        version,
        at: WALL,
        speed_mmps_max: Some(500),
        area: None,
        hours: None,
        utc_offset_min: 0,
        drivers: Drivers { pilots: true, agents: false, only: vec![] },
        blind_driving: false,
        price_per_hour: None,
    }
}

fn settings_request(cast: &Cast, settings: &OwnerSettings, owner: &PrivateKey) -> SettingsRequest {
    let owners = Owners { robot_did: cast.robot_did, owners: vec![owner.did()] };
    SettingsRequest {
        settings: Envelope::sign(payload_type::OWNER_SETTINGS, settings, owner).unwrap(),
        owners: Envelope::sign(payload_type::OWNERS, &owners, &cast.fleet).unwrap(),
    }
}

#[test]
fn settings_are_an_owners_and_count_up() {
    let cast = Cast::new();
    let (ada, eve) = (PrivateKey::from_seed(&[8; 32]), PrivateKey::from_seed(&[9; 32]));
    let mut book = cast.book(0).with_owners(vec![ada.did()], None).unwrap();
    let taken = |book: &Book, settings: &OwnerSettings, owner: &PrivateKey| {
        book.check_settings(settings_request(&cast, settings, owner))
    };
    // The fleet may say what it likes about owners: this robot knows its own.
    assert!(matches!(taken(&book, &owner_settings(&cast, 2), &eve), Err(Refusal::Settings(_))));
    let (settings, owners) = taken(&book, &owner_settings(&cast, 2), &ada).unwrap();
    let envelope = settings.envelope().clone();
    book.take_settings(settings, owners);
    assert_eq!(book.settings_version(), 2);
    for old in [1, 2] {
        assert!(taken(&book, &owner_settings(&cast, old), &ada).is_err(), "version {old}");
    }
    assert!(taken(&book, &owner_settings(&cast, 3), &ada).is_ok());
    // After a restart they are read again, and are an error when they are another's.
    let again = cast.book(0).with_owners(vec![ada.did()], Some(envelope.clone())).unwrap();
    assert_eq!(again.settings_version(), 2);
    assert!(cast.book(0).with_owners(vec![eve.did()], Some(envelope)).is_err());
    // A robot that knows no owner learns them from the fleet, once, and for itself only.
    let book = cast.book(0);
    let (_, owners) = taken(&book, &owner_settings(&cast, 1), &ada).unwrap();
    assert_eq!(owners, [ada.did()]);
    let mut forged = settings_request(&cast, &owner_settings(&cast, 1), &eve);
    let mine = Owners { robot_did: cast.robot_did, owners: vec![eve.did()] };
    forged.owners = Envelope::sign(payload_type::OWNERS, &mine, &eve).unwrap();
    assert!(matches!(book.check_settings(forged), Err(Refusal::MessageSignature("the fleet"))));
    let mut of_another = settings_request(&cast, &owner_settings(&cast, 1), &eve);
    let theirs = Owners { robot_did: eve.did(), owners: vec![eve.did()] };
    of_another.owners = Envelope::sign(payload_type::OWNERS, &theirs, &cast.fleet).unwrap();
    assert!(matches!(book.check_settings(of_another), Err(Refusal::OtherRobot(_))));
}

#[test]
fn settings_narrow_and_never_widen() {
    let cast = Cast::new();
    let ada = PrivateKey::from_seed(&[8; 32]);
    let with = |settings: &OwnerSettings, lease: &Lease| {
        let signed = Envelope::sign(payload_type::OWNER_SETTINGS, settings, &ada).unwrap();
        let mut book = cast.opened(lease);
        book = book.with_owners(vec![ada.did()], Some(signed)).unwrap();
        book
    };
    let pilot = cast.lease(7);
    let agent =
        Lease { driver_kind: DriverKind::Agent, relay: Some(cast.relay.did()), ..cast.lease(7) };
    let narrow = owner_settings(&cast, 1);
    assert_eq!(with(&narrow, &pilot).core().unwrap().speed_mmps_max, 500);
    let fast = OwnerSettings { speed_mmps_max: Some(9_000), ..narrow.clone() };
    assert_eq!(with(&fast, &pilot).core().unwrap().speed_mmps_max, 1_200, "the lease's own");
    assert!(!with(&narrow, &agent).core().unwrap().program, "not blind");
    let blind = OwnerSettings { blind_driving: true, ..narrow.clone() };
    assert!(with(&blind, &agent).core().unwrap().program);
    assert!(!with(&blind, &pilot).core().unwrap().program);

    let open = |settings: &OwnerSettings, lease: &Lease| {
        let signed = Envelope::sign(payload_type::OWNER_SETTINGS, settings, &ada).unwrap();
        let book = cast.book(0).with_owners(vec![ada.did()], Some(signed)).unwrap();
        let offer = if lease.relay.is_some() { "" } else { "v=0" };
        book.check_open(&cast.request(lease, offer), WALL)
    };
    assert!(open(&narrow, &pilot).is_ok());
    assert_eq!(open(&narrow, &agent).unwrap_err(), Refusal::Owner(NotAllowed::Driver));
    let closed = OwnerSettings { hours: Some(vec![]), ..narrow.clone() };
    assert_eq!(open(&closed, &pilot).unwrap_err(), Refusal::Owner(NotAllowed::Hours));
    assert_eq!(open(&closed, &pilot).unwrap_err().code(), "forbidden");
    let mut book = with(&closed, &pilot);
    let renewal = Lease { renewal: 1, ..pilot };
    let refused = book.renew(cast.sign(&renewal), NOW, WALL);
    assert_eq!(refused, Err(Refusal::Owner(NotAllowed::Hours)), "and then the lease runs out");
}

#[test]
fn the_owners_area_becomes_the_cores_geofence() {
    let cast = Cast::new();
    let square = vec![
        [134_040_000, 525_190_000],
        [134_060_000, 525_190_000],
        [134_060_000, 525_210_000],
        [134_040_000, 525_210_000],
    ];
    let set = OwnerSettings { area: Some(vec![square.clone()]), ..owner_settings(&cast, 1) };
    let policy = agent_core::Policy::default();
    let fenced = crate::session::fenced(&policy, &set).unwrap();
    assert_eq!(
        fenced.geofence.keep_in,
        [[[52.519, 13.404], [52.519, 13.406], [52.521, 13.406], [52.521, 13.404]]]
    );
    assert!(crate::session::fenced(&policy, &owner_settings(&cast, 1)).is_none(), "no area");
    assert!(crate::session::fenced(&fenced, &set).is_none(), "the policy has one of its own");
    let flat = OwnerSettings { area: Some(vec![vec![[0, 0], [1, 0], [2, 0]]]), ..set };
    assert!(crate::session::fenced(&policy, &flat).is_none(), "nothing that the core can hold");
}
