//! The walk over the file: every key known, every value of its kind, every error with its line.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{KEYS, Key, path};
use super::load::Loaded;
use super::setting::{Addresses, Setting};
use super::{Config, Invalid, Place, Section, Stream};
use crate::protocols;

/// A text and its name in error lines.
struct Source<'a> {
    name: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn place(&self, at: usize) -> Place {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        Place::File(self.name.to_owned(), 1 + before.iter().filter(|byte| **byte == b'\n').count())
    }

    fn invalid(&self, at: usize, what: String) -> Invalid {
        Invalid { place: self.place(at), what }
    }
}

/// Puts the file's values into `loaded`.
pub(super) fn read(
    loaded: &mut Loaded,
    sections: &[Section],
    name: &str,
    text: &str,
) -> Result<(), Invalid> {
    let source = Source { name, text };
    let document = DeTable::parse(text).map_err(|error| {
        let first = error.message().lines().next().unwrap_or("not TOML").to_owned();
        source.invalid(error.span().map_or(0, |span| span.start), first)
    })?;
    for (key, value) in document.get_ref() {
        let at = key.span().start;
        let word = key.get_ref().as_ref();
        match value.get_ref() {
            DeValue::Array(_) if word == "stream" => streams(loaded, &source, value)?,
            DeValue::Table(table) if is_section(sections, word) => {
                for (key, value) in table {
                    entry(loaded, sections, &source, word, (key.get_ref().as_ref(), key, value))?;
                }
            }
            DeValue::Table(_) if word == "stream" => {
                let what = "write [[stream]], once for each stream";
                return Err(source.invalid(at, what.to_owned()));
            }
            DeValue::Table(_) => {
                let hint = hint(word, sections_of(sections), |name| format!("[{name}]"));
                return Err(source.invalid(at, format!("unknown section [{word}]{hint}")));
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => entry(loaded, sections, &source, "", (word, key, value))?,
        }
    }
    Ok(())
}

/// One key outside of streams.
fn entry(
    loaded: &mut Loaded,
    sections: &[Section],
    source: &Source<'_>,
    section: &str,
    (name, key, value): (&str, &Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>),
) -> Result<(), Invalid> {
    let at = key.span().start;
    let Some(target) = find(sections, section, name) else {
        return Err(source.invalid(at, unknown(sections, section, name)));
    };
    if !target.read(&mut loaded.config, value.get_ref()) {
        let what = bad_value(&path(section, name), target.expected(), &found(source, value));
        return Err(source.invalid(value.span().start, what));
    }
    loaded.origins.insert(path(section, name), source.place(at));
    Ok(())
}

fn streams(
    loaded: &mut Loaded,
    source: &Source<'_>,
    value: &Spanned<DeValue<'_>>,
) -> Result<(), Invalid> {
    for item in value.get_ref().as_array().into_iter().flat_map(|array| array.iter()) {
        let at = item.span().start;
        let Some(table) = item.get_ref().as_table() else {
            return Err(source.invalid(at, "write [[stream]], once for each stream".to_owned()));
        };
        let mut stream = Stream::new(source.place(at));
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let Some(row) = protocols::STREAM_KEYS.iter().find(|row| row.name == name) else {
                let names = protocols::STREAM_KEYS.iter().map(|row| row.name);
                let hint = hint(name, names, |name| format!("{name:?}"));
                let what = format!("unknown key {name:?} in [[stream]]{hint}");
                return Err(source.invalid(key.span().start, what));
            };
            if !(row.read)(&mut stream, value.get_ref()) {
                let what = bad_value(&row.path(), row.expected, &found(source, value));
                return Err(source.invalid(value.span().start, what));
            }
            stream.places.push((row.name, source.place(key.span().start)));
        }
        loaded.config.streams.push(stream);
    }
    Ok(())
}

/// The value as it stands in the file, shortened.
fn found(source: &Source<'_>, value: &Spanned<DeValue<'_>>) -> String {
    let text = source.text.get(value.span()).unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    line.chars().take(60).collect()
}

pub(super) fn bad_value(path: &str, expected: &str, found: &str) -> String {
    format!("{path}: expected {expected}, found {found}")
}

/// Where a value goes.
pub(super) enum Target {
    Key(&'static Key<Config>),
    /// The listen addresses of the protocol with this place in the registry.
    Listen(usize),
}

impl Target {
    pub(super) fn expected(&self) -> &'static str {
        match self {
            Self::Key(key) => key.expected,
            Self::Listen(_) => Addresses::EXPECTED,
        }
    }

    fn read(&self, config: &mut Config, value: &DeValue<'_>) -> bool {
        match self {
            Self::Key(key) => (key.read)(config, value),
            Self::Listen(index) => put(config, *index, Addresses::from_toml(value)),
        }
    }

    pub(super) fn parse(&self, config: &mut Config, text: &str) -> bool {
        match self {
            Self::Key(key) => (key.parse)(config, text),
            Self::Listen(index) => put(config, *index, Addresses::from_text(text)),
        }
    }
}

fn put(config: &mut Config, index: usize, addresses: Option<Addresses>) -> bool {
    match (config.listen.get_mut(index), addresses) {
        (Some(place), Some(addresses)) => {
            *place = addresses;
            true
        }
        _ => false,
    }
}

fn keys() -> impl Iterator<Item = &'static Key<Config>> {
    KEYS.iter().chain(protocols::KEYS)
}

/// The key of this section and name.
pub(super) fn find(sections: &[Section], section: &str, name: &str) -> Option<Target> {
    if let Some(key) = keys().find(|key| key.section == section && key.name == name) {
        return Some(Target::Key(key));
    }
    let index = sections.iter().position(|(known, _)| *known == section)?;
    (name == "listen").then_some(Target::Listen(index))
}

/// All keys in the order of the reference: section, name.
pub(super) fn all(sections: &[Section]) -> Vec<(&'static str, &'static str)> {
    let mut all = Vec::new();
    for section in sections_of(sections) {
        if sections.iter().any(|(known, _)| *known == section) {
            all.push((section, "listen"));
        }
        all.extend(keys().filter(|k| k.section == section).map(|k| (section, k.name)));
    }
    all
}

/// The sections in the order of the reference; the first one is the top of the file.
pub(super) fn sections_of(sections: &[Section]) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    let http = KEYS.iter().position(|key| key.section == "http").unwrap_or(0);
    let (before, after) = KEYS.split_at(http + 1);
    let before = before.iter().map(|key| key.section);
    let registered = sections.iter().map(|(name, _)| *name);
    for name in before.chain(registered).chain(after.iter().map(|key| key.section)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn is_section(sections: &[Section], word: &str) -> bool {
    !word.is_empty() && sections_of(sections).contains(&word)
}

/// The error text for a key that does not exist.
pub(super) fn unknown(sections: &[Section], section: &str, name: &str) -> String {
    let place = if section.is_empty() { "".to_owned() } else { format!(" in [{section}]") };
    let here = all(sections).into_iter().filter(|(s, _)| *s == section).map(|(_, name)| name);
    let hint = hint(name, here, |name| format!("{name:?}"));
    if !hint.is_empty() {
        return format!("unknown key {name:?}{place}{hint}");
    }
    let elsewhere = all(sections).into_iter().find(|(_, known)| *known == name);
    match elsewhere {
        Some((other, _)) => {
            format!("unknown key {name:?}{place}; did you mean the one in [{other}]?")
        }
        None => format!("unknown key {name:?}{place}"),
    }
}

/// `; did you mean X?` if a known name is near.
fn hint(
    word: &str,
    known: impl IntoIterator<Item = &'static str>,
    show: impl Fn(&str) -> String,
) -> String {
    known
        .into_iter()
        .map(|name| (distance(word, name), name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .map_or_else(String::new, |(_, name)| format!("; did you mean {}?", show(name)))
}

/// How many letters must be put in, left out or replaced (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().take(64).enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replaced = corner + usize::from(left != *right);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
