//! H.264 access units in Annex B: as much of their structure as an export needs.

/// NAL unit types (ITU-T H.264, table 7-1).
const NAL_NON_IDR: u8 = 1;
const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;
const NAL_DELIMITER: u8 = 9;

/// The NAL units of an access unit, without start codes.
pub fn nal_units(access_unit: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = skip_to_start_code(access_unit);
    std::iter::from_fn(move || {
        let unit = rest?;
        let next = find_start_code(unit);
        let (unit, after) = match next {
            Some(at) => (&unit[..at], skip_to_start_code(&unit[at..])),
            None => (unit, None),
        };
        rest = after;
        // Zeros before the next start code belong to it.
        let end = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Some(&unit[..end])
    })
    .filter(|unit| !unit.is_empty())
}

fn find_start_code(bytes: &[u8]) -> Option<usize> {
    bytes.windows(3).position(|window| window == [0, 0, 1])
}

fn skip_to_start_code(bytes: &[u8]) -> Option<&[u8]> {
    find_start_code(bytes).and_then(|at| bytes.get(at + 3..))
}

fn kind(unit: &[u8]) -> u8 {
    unit.first().copied().unwrap_or(0) & 0x1f
}

/// Whether decoding can begin at this access unit.
pub fn is_keyframe(access_unit: &[u8]) -> bool {
    // The slices come last, after a few short units: the first slice tells.
    nal_units(access_unit)
        .map(kind)
        .find(|kind| matches!(*kind, NAL_NON_IDR | NAL_IDR))
        .is_some_and(|kind| kind == NAL_IDR)
}

/// Sequence and picture parameter set of an access unit that carries both.
pub fn parameter_sets(access_unit: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let find =
        |wanted| nal_units(access_unit).find(|unit| kind(unit) == wanted).map(<[u8]>::to_vec);
    Some((find(NAL_SPS)?, find(NAL_PPS)?))
}

/// The access unit as an MP4 sample: lengths instead of start codes, parameter sets and delimiters left out.
pub fn to_sample(access_unit: &[u8]) -> Vec<u8> {
    let mut sample = Vec::with_capacity(access_unit.len() + 16);
    for unit in nal_units(access_unit) {
        if !matches!(kind(unit), NAL_SPS | NAL_PPS | NAL_DELIMITER) {
            let len = u32::try_from(unit.len()).unwrap_or(u32::MAX);
            sample.extend_from_slice(&len.to_be_bytes());
            sample.extend_from_slice(unit);
        }
    }
    sample
}

/// `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15) for one pair of parameter sets.
pub fn decoder_configuration(sps: &[u8], pps: &[u8]) -> Option<Vec<u8>> {
    let [_header, profile, compatibility, level, ..] = *sps else { return None };
    let mut record = vec![1, profile, compatibility, level, 0xff, 0xe1];
    record.extend_from_slice(&u16::try_from(sps.len()).ok()?.to_be_bytes());
    record.extend_from_slice(sps);
    record.push(1);
    record.extend_from_slice(&u16::try_from(pps.len()).ok()?.to_be_bytes());
    record.extend_from_slice(pps);
    if matches!(profile, 100 | 110 | 122 | 144) {
        // High profiles: chroma 4:2:0, 8 bits, no extension of the SPS.
        record.extend_from_slice(&[0xfd, 0xf8, 0xf8, 0]);
    }
    Some(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = &[
        0, 0, 0, 1, 9, 16, 0, 0, 0, 1, 0x67, 66, 0xc0, 31, 1, 0, 0, 1, 0x68, 2, 0, 0, 1, 0x65, 3, 4,
    ];

    #[test]
    fn an_access_unit_is_taken_apart() {
        let units: Vec<_> = nal_units(KEY).map(<[u8]>::to_vec).collect();
        assert_eq!(units, [&[9, 16][..], &[0x67, 66, 0xc0, 31, 1], &[0x68, 2], &[0x65, 3, 4]]);
        assert!(is_keyframe(KEY));
        assert!(!is_keyframe(&[0, 0, 1, 0x41, 1]));
        assert_eq!(to_sample(KEY), [0, 0, 0, 3, 0x65, 3, 4]);
        let (sps, pps) = parameter_sets(KEY).unwrap();
        let record = decoder_configuration(&sps, &pps).unwrap();
        assert_eq!(record[..6], [1, 66, 0xc0, 31, 0xff, 0xe1]);
    }

    #[test]
    fn rubbish_is_no_keyframe() {
        for rubbish in [&[][..], &[0], &[0, 0, 1], &[0, 0, 1, 0, 0, 1], &[5; 100]] {
            assert!(!is_keyframe(rubbish));
            assert!(to_sample(rubbish).len() <= rubbish.len() + 16);
        }
    }
}
