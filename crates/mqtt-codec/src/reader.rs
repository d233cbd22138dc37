//! Reads the fields of one packet's body; every length is checked against what is left.

use bytes::{Buf, Bytes};

use crate::{Binary, Malformed, PacketId, Text};

/// What is left of one packet's body, or of a property section in it.
#[derive(Debug)]
pub(crate) struct Reader {
    rest: Bytes,
}

const SHORT: Malformed = Malformed::Packet("a field ends after the packet does");

impl Reader {
    pub(crate) fn new(body: Bytes) -> Self {
        Self { rest: body }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes all that is left.
    pub(crate) fn take_rest(&mut self) -> Bytes {
        std::mem::take(&mut self.rest)
    }

    /// Nothing may follow.
    pub(crate) fn finish(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed::Packet("bytes after the end")) }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        let value = *self.rest.first().ok_or(SHORT)?;
        self.rest.advance(1);
        Ok(value)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        let value = *self.rest.first_chunk::<2>().ok_or(SHORT)?;
        self.rest.advance(2);
        Ok(u16::from_be_bytes(value))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        let value = *self.rest.first_chunk::<4>().ok_or(SHORT)?;
        self.rest.advance(4);
        Ok(u32::from_be_bytes(value))
    }

    /// A byte that is 0 or 1; anything else is a protocol error where it is used.
    pub(crate) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed::Protocol("a flag is neither 0 nor 1")),
        }
    }

    /// A Variable Byte Integer in its shortest form [MQTT-1.5.5-1].
    pub(crate) fn var_int(&mut self) -> Result<u32, Malformed> {
        let mut value = 0u32;
        for position in 0..4u32 {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7F) << (7 * position);
            if byte & 0x80 == 0 {
                if byte == 0 && position > 0 {
                    return Err(Malformed::Packet("an integer is longer than it needs to be"));
                }
                return Ok(value);
            }
        }
        Err(Malformed::Packet("an integer is longer than four bytes"))
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<Bytes, Malformed> {
        if len > self.rest.len() {
            return Err(SHORT);
        }
        Ok(self.rest.split_to(len))
    }

    pub(crate) fn text(&mut self) -> Result<Text, Malformed> {
        let len = self.u16()?;
        let bytes = self.bytes(usize::from(len))?;
        Text::checked(bytes)
            .map_err(|_| Malformed::Packet("a string is not UTF-8, or has U+0000 in it"))
    }

    pub(crate) fn binary(&mut self) -> Result<Binary, Malformed> {
        let len = self.u16()?;
        Ok(Binary::checked(self.bytes(usize::from(len))?))
    }

    /// A packet identifier, which is not zero [MQTT-2.2.1-3].
    pub(crate) fn packet_id(&mut self) -> Result<PacketId, Malformed> {
        PacketId::new(self.u16()?).ok_or(Malformed::Protocol("packet identifier zero"))
    }

    /// The property section: its length, then a reader of only that part.
    pub(crate) fn properties(&mut self) -> Result<Self, Malformed> {
        let len = self.var_int()?;
        if len == 0 {
            return Ok(Self { rest: Bytes::new() });
        }
        let len = usize::try_from(len).map_err(|_| SHORT)?;
        Ok(Self { rest: self.bytes(len)? })
    }
}
