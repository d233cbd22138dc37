//! Fields of entries and rows: little endian, lengths before bytes, nothing believed unchecked.

use bytes::{Buf, BufMut, Bytes};
use storage::LogId;

/// What is wrong with bytes whose checksum is right: a newer version wrote them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {0} of an entry cannot be read")]
pub(crate) struct BadEntry(pub(crate) &'static str);

/// Reads fields off the front, with bounds.
pub(crate) struct Fields {
    pub(crate) rest: Bytes,
    /// What is being read, for the error.
    pub(crate) what: &'static str,
}

impl Fields {
    pub(crate) fn take(&mut self, length: usize) -> Result<Bytes, BadEntry> {
        if length > self.rest.len() {
            return Err(BadEntry(self.what));
        }
        Ok(self.rest.split_to(length))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, BadEntry> {
        Ok(self.take(1)?.get_u8())
    }

    pub(crate) fn u16(&mut self) -> Result<u16, BadEntry> {
        Ok(self.take(2)?.get_u16_le())
    }

    pub(crate) fn u32(&mut self) -> Result<u32, BadEntry> {
        Ok(self.take(4)?.get_u32_le())
    }

    pub(crate) fn i64(&mut self) -> Result<i64, BadEntry> {
        Ok(self.u64()?.cast_signed())
    }

    pub(crate) fn u64(&mut self) -> Result<u64, BadEntry> {
        Ok(self.take(8)?.get_u64_le())
    }

    pub(crate) fn u128(&mut self) -> Result<u128, BadEntry> {
        Ok(self.take(16)?.get_u128_le())
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes, BadEntry> {
        let length = usize::try_from(self.u32()?).map_err(|_| BadEntry(self.what))?;
        self.take(length)
    }

    pub(crate) fn numbers(&mut self) -> Result<Vec<u64>, BadEntry> {
        self.list(8, Self::u64)
    }

    /// A list whose items take at least `item_bytes` each.
    pub(crate) fn list<T>(
        &mut self,
        item_bytes: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, BadEntry>,
    ) -> Result<Vec<T>, BadEntry> {
        let count = usize::try_from(self.u32()?).map_err(|_| BadEntry(self.what))?;
        if count > self.rest.len() / item_bytes {
            return Err(BadEntry(self.what));
        }
        (0..count).map(|_| item(self)).collect()
    }
}

pub(crate) fn put_length(out: &mut Vec<u8>, length: usize) {
    out.put_u32_le(u32::try_from(length).expect("a frame is at most 16 MiB"));
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.put_slice(bytes);
}

pub(crate) fn put_numbers(out: &mut Vec<u8>, log: LogId, numbers: &[u64]) {
    out.put_u64_le(log.0);
    put_length(out, numbers.len());
    for number in numbers {
        out.put_u64_le(*number);
    }
}
