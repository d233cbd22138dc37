//! Writes `messages.rs`: the modules, the table of APIs, and the sum of all requests and responses.

use std::fmt::Write as _;

use super::definition::Definition;
use super::snake;

/// The text of `messages.rs`, not yet formatted.
pub(crate) fn source(definitions: &[Definition]) -> String {
    let mut out = "//! Every message that is spoken, and the table of APIs.\n//!\n\
         //! Generated from Kafka's message definitions by `cargo xtask kafka-messages`; do not \
         edit.\n\n\
         #![allow(\nclippy::field_reassign_with_default,\nreason = \"which fields are set depends \
         on the version\"\n)]\n\n"
        .to_owned();
    for one in definitions {
        let _ = writeln!(out, "pub mod {};", snake(&one.body.name));
    }
    out.push_str(
        "\nuse bytes::Bytes;\n\nuse crate::wire::{DecodeError, Limits, Reader, Writer};\n\
         use crate::{Message, Request};\n\
         #[cfg(any(test, feature = \"sample\"))]\nuse crate::sample::{Sample, Sampler};\n\n",
    );
    for one in definitions {
        let name = &one.body.name;
        let _ = writeln!(out, "pub use {}::{name};", snake(name));
    }
    let requests: Vec<&Definition> = definitions.iter().filter(|one| !one.is_response).collect();
    keys(&mut out, &requests);
    for request in &requests {
        let _ = writeln!(
            out,
            "impl Request for {api}Request {{\ntype Response = {api}Response;\n}}\n",
            api = request.api()
        );
    }
    sum(&mut out, &requests, "Request", "request");
    sum(&mut out, &requests, "Response", "response");
    out
}

fn keys(out: &mut String, requests: &[&Definition]) {
    out.push_str(
        "\n/// An API that is spoken; its number on the wire is the discriminant.\n\
         #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]\n#[repr(i16)]\n\
         pub enum ApiKey {\n",
    );
    for one in requests {
        let _ = writeln!(
            out,
            "/// {}, versions {}.\n{} = {},",
            one.api(),
            one.valid,
            one.api(),
            one.key
        );
    }
    out.push_str(
        "}\n\nimpl ApiKey {\n/// Every API, by number.\npub const ALL: &'static [Self] = &[",
    );
    for one in requests {
        let _ = write!(out, "Self::{},", one.api());
    }
    out.push_str(
        "];\n\n/// The API of a number from the wire.\n\
         pub const fn from_number(number: i16) -> Option<Self> {\nmatch number {\n",
    );
    for one in requests {
        let _ = writeln!(out, "{} => Some(Self::{}),", one.key, one.api());
    }
    out.push_str(
        "_ => None,\n}\n}\n\n/// The versions that are understood, both inclusive, without an \
         unfinished last one.\npub const fn versions(self) -> (i16, i16) {\nmatch self {\n",
    );
    for one in requests {
        let last = one.valid.last - i16::from(one.last_unstable);
        let _ = writeln!(out, "Self::{} => ({}, {last}),", one.api(), one.valid.first);
    }
    out.push_str(
        "}\n}\n\n/// The first version with compact lengths and tagged fields.\n\
         pub const fn first_flexible(self) -> i16 {\nmatch self {\n",
    );
    for one in requests {
        let first = one.flexible.unwrap_or(i16::MAX);
        let _ = writeln!(out, "Self::{} => {first},", one.api());
    }
    out.push_str("}\n}\n}\n\n");
}

fn sum(out: &mut String, requests: &[&Definition], suffix: &str, word: &str) {
    let name = format!("Any{suffix}");
    let each = |out: &mut String, line: &dyn Fn(&str) -> String| {
        for one in requests {
            let _ = writeln!(out, "{}", line(one.api()));
        }
    };
    let _ = writeln!(
        out,
        "/// One {word}, whichever it is.\n#[derive(Clone, Debug, PartialEq, Eq)]\n\
         pub enum {name} {{"
    );
    each(out, &|api| format!("/// {api}.\n{api}({api}{suffix}),"));
    let _ = writeln!(
        out,
        "}}\n\nimpl {name} {{\n/// Reads a {word} body.\n///\n/// # Errors\n\
         /// [`DecodeError`] when the bytes are not such a {word}.\n\
         pub fn decode(key: ApiKey, version: i16, body: Bytes, limits: &Limits) -> \
         Result<Self, DecodeError> {{\nmatch key {{"
    );
    each(out, &|api| {
        format!("ApiKey::{api} => {api}{suffix}::decode(body, version, limits).map(Self::{api}),")
    });
    out.push_str(
        "}\n}\n\n/// Reads from where a reader stands, which was made for that version.\n///\n\
         /// # Errors\n/// As [`Self::decode`].\n\
         pub fn read(key: ApiKey, reader: &mut Reader) -> Result<Self, DecodeError> {\n\
         match key {\n",
    );
    each(out, &|api| format!("ApiKey::{api} => reader.read().map(Self::{api}),"));
    out.push_str(
        "}\n}\n\n/// Writes the body at the end of `writer`, which was made for that version.\n\
         pub fn write(&self, writer: &mut Writer) {\nmatch self {\n",
    );
    each(out, &|api| format!("Self::{api}(body) => writer.put(body),"));
    let _ = writeln!(
        out,
        "}}\n}}\n\n/// The API of this {word}.\npub const fn key(&self) -> ApiKey {{\nmatch self {{"
    );
    each(out, &|api| format!("Self::{api}(_) => ApiKey::{api},"));
    let _ = writeln!(
        out,
        "}}\n}}\n\n/// A random {word} that `sampler`'s version can hold.\n\
         #[cfg(any(test, feature = \"sample\"))]\n\
         pub fn sample(key: ApiKey, sampler: &mut Sampler) -> Self {{\nmatch key {{"
    );
    each(out, &|api| format!("ApiKey::{api} => Self::{api}({api}{suffix}::sample(sampler)),"));
    out.push_str("}\n}\n}\n\n");
    for one in requests {
        let api = one.api();
        let _ = writeln!(
            out,
            "impl From<{api}{suffix}> for {name} {{\nfn from(body: {api}{suffix}) -> Self {{\n\
             Self::{api}(body)\n}}\n}}\n"
        );
    }
}
