//! Little-endian reading of fixed-size packets, shared by the binary lanes.

/// Why a binary packet was refused. A refused packet has no effect at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The packet does not have the one length that its kind has.
    #[error("packet has {got} bytes, expected {expected}")]
    Length {
        /// Bytes that this kind of packet has.
        expected: usize,
        /// Bytes that arrived.
        got: usize,
    },
    /// The first byte names another kind of packet, or none.
    #[error("packet kind 0x{got:02x}, expected 0x{expected:02x}")]
    Kind {
        /// The kind that this lane carries.
        expected: u8,
        /// The kind that arrived.
        got: u8,
    },
    /// The peer speaks a version of the packet that we do not.
    #[error("packet version {got}, expected {expected}")]
    Version {
        /// The version that we speak.
        expected: u8,
        /// The version that arrived.
        got: u8,
    },
    /// A field holds a value that its definition does not allow.
    #[error("field {field} holds a value that is not allowed")]
    Field {
        /// Name of the field in SPEC.md.
        field: &'static str,
    },
}

/// Checks length, kind and version of a packet, in this order.
pub(crate) fn header<const N: usize>(
    bytes: &[u8],
    kind: u8,
    version: u8,
) -> Result<&[u8; N], WireError> {
    let packet: &[u8; N] = bytes.try_into().map_err(|_not_n: std::array::TryFromSliceError| {
        WireError::Length { expected: N, got: bytes.len() }
    })?;
    if packet[0] != kind {
        return Err(WireError::Kind { expected: kind, got: packet[0] });
    }
    if packet[1] != version {
        return Err(WireError::Version { expected: version, got: packet[1] });
    }
    Ok(packet)
}

/// Copies `N` bytes at `offset`. Offsets are constants of the packet layouts, so they are in range.
pub(crate) fn at<const N: usize>(packet: &[u8], offset: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&packet[offset..offset + N]);
    out
}
