//! Writes the Rust messages of `kafka-codec` from Kafka's own message definitions.
//!
//! One file per message, and `messages.rs` with the table of APIs. The output is checked in; the
//! test at the end shows that it is what the schema gives. Definitions are JSON with `//` comments
//! (Apache Kafka, `clients/src/main/resources/common/message`).

mod definition;
mod table;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use definition::{Definition, Entry, Kind, Struct, Versions};

/// Where the definitions lie and where the generated files go, relative to the repository.
pub(crate) const SCHEMA: &str = "crates/kafka-codec/schema";
/// The folder of the generated files.
pub(crate) const TARGET: &str = "crates/kafka-codec/src";

/// The generated files, as path below [`TARGET`] and text, formatted.
///
/// # Errors
/// A definition that cannot be read or holds what the generator does not know, in words.
pub(crate) fn generate(schema: &Path) -> Result<Vec<(String, String)>, String> {
    let mut definitions = definition::read_all(schema)?;
    definitions.sort_by_key(|one| (one.key, one.is_response));
    let mut files = Vec::new();
    for one in &definitions {
        files.push((format!("messages/{}.rs", snake(&one.body.name)), message(one)?));
    }
    files.push(("messages.rs".to_owned(), table::source(&definitions)));
    files.into_iter().map(|(name, text)| Ok((name, format(&text)?))).collect()
}

/// Writes the generated files into the work tree.
///
/// # Errors
/// As [`generate`], and a file that cannot be written.
pub(crate) fn write(root: &Path) -> Result<usize, String> {
    let files = generate(&root.join(SCHEMA))?;
    for (name, text) in &files {
        std::fs::write(root.join(TARGET).join(name), text).map_err(|e| format!("{name}: {e}"))?;
    }
    Ok(files.len())
}

fn message(one: &Definition) -> Result<String, String> {
    let mut out = format!(
        "//! {} (API key {}, versions {}).\n//!\n//! Generated from Kafka's message definition by \
         `cargo xtask kafka-messages`; do not edit.\n\n",
        one.body.name, one.key, one.valid
    );
    let mut structs = Vec::new();
    collect(&one.body, one.valid, &mut structs);
    let body = structs
        .iter()
        .map(|(body, scope)| structure(body, *scope, one.flexible))
        .collect::<Result<Vec<_>, _>>()?
        .join("\n");
    let mut imported = vec!["DecodeError", "Field", "Reader", "Writer"];
    for word in ["Text", "Uuid", "Records", "Nullable", "TaggedFields"] {
        if has_word(&body, word) {
            imported.push(word);
        }
    }
    imported.sort_unstable();
    if has_word(&body, "Bytes") {
        out.push_str("use bytes::Bytes;\n\n");
    }
    let _ = writeln!(
        out,
        "use crate::wire::{{{}}};\nuse crate::{{ApiKey, Message}};\n\
         #[cfg(any(test, feature = \"sample\"))]\nuse crate::sample::{{Sample, Sampler}};\n",
        imported.join(", ")
    );
    out.push_str(&body);
    let _ = writeln!(
        out,
        "\nimpl Message for {name} {{\nconst KEY: ApiKey = ApiKey::{api};\n\
         const IS_RESPONSE: bool = {response};\n}}",
        name = one.body.name,
        api = one.api(),
        response = one.is_response,
    );
    Ok(out)
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|one| one == word)
}

/// The struct and all structs in it, outermost first, each with the versions that can hold it.
fn collect<'a>(body: &'a Struct, scope: Versions, out: &mut Vec<(&'a Struct, Versions)>) {
    out.push((body, scope));
    for field in &body.fields {
        if let Some(inner) = &field.inner {
            collect(inner, scope.and(field.versions), out);
        }
    }
}

fn structure(body: &Struct, scope: Versions, flexible: Option<i16>) -> Result<String, String> {
    let name = &body.name;
    let mut out = String::new();
    let plain_default = body.fields.iter().all(|field| field.default_value().is_none());
    let derives = if plain_default {
        "Clone, Debug, Default, PartialEq, Eq"
    } else {
        "Clone, Debug, PartialEq, Eq"
    };
    let about = if body.about.is_empty() { name } else { &body.about };
    out.push_str(&comment(&sentence(about)));
    let _ = writeln!(out, "#[derive({derives})]\npub struct {name} {{");
    for field in &body.fields {
        let present = scope.and(field.versions);
        let when =
            if present == scope { String::new() } else { format!(" Versions {}.", field.versions) };
        out.push_str(&comment(&format!("{}{when}", sentence(&field.about))));
        let _ = writeln!(out, "pub {}: {},", snake(&field.name), field.rust_type());
    }
    out.push_str("}\n\n");
    if !plain_default {
        let _ = writeln!(
            out,
            "impl Default for {name} {{\nfn default() -> Self {{\nSelf {{\n{}}}\n}}\n}}\n",
            body.fields
                .iter()
                .map(|field| {
                    let value = field.default_value().unwrap_or_else(|| field.plain_default());
                    format!("{}: {value},\n", snake(&field.name))
                })
                .collect::<String>()
        );
    }
    let _ = writeln!(
        out,
        "impl Field for {name} {{\nconst MIN_BYTES: usize = {};\n\n{}\n{}}}\n",
        smallest(body, scope, flexible),
        read(body, scope, flexible)?,
        written(body, scope, flexible)?
    );
    if body.nullable {
        let _ = writeln!(out, "impl Nullable for {name} {{}}\n");
    }
    out.push_str(&sample(body, scope));
    Ok(out)
}

fn read(body: &Struct, scope: Versions, flexible: Option<i16>) -> Result<String, String> {
    let mut out = "fn read(reader: &mut Reader) -> Result<Self, DecodeError> {\n\
         let mut it = Self::default();\n"
        .to_owned();
    let mut steps = Steps::default();
    for field in body.fields.iter().filter(|field| field.tag.is_none()) {
        let name = snake(&field.name);
        let present = scope.and(field.versions);
        let statement = match field.nullable {
            None => format!("it.{name} = reader.read()?;\n"),
            Some(nullable) => {
                let all = format!("it.{name} = reader.read_nullable()?;\n");
                match condition(present, nullable, "reader") {
                    None => all,
                    Some(test) => format!(
                        "it.{name} = if {test} {{ reader.read_nullable()? }} else \
                         {{ Some(reader.read()?) }};\n"
                    ),
                }
            }
        };
        steps.push(condition(scope, field.versions, "reader"), &statement);
    }
    out.push_str(&steps.source());
    let tagged: Vec<&Entry> = body.fields.iter().filter(|field| field.tag.is_some()).collect();
    if tagged.is_empty() {
        if flexible.is_some() {
            out.push_str("reader.skip_tagged()?;\n");
        }
    } else {
        out.push_str("reader.read_tagged(|tag, field| {\nmatch tag {\n");
        for field in tagged {
            let (tag, name) = (field.tag.unwrap_or_default(), snake(&field.name));
            if flexible.is_none_or(|first| field.versions.first < first) {
                return Err(format!("{name}: tagged in a version that is not flexible"));
            }
            let call = if field.nullable.is_some() { "read_nullable" } else { "read" };
            let test = condition(scope, field.versions, "field")
                .map_or(String::new(), |test| format!(" if {test}"));
            let _ = writeln!(out, "{tag}{test} => it.{name} = field.{call}()?,");
        }
        out.push_str("_ => {}\n}\nOk(())\n})?;\n");
    }
    out.push_str("Ok(it)\n}\n");
    Ok(out)
}

fn written(body: &Struct, scope: Versions, flexible: Option<i16>) -> Result<String, String> {
    let mut out = "fn write(&self, writer: &mut Writer) {\n".to_owned();
    let mut steps = Steps::default();
    for field in body.fields.iter().filter(|field| field.tag.is_none()) {
        let name = snake(&field.name);
        let present = scope.and(field.versions);
        let statement = match field.nullable {
            None => format!("writer.put(&self.{name});\n"),
            Some(nullable) => {
                let all = format!("writer.put_nullable(self.{name}.as_ref());\n");
                match condition(present, nullable, "writer") {
                    None => all,
                    Some(test) => format!(
                        "if {test} {{ {all} }} else {{ \
                         writer.put_or_default(self.{name}.as_ref()); }}\n"
                    ),
                }
            }
        };
        steps.push(condition(scope, field.versions, "writer"), &statement);
    }
    out.push_str(&steps.source());
    let mut tagged: Vec<&Entry> = body.fields.iter().filter(|field| field.tag.is_some()).collect();
    if tagged.is_empty() {
        if flexible.is_some() {
            out.push_str("writer.put_no_tagged();\n");
        }
    } else {
        tagged.sort_by_key(|field| field.tag);
        out.push_str("let mut tagged = TaggedFields::of(writer);\n");
        for field in tagged {
            let (tag, name) = (field.tag.unwrap_or_default(), snake(&field.name));
            let (differs, call) = if field.nullable.is_some() {
                (
                    format!("self.{name}.is_some()"),
                    format!("put_nullable({tag}, self.{name}.as_ref())"),
                )
            } else {
                let differs = field.differs_from_default(&format!("self.{name}"));
                (differs, format!("put({tag}, &self.{name})"))
            };
            let test = match condition(scope, field.versions, "writer") {
                None => differs,
                Some(test) => format!("{test} && {differs}"),
            };
            let _ = writeln!(out, "if {test} {{\ntagged.{call};\n}}");
        }
        out.push_str("writer.put_tagged(tagged);\n");
    }
    out.push_str("}\n");
    Ok(out)
}

/// A random value that survives a round trip in `version`: what the version cannot hold stays away.
fn sample(body: &Struct, scope: Versions) -> String {
    let mut out = format!(
        "#[cfg(any(test, feature = \"sample\"))]\nimpl Sample for {} {{\n\
         fn sample(sampler: &mut Sampler) -> Self {{\nlet mut it = Self::default();\n",
        body.name
    );
    let mut steps = Steps::default();
    for field in &body.fields {
        let name = snake(&field.name);
        let present = scope.and(field.versions);
        let statement = match field.nullable.map(|n| condition(present, n, "sampler")) {
            None => format!("it.{name} = sampler.draw();\n"),
            Some(None) => format!("it.{name} = sampler.draw_nullable();\n"),
            Some(Some(test)) => format!(
                "it.{name} = if {test} {{ sampler.draw_nullable() }} else \
                 {{ Some(sampler.draw()) }};\n"
            ),
        };
        steps.push(condition(scope, field.versions, "sampler"), &statement);
    }
    out.push_str(&steps.source());
    out.push_str("it\n}\n}\n\n");
    out
}

/// Statements, each run in some versions only; neighbours with the same test share it.
#[derive(Default)]
struct Steps(Vec<(Option<String>, String)>);

impl Steps {
    fn push(&mut self, test: Option<String>, statement: &str) {
        match self.0.last_mut() {
            Some((last, statements)) if *last == test => statements.push_str(statement),
            _ => self.0.push((test, statement.to_owned())),
        }
    }

    fn source(self) -> String {
        let text = |(test, statements): (Option<String>, String)| match test {
            None => statements,
            Some(test) => format!("if {test} {{\n{statements}}}\n"),
        };
        self.0.into_iter().map(text).collect()
    }
}

/// The test that says whether a version of `scope` is one of `wanted`; none if all are.
fn condition(scope: Versions, wanted: Versions, of: &str) -> Option<String> {
    let inside = scope.and(wanted);
    if inside == scope {
        return None;
    }
    let version = format!("{of}.version()");
    Some(if inside.is_empty() {
        "false".to_owned()
    } else if inside.last == scope.last {
        format!("{version} >= {}", inside.first)
    } else if inside.first == scope.first {
        format!("{version} <= {}", inside.last)
    } else {
        format!("({}..={}).contains(&{version})", inside.first, inside.last)
    })
}

/// The fewest bytes that an instance takes in any version of `scope`.
fn smallest(body: &Struct, scope: Versions, flexible: Option<i16>) -> usize {
    (scope.first..=scope.last)
        .map(|version| smallest_in(body, version, flexible))
        .min()
        .unwrap_or_default()
        .max(1)
}

fn smallest_in(body: &Struct, version: i16, flexible: Option<i16>) -> usize {
    let compact = flexible.is_some_and(|first| version >= first);
    let fields: usize = body
        .fields
        .iter()
        .filter(|field| field.tag.is_none() && field.versions.contains(version))
        .map(|field| match &field.kind {
            Kind::Fixed(_, bytes) => *bytes,
            Kind::Text if compact => 1,
            Kind::Text => 2,
            Kind::Bytes | Kind::Records | Kind::Array(_) if compact => 1,
            Kind::Bytes | Kind::Records | Kind::Array(_) => 4,
            Kind::Struct(_) if field.nullable.is_some() => 1,
            Kind::Struct(_) => {
                field.inner.as_ref().map_or(0, |inner| smallest_in(inner, version, flexible))
            }
        })
        .sum();
    fields + usize::from(compact)
}

/// A description as the text of a doc comment: one sentence, no accidental links.
fn sentence(about: &str) -> String {
    let text = about.trim().replace('[', "\\[").replace(']', "\\]").replace('<', "\\<");
    if text.ends_with('.') { text } else { format!("{text}.") }
}

/// The text as a doc comment, wrapped.
fn comment(text: &str) -> String {
    let mut out = "///".to_owned();
    let mut column = out.len();
    for word in text.split_whitespace() {
        if column + 1 + word.len() > 96 {
            out.push_str("\n///");
            column = 3;
        }
        out.push(' ');
        out.push_str(word);
        column += 1 + word.len();
    }
    out.push('\n');
    out
}

/// `TopicData` and `validateOnly` as `topic_data` and `validate_only`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for character in name.chars() {
        if character.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(character.to_lowercase());
    }
    out
}

fn format(source: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("rustfmt: {error}");
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(crate::root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut input = child.stdin.take().expect("the pipe was asked for");
    let text = source.to_owned();
    let feeder = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().map_err(failed)?;
    feeder.join().expect("the feeder does not panic").map_err(failed)?;
    if !output.status.success() {
        return Err(format!("rustfmt refuses:\n{source}"));
    }
    String::from_utf8(output.stdout).map_err(|_| "rustfmt gave no UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checked_in_messages_are_what_the_schema_gives() {
        let root = crate::root();
        let files = generate(&root.join(SCHEMA)).expect("the schema is sound");
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        for (name, text) in &files {
            let found = std::fs::read_to_string(root.join(TARGET).join(name)).unwrap_or_default();
            assert!(*text == found, "{name} is not up to date: run `cargo xtask kafka-messages`");
        }
        let folder = std::fs::read_dir(root.join(TARGET).join("messages")).expect("it is there");
        for entry in folder.flatten() {
            let name = format!("messages/{}", entry.file_name().to_string_lossy());
            assert!(names.contains(&name.as_str()), "{name} is of no definition");
        }
    }

    #[test]
    fn names_are_snake_case() {
        assert_eq!(snake("TopicData"), "topic_data");
        assert_eq!(snake("validateOnly"), "validate_only");
    }

    #[test]
    fn a_test_is_made_only_where_versions_differ() {
        let scope = Versions { first: 3, last: 13 };
        assert_eq!(condition(scope, Versions { first: 0, last: i16::MAX }, "r"), None);
        let from = condition(scope, Versions { first: 9, last: i16::MAX }, "r");
        assert_eq!(from.as_deref(), Some("r.version() >= 9"));
        let to = condition(scope, Versions { first: 0, last: 12 }, "r");
        assert_eq!(to.as_deref(), Some("r.version() <= 12"));
    }
}
