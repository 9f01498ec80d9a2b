//! Plain CDR (XCDR1) with the four-byte encapsulation header, as DDS samples and MCAP files of ROS 2 carry it.

use crate::RosMessage;
use byteorder::{BigEndian, LittleEndian};

/// Identifier and options of little-endian plain CDR.
const HEADER: [u8; 4] = [0, 1, 0, 0];
/// DDS pads a sample to a multiple of four bytes; more than that after the last field is not ours.
const PADDING_MAX: usize = 3;

/// Why bytes are not the message that they should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CdrError {
    /// Shorter than the encapsulation header.
    #[error("{len} bytes are too short for a CDR header")]
    Short {
        /// Length found.
        len: usize,
    },
    /// An encapsulation other than plain CDR.
    #[error("CDR encapsulation {found:02x?} is not plain CDR")]
    Encapsulation {
        /// The first two bytes.
        found: [u8; 2],
    },
    /// The fields don't fit the bytes.
    #[error("not a {name}")]
    Fields {
        /// The expected type.
        name: &'static str,
        /// What the decoder found.
        #[source]
        source: cdr_encoding::Error,
    },
    /// Bytes remain after the last field.
    #[error("{extra} bytes after the end of a {name}")]
    Trailing {
        /// The expected type.
        name: &'static str,
        /// How many remain.
        extra: usize,
    },
}

/// The message in little-endian CDR, header included.
pub fn to_cdr<T: RosMessage>(message: &T) -> Vec<u8> {
    let mut bytes = HEADER.to_vec();
    cdr_encoding::to_writer::<T, LittleEndian, _>(&mut bytes, message)
        .expect("our messages have only fields of known length, and a Vec takes every write");
    bytes
}

/// Reads a message from CDR of either byte order. Allocates at most about a megabyte more than `bytes` is long,
/// whatever lengths it claims.
pub fn from_cdr<T: RosMessage>(bytes: &[u8]) -> Result<T, CdrError> {
    let Some((header, body)) = bytes.split_first_chunk::<4>() else {
        return Err(CdrError::Short { len: bytes.len() });
    };
    let decoded = match header {
        [0, 0, _, _] => cdr_encoding::from_bytes::<T, BigEndian>(body),
        [0, 1, _, _] => cdr_encoding::from_bytes::<T, LittleEndian>(body),
        [a, b, _, _] => return Err(CdrError::Encapsulation { found: [*a, *b] }),
    };
    let (message, consumed) =
        decoded.map_err(|source| CdrError::Fields { name: T::NAME, source })?;
    let extra = body.len().saturating_sub(consumed);
    if extra > PADDING_MAX {
        return Err(CdrError::Trailing { name: T::NAME, extra });
    }
    Ok(message)
}
