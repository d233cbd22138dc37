//! Reads message definitions: JSON with `//` comments into the few shapes the generator knows.

use std::path::Path;

use serde_json::Value;

/// APIs whose requests are taken from a lower version than the definition says.
///
/// Produce 0 to 2 are advertised, because librdkafka switches compression off otherwise
/// (KAFKA-18659), so such a request must be understood to be refused in its own form. The fields
/// still carry their versions from 0.
const TAKEN_FROM: &[(i16, i16)] = &[(0, 0)];

/// A range of versions, both ends inclusive; empty if `first > last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) first: i16,
    pub(crate) last: i16,
}

impl Versions {
    fn parse(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse().map_err(|_| format!("versions {text:?}"));
        if text == "none" {
            Ok(Self { first: 1, last: 0 })
        } else if let Some(first) = text.strip_suffix('+') {
            Ok(Self { first: number(first)?, last: i16::MAX })
        } else if let Some((first, last)) = text.split_once('-') {
            Ok(Self { first: number(first)?, last: number(last)? })
        } else {
            let only = number(text)?;
            Ok(Self { first: only, last: only })
        }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self { first: self.first.max(other.first), last: self.last.min(other.last) }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.first > self.last
    }

    pub(crate) fn contains(self, version: i16) -> bool {
        (self.first..=self.last).contains(&version)
    }
}

impl std::fmt::Display for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.first, self.last) {
            (first, i16::MAX) => write!(f, "{first} and later"),
            (first, last) if first == last => write!(f, "{first}"),
            (first, last) => write!(f, "{first} to {last}"),
        }
    }
}

/// One request or response.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) key: i16,
    pub(crate) is_response: bool,
    pub(crate) valid: Versions,
    /// The last version is not final: it is understood and not advertised.
    pub(crate) last_unstable: bool,
    pub(crate) flexible: Option<i16>,
    pub(crate) body: Struct,
}

impl Definition {
    /// The name of the API: `Produce` of `ProduceRequest`.
    pub(crate) fn api(&self) -> &str {
        let name = self.body.name.as_str();
        name.strip_suffix("Request").or_else(|| name.strip_suffix("Response")).unwrap_or(name)
    }
}

/// Fields in the order of the wire.
#[derive(Debug)]
pub(crate) struct Struct {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) nullable: bool,
    pub(crate) fields: Vec<Entry>,
}

/// One field.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) kind: Kind,
    pub(crate) versions: Versions,
    /// The versions in which it may be null; none if it never may.
    pub(crate) nullable: Option<Versions>,
    pub(crate) tag: Option<u64>,
    default: Option<String>,
    /// The struct that it is, or that it is an array of.
    pub(crate) inner: Option<Struct>,
}

/// What a field is on the wire.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Rust type and bytes.
    Fixed(&'static str, usize),
    Text,
    Bytes,
    /// Record batches: bytes that may come in pieces.
    Records,
    Array(Box<Self>),
    Struct(String),
}

impl Kind {
    fn parse(text: &str) -> Self {
        match text {
            "bool" => Self::Fixed("bool", 1),
            "int8" => Self::Fixed("i8", 1),
            "int16" => Self::Fixed("i16", 2),
            "int32" => Self::Fixed("i32", 4),
            "int64" => Self::Fixed("i64", 8),
            "uuid" => Self::Fixed("Uuid", 16),
            "string" => Self::Text,
            "bytes" => Self::Bytes,
            "records" => Self::Records,
            other => match other.strip_prefix("[]") {
                Some(element) => Self::Array(Box::new(Self::parse(element))),
                None => Self::Struct(other.to_owned()),
            },
        }
    }

    fn rust(&self) -> String {
        match self {
            Self::Fixed(name, _) => (*name).to_owned(),
            Self::Text => "Text".to_owned(),
            Self::Bytes => "Bytes".to_owned(),
            Self::Records => "Records".to_owned(),
            Self::Array(element) => format!("Vec<{}>", element.rust()),
            Self::Struct(name) => name.clone(),
        }
    }
}

impl Entry {
    pub(crate) fn rust_type(&self) -> String {
        if self.nullable.is_some() {
            format!("Option<{}>", self.kind.rust())
        } else {
            self.kind.rust()
        }
    }

    /// The default that the definition names, where it is not the one of the Rust type.
    pub(crate) fn default_value(&self) -> Option<String> {
        let text = self.default.as_deref()?;
        let value = match (&self.kind, text) {
            (_, "null" | "" | "0" | "false") => return None,
            (Kind::Fixed("i32", _), "-2147483648") => "i32::MIN".to_owned(),
            (Kind::Fixed("i32", _), "0x7fffffff") => "i32::MAX".to_owned(),
            (Kind::Fixed("i64", _), "9223372036854775807") => "i64::MAX".to_owned(),
            (Kind::Fixed(..), number) => number.to_owned(),
            (Kind::Text, text) => format!("Text::from({text:?})"),
            (Kind::Bytes | Kind::Records | Kind::Array(_) | Kind::Struct(_), _) => return None,
        };
        Some(value)
    }

    pub(crate) fn plain_default(&self) -> String {
        if self.nullable.is_some() {
            return "None".to_owned();
        }
        match &self.kind {
            Kind::Fixed("bool", _) => "false".to_owned(),
            Kind::Fixed("Uuid", _) => "Uuid::ZERO".to_owned(),
            Kind::Fixed(..) => "0".to_owned(),
            Kind::Text => "Text::default()".to_owned(),
            Kind::Bytes => "Bytes::new()".to_owned(),
            Kind::Records => "Records::default()".to_owned(),
            Kind::Array(_) => "Vec::new()".to_owned(),
            Kind::Struct(name) => format!("{name}::default()"),
        }
    }

    /// An expression that says whether `place` must be written as a tagged field.
    pub(crate) fn differs_from_default(&self, place: &str) -> String {
        match (&self.kind, self.default_value()) {
            (Kind::Fixed("bool", _), None) => place.to_owned(),
            (Kind::Fixed("bool", _), Some(_)) => format!("!{place}"),
            (Kind::Array(_) | Kind::Text | Kind::Bytes | Kind::Records, _) => {
                format!("!{place}.is_empty()")
            }
            (_, default) => {
                format!("{place} != {}", default.unwrap_or_else(|| self.plain_default()))
            }
        }
    }
}

/// Reads every definition of the folder.
pub(crate) fn read_all(folder: &Path) -> Result<Vec<Definition>, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let read = |path: &Path| -> Result<Definition, String> {
        let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
        let code: String = text
            .lines()
            .map(|line| if line.trim_start().starts_with("//") { "" } else { line })
            .collect::<Vec<_>>()
            .join("\n");
        definition(&serde_json::from_str(&code).map_err(|e| e.to_string())?)
    };
    paths.iter().map(|path| read(path).map_err(|e| format!("{}: {e}", path.display()))).collect()
}

fn definition(json: &Value) -> Result<Definition, String> {
    let key = json["apiKey"].as_i64().and_then(|key| i16::try_from(key).ok()).ok_or("apiKey")?;
    let mut valid = Versions::parse(text(json, "validVersions")?)?;
    if let Some((_, first)) = TAKEN_FROM.iter().find(|(taken, _)| *taken == key) {
        valid.first = *first;
    }
    let flexible = Versions::parse(text(json, "flexibleVersions")?)?;
    let flexible = valid.and(flexible);
    Ok(Definition {
        key,
        is_response: text(json, "type")? == "response",
        valid,
        last_unstable: json["latestVersionUnstable"].as_bool().unwrap_or(false),
        flexible: (!flexible.is_empty()).then_some(flexible.first),
        body: structure(text(json, "name")?, String::new(), false, json, valid)?,
    })
}

fn structure(
    name: &str,
    about: String,
    nullable: bool,
    json: &Value,
    valid: Versions,
) -> Result<Struct, String> {
    let mut fields = Vec::new();
    for field in json["fields"].as_array().ok_or_else(|| format!("{name}: no fields"))? {
        let read = entry(field, valid)?;
        if !valid.and(read.versions).is_empty() {
            fields.push(read);
        }
    }
    Ok(Struct { name: name.to_owned(), about, nullable, fields })
}

fn entry(json: &Value, valid: Versions) -> Result<Entry, String> {
    let name = text(json, "name")?;
    let kind = Kind::parse(text(json, "type")?);
    let about = json["about"].as_str().unwrap_or(name).to_owned();
    let versions = |key: &str| {
        json[key].as_str().map(|range| Versions::parse(range).map(|range| valid.and(range)))
    };
    let nullable = versions("nullableVersions").transpose()?.filter(|range| !range.is_empty());
    let inner = match &kind {
        Kind::Struct(inner) => {
            Some(structure(inner, about.clone(), nullable.is_some(), json, valid)?)
        }
        Kind::Array(element) => match element.as_ref() {
            Kind::Struct(inner) => Some(structure(inner, about.clone(), false, json, valid)?),
            Kind::Fixed(..) | Kind::Text | Kind::Bytes | Kind::Records | Kind::Array(_) => None,
        },
        Kind::Fixed(..) | Kind::Text | Kind::Bytes | Kind::Records => None,
    };
    // A default is a string mostly, and a number now and then.
    let default = json.get("default");
    let default = default.map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned));
    Ok(Entry {
        name: name.to_owned(),
        about,
        kind,
        versions: Versions::parse(text(json, "versions")?)?,
        nullable,
        tag: json["tag"].as_u64(),
        default,
        inner,
    })
}

fn text<'a>(json: &'a Value, key: &str) -> Result<&'a str, String> {
    json[key].as_str().ok_or_else(|| format!("no {key}"))
}
