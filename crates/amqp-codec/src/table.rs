//! Field tables and arrays with RabbitMQ's type letters (not the specification's: its errata).
//!
//! ```text
//! table: [length: u32] ([key: shortstr][letter: u8][value])*
//! array: [length: u32] ([letter: u8][value])*
//! ```
//!
//! A table stays the bytes that came, so that it is stored and forwarded unchanged. It is walked
//! once when it is taken in, which is what makes the later walks infallible.

use bytes::{BufMut, Bytes, BytesMut};

use crate::malformed::Fault;
use crate::wire::wire_len;

/// How deep tables and arrays may be nested; `x-death` needs four.
pub const DEPTH_MAX: usize = 32;

/// A table without its length, known to be well-formed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Table(Bytes);

impl Table {
    /// Checks `bytes`, the inside of a table without its length. AMQPLAIN sends one bare.
    ///
    /// # Errors
    ///
    /// The [`Fault`] that makes it no table.
    pub fn checked(bytes: Bytes) -> Result<Self, Fault> {
        check_table(&bytes, 0)?;
        Ok(Self(bytes))
    }

    /// The table as a view that can be walked.
    pub fn view(&self) -> TableRef<'_> {
        TableRef(&self.0)
    }

    /// The inside of the table.
    pub const fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A borrowed table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableRef<'a>(&'a [u8]);

impl<'a> TableRef<'a> {
    /// Its entries in their order; a key may repeat.
    pub const fn iter(self) -> Entries<'a> {
        Entries(self.0)
    }

    /// The first value under `key`.
    pub fn get(self, key: &str) -> Option<Value<'a>> {
        self.iter().find(|(name, _)| *name == key.as_bytes()).map(|(_, value)| value)
    }

    /// Whether there is no entry.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The inside of the table.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// A table whose inside is checked by the caller, or was.
    pub(crate) const fn trusted(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> IntoIterator for TableRef<'a> {
    type Item = (&'a [u8], Value<'a>);
    type IntoIter = Entries<'a>;
    fn into_iter(self) -> Entries<'a> {
        self.iter()
    }
}

/// A borrowed array.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArrayRef<'a>(&'a [u8]);

impl<'a> ArrayRef<'a> {
    /// Its values in their order.
    pub const fn iter(self) -> Items<'a> {
        Items(self.0)
    }
}

impl<'a> IntoIterator for ArrayRef<'a> {
    type Item = Value<'a>;
    type IntoIter = Items<'a>;
    fn into_iter(self) -> Items<'a> {
        self.iter()
    }
}

/// One value of a table or an array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// `t`
    Bool(bool),
    /// `b`
    I8(i8),
    /// `B`
    U8(u8),
    /// `s`, which is a short string in the specification.
    I16(i16),
    /// `u`
    U16(u16),
    /// `I`
    I32(i32),
    /// `i`
    U32(u32),
    /// `l`, signed other than in the specification.
    I64(i64),
    /// `f`
    F32(f32),
    /// `d`
    F64(f64),
    /// `D`
    Decimal {
        /// Digits after the point.
        scale: u8,
        /// The number without its point.
        value: u32,
    },
    /// `S`, text or any bytes.
    LongStr(&'a [u8]),
    /// `x`
    Blob(&'a [u8]),
    /// `A`
    Array(ArrayRef<'a>),
    /// `T`, seconds since 1970.
    Timestamp(u64),
    /// `F`
    Table(TableRef<'a>),
    /// `V`
    Void,
}

impl Value<'_> {
    /// The number, whatever its width, if it is a whole one.
    pub fn as_integer(&self) -> Option<i64> {
        match *self {
            Self::I8(number) => Some(i64::from(number)),
            Self::U8(number) => Some(i64::from(number)),
            Self::I16(number) => Some(i64::from(number)),
            Self::U16(number) => Some(i64::from(number)),
            Self::I32(number) => Some(i64::from(number)),
            Self::U32(number) => Some(i64::from(number)),
            Self::I64(number) => Some(number),
            Self::Bool(_)
            | Self::F32(_)
            | Self::F64(_)
            | Self::Decimal { .. }
            | Self::LongStr(_)
            | Self::Blob(_)
            | Self::Array(_)
            | Self::Timestamp(_)
            | Self::Table(_)
            | Self::Void => None,
        }
    }

    /// The name of the type in RabbitMQ's texts.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::I8(_) => "byte",
            Self::U8(_) => "unsignedbyte",
            Self::I16(_) => "short",
            Self::U16(_) => "unsignedshort",
            Self::I32(_) => "signedint",
            Self::U32(_) => "unsignedint",
            Self::I64(_) => "long",
            Self::F32(_) => "float",
            Self::F64(_) => "double",
            Self::Decimal { .. } => "decimal",
            Self::LongStr(_) => "longstr",
            Self::Blob(_) => "binary",
            Self::Array(_) => "array",
            Self::Timestamp(_) => "timestamp",
            Self::Table(_) => "table",
            Self::Void => "void",
        }
    }
}

/// The entries of a [`TableRef`].
#[derive(Clone, Debug)]
pub struct Entries<'a>(&'a [u8]);

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a [u8], Value<'a>);
    fn next(&mut self) -> Option<Self::Item> {
        let entry = take_key(&mut self.0).and_then(|key| Ok((key, take_value(&mut self.0)?)));
        entry.inspect_err(|_| self.0 = &[]).ok()
    }
}

/// The values of an [`ArrayRef`].
#[derive(Clone, Debug)]
pub struct Items<'a>(&'a [u8]);

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;
    fn next(&mut self) -> Option<Self::Item> {
        take_value(&mut self.0).inspect_err(|_| self.0 = &[]).ok()
    }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], Fault> {
    let (taken, left) = rest.split_at_checked(len).ok_or(Fault::Truncated)?;
    *rest = left;
    Ok(taken)
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Fault> {
    let (taken, left) = rest.split_first_chunk::<N>().ok_or(Fault::Truncated)?;
    *rest = left;
    Ok(*taken)
}

fn take_key<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Fault> {
    let [len] = take_array(rest)?;
    take(rest, usize::from(len))
}

fn take_long<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Fault> {
    let len = u32::from_be_bytes(take_array(rest)?);
    take(rest, len as usize)
}

/// Takes one value; the inside of a table or an array is not looked at.
fn take_value<'a>(rest: &mut &'a [u8]) -> Result<Value<'a>, Fault> {
    let [letter] = take_array(rest)?;
    Ok(match letter {
        b't' => Value::Bool(take_array::<1>(rest)? != [0]),
        b'b' => Value::I8(i8::from_be_bytes(take_array(rest)?)),
        b'B' => Value::U8(u8::from_be_bytes(take_array(rest)?)),
        b's' => Value::I16(i16::from_be_bytes(take_array(rest)?)),
        b'u' => Value::U16(u16::from_be_bytes(take_array(rest)?)),
        b'I' => Value::I32(i32::from_be_bytes(take_array(rest)?)),
        b'i' => Value::U32(u32::from_be_bytes(take_array(rest)?)),
        b'l' => Value::I64(i64::from_be_bytes(take_array(rest)?)),
        b'f' => Value::F32(f32::from_be_bytes(take_array(rest)?)),
        b'd' => Value::F64(f64::from_be_bytes(take_array(rest)?)),
        b'D' => {
            let [scale] = take_array(rest)?;
            Value::Decimal { scale, value: u32::from_be_bytes(take_array(rest)?) }
        }
        b'S' => Value::LongStr(take_long(rest)?),
        b'x' => Value::Blob(take_long(rest)?),
        b'A' => Value::Array(ArrayRef(take_long(rest)?)),
        b'T' => Value::Timestamp(u64::from_be_bytes(take_array(rest)?)),
        b'F' => Value::Table(TableRef(take_long(rest)?)),
        b'V' => Value::Void,
        _ => return Err(Fault::ValueType),
    })
}

pub(crate) fn check_table(mut rest: &[u8], depth: usize) -> Result<(), Fault> {
    if depth > DEPTH_MAX {
        return Err(Fault::Depth);
    }
    while !rest.is_empty() {
        take_key(&mut rest)?;
        check_value(&mut rest, depth)?;
    }
    Ok(())
}

fn check_value(rest: &mut &[u8], depth: usize) -> Result<(), Fault> {
    match take_value(rest)? {
        Value::Table(table) => check_table(table.0, depth + 1),
        Value::Array(array) => {
            if depth >= DEPTH_MAX {
                return Err(Fault::Depth);
            }
            let mut inside = array.0;
            while !inside.is_empty() {
                check_value(&mut inside, depth + 1)?;
            }
            Ok(())
        }
        Value::Bool(_)
        | Value::I8(_)
        | Value::U8(_)
        | Value::I16(_)
        | Value::U16(_)
        | Value::I32(_)
        | Value::U32(_)
        | Value::I64(_)
        | Value::F32(_)
        | Value::F64(_)
        | Value::Decimal { .. }
        | Value::LongStr(_)
        | Value::Blob(_)
        | Value::Timestamp(_)
        | Value::Void => Ok(()),
    }
}

/// Writes a table with its length.
pub(crate) fn put(out: &mut BytesMut, table: TableRef<'_>) {
    out.put_u32(wire_len(table.0.len()));
    out.put_slice(table.0);
}

/// Builds a table, entry by entry.
#[derive(Debug, Default)]
pub struct TableWriter(BytesMut);

impl TableWriter {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry. A key has 255 bytes at most, and what is longer is cut off.
    #[must_use]
    pub fn with(mut self, key: &str, value: Value<'_>) -> Self {
        self.push(key.as_bytes(), value);
        self
    }

    /// Adds an entry. A key has 255 bytes at most, and what is longer is cut off.
    pub fn push(&mut self, key: &[u8], value: Value<'_>) {
        let key = key.get(..255).unwrap_or(key);
        self.0.put_u8(u8::try_from(key.len()).unwrap_or(u8::MAX));
        self.0.put_slice(key);
        put_value(&mut self.0, value);
    }

    /// The table built so far, to be nested in another.
    pub fn view(&self) -> TableRef<'_> {
        TableRef(&self.0)
    }

    /// The table.
    pub fn finish(self) -> Table {
        Table(self.0.freeze())
    }
}

/// Builds an array, value by value.
#[derive(Debug, Default)]
pub struct ArrayWriter(BytesMut);

impl ArrayWriter {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value.
    pub fn push(&mut self, value: Value<'_>) {
        put_value(&mut self.0, value);
    }

    /// The array built so far, to be put into a table.
    pub fn view(&self) -> ArrayRef<'_> {
        ArrayRef(&self.0)
    }
}

fn put_value(out: &mut BytesMut, value: Value<'_>) {
    let mut long = |letter: u8, bytes: &[u8]| {
        out.put_u8(letter);
        out.put_u32(wire_len(bytes.len()));
        out.put_slice(bytes);
    };
    match value {
        Value::LongStr(bytes) => long(b'S', bytes),
        Value::Blob(bytes) => long(b'x', bytes),
        Value::Array(array) => long(b'A', array.0),
        Value::Table(table) => long(b'F', table.0),
        Value::Bool(flag) => out.put_slice(&[b't', u8::from(flag)]),
        Value::I8(number) => put_fixed(out, b'b', number.to_be_bytes()),
        Value::U8(number) => put_fixed(out, b'B', number.to_be_bytes()),
        Value::I16(number) => put_fixed(out, b's', number.to_be_bytes()),
        Value::U16(number) => put_fixed(out, b'u', number.to_be_bytes()),
        Value::I32(number) => put_fixed(out, b'I', number.to_be_bytes()),
        Value::U32(number) => put_fixed(out, b'i', number.to_be_bytes()),
        Value::I64(number) => put_fixed(out, b'l', number.to_be_bytes()),
        Value::F32(number) => put_fixed(out, b'f', number.to_be_bytes()),
        Value::F64(number) => put_fixed(out, b'd', number.to_be_bytes()),
        Value::Decimal { scale, value } => {
            put_fixed(out, b'D', [scale]);
            out.put_u32(value);
        }
        Value::Timestamp(seconds) => put_fixed(out, b'T', seconds.to_be_bytes()),
        Value::Void => out.put_u8(b'V'),
    }
}

fn put_fixed<const N: usize>(out: &mut BytesMut, letter: u8, bytes: [u8; N]) {
    out.put_u8(letter);
    out.put_slice(&bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_found_by_key_and_walked_in_order() {
        let inner = TableWriter::new().with("deep", Value::Void);
        let mut items = ArrayWriter::new();
        items.push(Value::I32(-1));
        items.push(Value::Table(inner.view()));
        let table = TableWriter::new()
            .with("a", Value::Bool(true))
            .with("b", Value::Array(items.view()))
            .with("a", Value::LongStr(b"second"))
            .finish();
        let table = Table::checked(table.as_bytes().clone()).expect("as built");
        assert_eq!(table.view().get("a"), Some(Value::Bool(true)), "the first of a repeated key");
        assert_eq!(table.view().iter().count(), 3);
        let Some(Value::Array(array)) = table.view().get("b") else { panic!("an array") };
        assert_eq!(array.iter().next(), Some(Value::I32(-1)));
    }

    #[test]
    fn nesting_has_an_end() {
        let nest = |depth: usize| {
            let mut table = TableWriter::new().finish();
            for _ in 0..depth {
                table = TableWriter::new().with("t", Value::Table(table.view())).finish();
            }
            Table::checked(table.as_bytes().clone())
        };
        assert!(nest(DEPTH_MAX).is_ok());
        assert_eq!(nest(DEPTH_MAX + 1), Err(Fault::Depth));
    }

    #[test]
    fn arrays_count_as_nesting_too() {
        let mut bytes = Bytes::new();
        for _ in 0..200 {
            let mut outer = BytesMut::new();
            put_value(&mut outer, Value::Array(ArrayRef(&bytes)));
            bytes = outer.freeze();
        }
        let table = TableWriter::new().with("a", Value::Array(ArrayRef(&bytes))).finish();
        assert_eq!(Table::checked(table.as_bytes().clone()), Err(Fault::Depth));
    }

    #[test]
    fn lengths_that_lie_and_letters_of_nobody_are_refused() {
        let check = |bytes: &'static [u8]| Table::checked(Bytes::from_static(bytes));
        assert_eq!(check(b"\x05ab"), Err(Fault::Truncated));
        assert_eq!(check(b"\x01aS\xff\xff\xff\xff"), Err(Fault::Truncated));
        assert_eq!(check(b"\x01aF\x00\x00\x00\x02\x05a"), Err(Fault::Truncated));
        assert_eq!(check(b"\x01aU\x00\x00"), Err(Fault::ValueType));
        assert_eq!(check(b"\x01a"), Err(Fault::Truncated));
    }

    #[test]
    fn integers_compare_across_widths() {
        for value in [Value::I8(5), Value::U8(5), Value::I16(5), Value::U16(5), Value::I64(5)] {
            assert_eq!(value.as_integer(), Some(5));
        }
        assert_eq!(Value::LongStr(b"5").as_integer(), None);
    }
}
