use super::*;

fn full() -> Inputs {
    Inputs {
        lease: Some(Lease {
            epoch: 3,
            expires: MonoMs(99_000),
            speed_mmps_max: 1200,
            program: true,
        }),
        epoch_highest: 3,
        command: Some(Command {
            arrived: MonoMs(70_001),
            epoch: 3,
            seq: 17,
            deadman: true,
            stamp: Some(MonoMs(69_900)),
            seen: Some(MonoMs(69_880)),
            linear_mmps: -300,
            angular_mradps: 450,
        }),
        estop_stop: true,
        estop_clear_epoch: 3,
        odometry: Some(Odometry { arrived: MonoMs(69_990), speed_mmps: -290, yaw_mradps: 440 }),
        scan: Some(Scan { arrived: MonoMs(69_950), ahead_mm: Some(4_000), behind_mm: Some(200) }),
        close: Some(Close {
            arrived: MonoMs(69_960),
            ahead_mm: Some(900),
            behind_mm: Some(300),
            bumper_front: true,
            bumper_rear: true,
            drop_ahead: true,
            drop_behind: true,
        }),
        fix: Some(Fix {
            arrived: MonoMs(69_500),
            lat_1e7: 525_163_000,
            lon_1e7: -133_777_000,
            accuracy_mm: 1_200,
        }),
        heading: Some(Heading { east_permille: -600, north_permille: 800 }),
        battery_permille: Some(875),
        tilt_mrad: Some(30),
        recorder_able: true,
        heartbeats: [Some(MonoMs(69_001)), None, Some(MonoMs(69_003)), Some(MonoMs(69_004))],
    }
}

#[test]
fn a_record_gives_back_what_went_in() {
    let less = [
        Inputs::default(),
        full(),
        Inputs { lease: None, scan: None, ..full() },
        Inputs { close: None, fix: None, heading: None, odometry: None, ..full() },
        Inputs { battery_permille: None, command: None, ..full() },
    ];
    for inputs in less {
        let bytes = inputs.encode(MonoMs(70_002));
        assert_eq!(Inputs::decode(&bytes), Ok((MonoMs(70_002), inputs)));
    }
}

#[test]
fn every_field_has_its_place() {
    let bytes = full().encode(MonoMs(1));
    let (u16_at, u32_at) = (
        |at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()),
        |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()),
    );
    assert_eq!((bytes[10], u16_at(120), u16_at(122)), (2, 875, 30));
    assert_eq!((u32_at(88), u32_at(112), u32_at(136)), (69_990, 4_000, 900));
    assert_eq!(
        (u32_at(160), bytes[164], u32_at(168), u32_at(192)),
        (1_200, 0b1101, 69_001, 69_004)
    );
    assert_eq!(bytes[8..12], [0xff, 0xff, 2, 0x7f]);
}

#[test]
fn other_bytes_are_refused() {
    let bytes = full().encode(MonoMs(70_002));
    assert!(matches!(Inputs::decode(&bytes[1..]), Err(WireError::Length { .. })));
    let changed_to = |offset: usize, value: u8| {
        let mut bytes = bytes;
        bytes[offset] = value;
        Inputs::decode(&bytes)
    };
    assert_eq!(changed_to(10, 3), Err(WireError::Version { expected: 2, got: 3 }));
    assert_eq!(Inputs::decode(&[0; 128]), Err(WireError::Version { expected: 2, got: 1 }));
    assert!(changed_to(165, 1).is_err(), "a reserved byte");
    assert!(changed_to(207, 1).is_err(), "a reserved byte");
    assert!(changed_to(8, 0).is_err(), "absent, but not zero");
    assert!(changed_to(9, 0x3f).is_err(), "absent, but not zero");
    assert!(changed_to(11, 0xff).is_err(), "unknown flags");
}
