//! Messages in a TCP stream (RFC 8656 §12.5, RFC 8489 §6.2.2): each says its own length.

/// Longest message that is read. What is relayed are packets of DTLS and SRTP.
pub(crate) const LEN_MAX: usize = 4_096;
/// What must be read before the length is known.
pub(crate) const HEADER_LEN: usize = 4;

/// A message's length and, in a stream, its padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Length {
    pub(crate) message: usize,
    pub(crate) padding: usize,
}

/// What begins with `header`, if that is anything.
pub(crate) fn length(header: [u8; HEADER_LEN]) -> Option<Length> {
    let [first, _, high, low] = header;
    let body = usize::from(u16::from_be_bytes([high, low]));
    let (message, padding) = match first {
        0..=3 if body.is_multiple_of(4) => (20 + body, 0),
        0x40..=0x4f => (HEADER_LEN + body, body.next_multiple_of(4) - body),
        _ => return None,
    };
    (message <= LEN_MAX).then_some(Length { message, padding })
}

/// Pads a message for a stream.
pub(crate) fn padded(mut message: Vec<u8>) -> Vec<u8> {
    if message.first().is_some_and(|first| (0x40..=0x4f).contains(first)) {
        message.resize(message.len().next_multiple_of(4), 0);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_both_kinds_and_of_nothing() {
        let some = |message, padding| Some(Length { message, padding });
        assert_eq!(length([0, 3, 0, 8]), some(28, 0));
        assert_eq!(length([0x40, 0, 0, 5]), some(9, 3));
        assert_eq!(length([0x4f, 0xff, 0, 0]), some(4, 0));
        for wrong in [
            [0, 3, 0, 7],
            [0x16, 3, 1, 0],
            [b'G', b'E', b'T', b' '],
            [0, 3, 0xff, 0xfc],
            [0x40, 0, 0xff, 0xff],
        ] {
            assert_eq!(length(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn only_channel_data_is_padded() {
        assert_eq!(padded(vec![0x40, 0, 0, 1, 9]), [0x40, 0, 0, 1, 9, 0, 0, 0]);
        assert_eq!(padded(vec![1; 5]), [1; 5]);
    }
}
