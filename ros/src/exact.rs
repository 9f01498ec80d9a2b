//! Messages that fill their sample to the end.
//!
//! RustDDS matches readers and writers by topic name only, not by type. The bytes of a longer type often decode as
//! a shorter one, so a wrong publisher would feed the safety core with numbers out of thin air.

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, SeqAccess, Visitor};
use std::marker::PhantomData;

/// DDS pads a sample to a multiple of four bytes; more than that after the last field is another type.
const PADDING_MAX: usize = 3;

/// A message after which the sample ends.
pub(crate) struct Exact<M>(pub(crate) M);

impl<'de, M: DeserializeOwned> Deserialize<'de> for Exact<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // CDR writes a tuple as its elements, one after the other: the message, then what may follow.
        deserializer.deserialize_tuple(1 + PADDING_MAX + 1, MessageThenEnd(PhantomData)).map(Self)
    }
}

struct MessageThenEnd<M>(PhantomData<M>);

impl<'de, M: DeserializeOwned> Visitor<'de> for MessageThenEnd<M> {
    type Value = M;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a message and nothing after it")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<M, A::Error> {
        let message = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        for _ in 0..=PADDING_MAX {
            // The decoder's only error for a single byte is the end of the sample.
            if !matches!(seq.next_element::<u8>(), Ok(Some(_))) {
                return Ok(message);
            }
        }
        Err(A::Error::custom("bytes after the end of the message: another type"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ros_msgs::builtin_interfaces::Time;
    use serde::de::value::{Error as ValueError, SeqDeserializer};

    /// A sample of `count` numbers: two for the message, the rest after it.
    fn read(count: u32) -> Result<Time, ValueError> {
        #[derive(Debug)]
        struct Fields(Time);
        impl<'de> Deserialize<'de> for Fields {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let sec = i32::deserialize(deserializer)?;
                Ok(Self(Time { sec, nanosec: 0 }))
            }
        }
        let sample = SeqDeserializer::<_, ValueError>::new(0..count);
        Exact::<Fields>::deserialize(sample).map(|exact| exact.0.0)
    }

    #[test]
    fn only_padding_may_follow_a_message() {
        assert!(read(0).is_err());
        assert_eq!(read(1), Ok(Time::default()));
        assert_eq!(read(4), Ok(Time::default()));
        assert!(read(5).unwrap_err().to_string().contains("another type"));
    }
}
