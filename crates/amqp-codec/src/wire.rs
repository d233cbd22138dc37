//! Reading and writing of single fields, bits packed into octets (AMQP 0-9-1 §4.2.5).

use bytes::{BufMut, Bytes, BytesMut};

use crate::malformed::Fault;
use crate::table::{self, Table};
use crate::text::{LongStr, ShortStr};

/// A cursor over the arguments of one frame.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a Bytes,
    at: usize,
    /// The octet that bits are being taken from, and how many were.
    bits: u8,
    bits_taken: u8,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a Bytes, at: usize) -> Self {
        Self { bytes, at, bits: 0, bits_taken: 0 }
    }

    fn range(&mut self, len: usize) -> Result<(usize, usize), Fault> {
        self.bits_taken = 0;
        let start = self.at;
        let end = start.checked_add(len).ok_or(Fault::Truncated)?;
        if end > self.bytes.len() {
            return Err(Fault::Truncated);
        }
        self.at = end;
        Ok((start, end))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (start, _) = self.range(N)?;
        let rest = self.bytes.get(start..).unwrap_or_default();
        rest.first_chunk().copied().ok_or(Fault::Truncated)
    }

    fn shared(&mut self, len: usize) -> Result<Bytes, Fault> {
        let (start, end) = self.range(len)?;
        Ok(self.bytes.slice(start..end))
    }

    fn bit(&mut self) -> Result<bool, Fault> {
        if self.bits_taken == 0 || self.bits_taken == 8 {
            self.bits = self.array::<1>()?[0];
            self.bits_taken = 0;
        }
        let bit = self.bits >> self.bits_taken & 1 == 1;
        self.bits_taken += 1;
        Ok(bit)
    }

    /// Nothing may be left.
    pub(crate) const fn finish(self) -> Result<(), Fault> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(Fault::Trailing) }
    }
}

/// The output, with the octet that bits are being put into.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    out: &'a mut BytesMut,
    bits_put: u8,
}

impl<'a> Writer<'a> {
    pub(crate) const fn new(out: &'a mut BytesMut) -> Self {
        Self { out, bits_put: 0 }
    }

    fn octets(&mut self) -> &mut BytesMut {
        self.bits_put = 0;
        self.out
    }

    fn bit(&mut self, bit: bool) {
        if self.bits_put == 0 || self.bits_put == 8 {
            self.out.put_u8(0);
            self.bits_put = 0;
        }
        if let Some(last) = self.out.last_mut() {
            *last |= u8::from(bit) << self.bits_put;
        }
        self.bits_put += 1;
    }
}

/// One type of argument.
pub(crate) trait Field: Sized {
    fn take(reader: &mut Reader<'_>) -> Result<Self, Fault>;
    fn put(&self, writer: &mut Writer<'_>);
}

impl Field for bool {
    fn take(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        reader.bit()
    }
    fn put(&self, writer: &mut Writer<'_>) {
        writer.bit(*self);
    }
}

macro_rules! integer {
    ($($ty:ty),*) => {$(
        impl Field for $ty {
            fn take(reader: &mut Reader<'_>) -> Result<Self, Fault> {
                Ok(Self::from_be_bytes(reader.array()?))
            }
            fn put(&self, writer: &mut Writer<'_>) {
                writer.octets().put_slice(&self.to_be_bytes());
            }
        }
    )*};
}
integer!(u8, u16, u32, u64);

/// A length that is about to be written; what is longer cannot have been built.
pub(crate) fn wire_len(len: usize) -> u32 {
    u32::try_from(len).expect("a field stays below 4 GiB")
}

impl Field for ShortStr {
    fn take(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let len = u8::take(reader)?;
        Ok(Self::trusted(reader.shared(usize::from(len))?))
    }
    fn put(&self, writer: &mut Writer<'_>) {
        let out = writer.octets();
        out.put_u8(u8::try_from(self.len()).expect("checked when it was made"));
        out.put_slice(self.as_bytes());
    }
}

impl Field for LongStr {
    fn take(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let len = u32::take(reader)? as usize;
        Ok(Self(reader.shared(len)?))
    }
    fn put(&self, writer: &mut Writer<'_>) {
        let out = writer.octets();
        out.put_u32(wire_len(self.0.len()));
        out.put_slice(&self.0);
    }
}

impl Field for Table {
    fn take(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let len = u32::take(reader)? as usize;
        Self::checked(reader.shared(len)?)
    }
    fn put(&self, writer: &mut Writer<'_>) {
        table::put(writer.octets(), self.view());
    }
}
