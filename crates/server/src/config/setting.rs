//! Kinds of values: how each is read from the file, from text, and written back.

use std::net::SocketAddr;
use std::path::PathBuf;

use protocol::Durability;
use toml::de::DeValue;

/// A kind of value of the configuration.
pub trait Setting: Sized {
    /// What a value looks like, for the error line and the reference.
    const EXPECTED: &'static str;

    /// Reads it as text: from the environment or a flag.
    fn from_text(text: &str) -> Option<Self>;

    /// Reads it from the file. Text is tried when the value has no form of its own.
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().and_then(Self::from_text)
    }

    /// Writes it as TOML.
    fn to_toml(&self) -> String;
}

/// Bytes, written `64MiB` or as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A span of time in milliseconds, written `7d`, `90s` or `250ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub u64);

/// A limit that can be absent, written `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounded<T>(pub Option<T>);

/// Addresses to listen on; none = off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses(pub Vec<SocketAddr>);

/// Which engine keeps the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Segment files under the data folder.
    Journal,
    /// Memory alone: everything is gone with the process.
    Memory,
}

const SIZES: [(&str, u64); 7] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
];

const SPANS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Reads a whole number and its unit.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.replace('_', "").parse().ok()?;
    let unit = unit.trim();
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.checked_mul(*factor)
}

/// Writes a number with the largest unit that divides it.
fn in_units(number: u64, units: &[(&str, u64)]) -> String {
    let fits = |factor: u64| number != 0 && number.is_multiple_of(factor);
    let unit = units.iter().filter(|(_, factor)| fits(*factor)).max_by_key(|(_, factor)| *factor);
    match unit {
        Some((name, factor)) => format!("\"{}{name}\"", number / factor),
        None => format!("\"0{}\"", units[0].0),
    }
}

fn integer(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    u64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
}

/// Text as a TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

impl Setting for ByteSize {
    const EXPECTED: &'static str = "a size such as \"64MiB\" or a number of bytes";

    fn from_text(text: &str) -> Option<Self> {
        let bytes = text.trim().parse().ok().or_else(|| with_unit(text, &SIZES));
        bytes.map(Self)
    }

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        integer(value).map(Self).or_else(|| Self::from_text(value.as_str()?))
    }

    fn to_toml(&self) -> String {
        self.0.to_string()
    }
}

impl Setting for Span {
    const EXPECTED: &'static str = "a time such as \"7d\", \"12h\", \"90s\" or \"250ms\"";

    fn from_text(text: &str) -> Option<Self> {
        with_unit(text, &SPANS).map(Self)
    }

    fn to_toml(&self) -> String {
        in_units(self.0, &SPANS)
    }
}

impl Setting for Bounded<ByteSize> {
    const EXPECTED: &'static str = "a size such as \"10GiB\", or \"none\"";

    fn from_text(text: &str) -> Option<Self> {
        if text.trim() == "none" {
            return Some(Self(None));
        }
        ByteSize::from_text(text).map(|size| Self(Some(size)))
    }

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        integer(value)
            .map(|bytes| Self(Some(ByteSize(bytes))))
            .or_else(|| Self::from_text(value.as_str()?))
    }

    fn to_toml(&self) -> String {
        self.0.map_or_else(|| "\"none\"".to_owned(), |size| in_units(size.0, &SIZES[..5]))
    }
}

impl Setting for Bounded<Span> {
    const EXPECTED: &'static str = "a time such as \"7d\", or \"none\"";

    fn from_text(text: &str) -> Option<Self> {
        if text.trim() == "none" {
            return Some(Self(None));
        }
        Span::from_text(text).map(|span| Self(Some(span)))
    }

    fn to_toml(&self) -> String {
        self.0.map_or_else(|| "\"none\"".to_owned(), |span| span.to_toml())
    }
}

impl Setting for Bounded<u32> {
    const EXPECTED: &'static str = "a whole number, or \"none\"";

    fn from_text(text: &str) -> Option<Self> {
        if text.trim() == "none" {
            return Some(Self(None));
        }
        u32::from_text(text).map(|number| Self(Some(number)))
    }

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        u32::from_toml(value)
            .map(|number| Self(Some(number)))
            .or_else(|| Self::from_text(value.as_str()?))
    }

    fn to_toml(&self) -> String {
        self.0.map_or_else(|| "\"none\"".to_owned(), |number| number.to_string())
    }
}

impl Setting for u32 {
    const EXPECTED: &'static str = "a whole number";

    fn from_text(text: &str) -> Option<Self> {
        text.trim().replace('_', "").parse().ok()
    }

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        Self::try_from(integer(value)?).ok()
    }

    fn to_toml(&self) -> String {
        self.to_string()
    }
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_text(text: &str) -> Option<Self> {
        text.trim().parse().ok()
    }

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value.as_bool()
    }

    fn to_toml(&self) -> String {
        self.to_string()
    }
}

impl Setting for String {
    const EXPECTED: &'static str = "text";

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn to_toml(&self) -> String {
        quoted(self)
    }
}

impl Setting for PathBuf {
    const EXPECTED: &'static str = "the path of a folder";

    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self::from(text))
    }

    fn to_toml(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

impl Setting for Engine {
    const EXPECTED: &'static str = "\"journal\" or \"memory\"";

    fn from_text(text: &str) -> Option<Self> {
        match text.trim() {
            "journal" => Some(Self::Journal),
            "memory" => Some(Self::Memory),
            _ => None,
        }
    }

    fn to_toml(&self) -> String {
        match self {
            Self::Journal => quoted("journal"),
            Self::Memory => quoted("memory"),
        }
    }
}

impl Setting for Durability {
    const EXPECTED: &'static str = "\"durable\", \"async\" or \"memory\"";

    fn from_text(text: &str) -> Option<Self> {
        let all = [Self::Durable, Self::Async, Self::Memory];
        all.into_iter().find(|durability| durability.as_str() == text.trim())
    }

    fn to_toml(&self) -> String {
        quoted(self.as_str())
    }
}

/// The items of a list written as text: `a, b` or `["a", "b"]`.
fn list(text: &str) -> Vec<String> {
    let text = text.trim();
    // A lone IPv6 address is in brackets too, but nothing in it is quoted.
    let inner = match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) if inner.is_empty() || inner.contains(['"', '\'', ',']) => inner,
        Some(_) | None => text,
    };
    inner
        .split(',')
        .map(|item| item.trim().trim_matches(['"', '\'']).to_owned())
        .filter(|item| !item.is_empty())
        .collect()
}

impl Setting for Vec<String> {
    const EXPECTED: &'static str = "a list of texts";

    fn from_text(text: &str) -> Option<Self> {
        Some(list(text))
    }

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        match value.as_array() {
            Some(array) => {
                array.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
            }
            None => value.as_str().map(|one| vec![one.to_owned()]),
        }
    }

    fn to_toml(&self) -> String {
        format!("[{}]", self.iter().map(|item| quoted(item)).collect::<Self>().join(", "))
    }
}

impl Setting for Addresses {
    const EXPECTED: &'static str =
        "a list of IP addresses with ports such as [\"127.0.0.1:1234\", \"[::1]:1234\"]";

    fn from_text(text: &str) -> Option<Self> {
        list(text).iter().map(|item| item.parse().ok()).collect::<Option<_>>().map(Self)
    }

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        let items = Vec::<String>::from_toml(value)?;
        items.iter().map(|item| item.parse().ok()).collect::<Option<_>>().map(Self)
    }

    fn to_toml(&self) -> String {
        self.0.iter().map(ToString::to_string).collect::<Vec<_>>().to_toml()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_units() {
        let read = |text| ByteSize::from_text(text).map(|size| size.0);
        assert_eq!(read("1048576"), Some(1_048_576));
        assert_eq!(read("1MiB"), Some(1_048_576));
        assert_eq!(read("64 KiB"), Some(65_536));
        assert_eq!(read("10gib"), Some(10 << 30));
        assert_eq!(read("5MB"), Some(5_000_000));
        assert_eq!(read("lots"), None);
        assert_eq!(read("-1"), None);
        assert_eq!(read("99999999999TiB"), None, "larger than any number");
        assert_eq!(ByteSize(1024).to_toml(), "1024");
        assert_eq!(Bounded(Some(ByteSize(64 << 20))).to_toml(), "\"64MiB\"");
        assert_eq!(Bounded(Some(ByteSize(1500))).to_toml(), "\"1500B\"");
    }

    #[test]
    fn times_need_a_unit() {
        let read = |text| Span::from_text(text).map(|span| span.0);
        assert_eq!(read("7d"), Some(604_800_000));
        assert_eq!(read("250ms"), Some(250));
        assert_eq!(read("90"), None);
        assert_eq!(Span(604_800_000).to_toml(), "\"7d\"");
        assert_eq!(Bounded::<Span>::from_text("none"), Some(Bounded(None)));
    }

    #[test]
    fn addresses_are_read_as_a_list_in_any_of_its_forms() {
        let both = Addresses(vec!["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()]);
        for text in ["127.0.0.1:1,[::1]:2", "[\"127.0.0.1:1\", \"[::1]:2\"]"] {
            assert_eq!(Addresses::from_text(text), Some(both.clone()), "{text}");
        }
        assert_eq!(Addresses::from_text(""), Some(Addresses::default()));
        assert_eq!(Addresses::from_text("[]"), Some(Addresses::default()));
        assert_eq!(Addresses::from_text("[::1]:2").map(|a| a.0.len()), Some(1));
        assert_eq!(Addresses::from_text("localhost"), None);
    }
}
