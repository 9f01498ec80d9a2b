//! Fixed-size little-endian records. Writing beyond the end is ignored and reading beyond it gives zeros: the
//! layouts are constants, and their tests would show either.

pub(crate) struct Writer<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Writer<N> {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; N], at: 0 }
    }

    pub(crate) fn put<const K: usize>(&mut self, field: [u8; K]) {
        if let Some(slot) = self.bytes.get_mut(self.at..).and_then(|rest| rest.first_chunk_mut()) {
            *slot = field;
        }
        self.at = self.at.saturating_add(K);
    }

    pub(crate) const fn finish(self) -> [u8; N] {
        self.bytes
    }
}

pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn take<const K: usize>(&mut self) -> [u8; K] {
        let field = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()).copied();
        self.at = self.at.saturating_add(K);
        field.unwrap_or([0; K])
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }
    pub(crate) fn i16(&mut self) -> i16 {
        i16::from_le_bytes(self.take())
    }
    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }
    pub(crate) fn i32(&mut self) -> i32 {
        i32::from_le_bytes(self.take())
    }
    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
    pub(crate) fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.take())
    }
}

/// One byte whose bits are `flags`, the first in bit 0.
pub(crate) fn bits(flags: [bool; 8]) -> u8 {
    flags.iter().rev().fold(0, |byte, flag| byte << 1 | u8::from(*flag))
}

/// Whether bit `n` of `byte` is set.
pub(crate) const fn bit(byte: u8, n: u32) -> bool {
    byte.rotate_right(n) & 1 == 1
}
