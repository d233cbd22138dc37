//! The effective configuration as TOML, and the reference page.

use std::fmt::Write;

use super::file::{Target, all, find, sections_of};
use super::keys::path;
use super::load::{FILE_VARIABLE, Loaded, variable};
use super::setting::{Addresses, Setting};
use super::{Config, Place, Section, Stream};
use crate::protocols::{EXAMPLE, STREAM_KEYS};

/// The effective configuration as TOML; what is not the default says where it is from.
pub fn show(loaded: &Loaded, sections: &[Section]) -> String {
    let mut text = String::new();
    let mut present = "";
    for (section, name) in all(sections) {
        if section != present {
            let _ = writeln!(text, "\n[{section}]");
            present = section;
        }
        let line = format!("{name} = {}", value(&loaded.config, sections, section, name));
        line_with_origin(&mut text, &line, &loaded.place(&path(section, name)));
    }
    for stream in &loaded.config.streams {
        text.push('\n');
        line_with_origin(&mut text, "[[stream]]", &stream.place);
        for key in STREAM_KEYS {
            let _ = writeln!(text, "{} = {}", key.name, (key.show)(stream));
        }
    }
    text
}

fn line_with_origin(text: &mut String, line: &str, place: &Place) {
    let _ = match place {
        Place::Default => writeln!(text, "{line}"),
        Place::File(..) | Place::Environment(_) | Place::Flag(_) => {
            writeln!(text, "{line}  # {place}")
        }
    };
}

fn value(config: &Config, sections: &[Section], section: &str, name: &str) -> String {
    match find(sections, section, name) {
        Some(Target::Key(key)) => (key.show)(config),
        Some(Target::Listen(index)) => {
            config.listen.get(index).map_or_else(String::new, Addresses::to_toml)
        }
        None => String::new(),
    }
}

/// The reference page, in Markdown.
pub fn reference(sections: &[Section]) -> String {
    let defaults = Config::defaults(sections);
    let mut text = format!("{INTRODUCTION}```toml\n{EXAMPLE}```\n\n{FORMS}");
    let _ = writeln!(text, "The variable `{FILE_VARIABLE}` names the file, as `--config` does.");
    for section in sections_of(sections) {
        let title = if section.is_empty() { "Top of the file" } else { section };
        let _ = writeln!(text, "\n## {title}\n");
        text.push_str("| key | default | meaning |\n|---|---|---|\n");
        for (_, name) in all(sections).into_iter().filter(|(of, _)| *of == section) {
            let (about, expected) = match find(sections, section, name) {
                Some(Target::Key(key)) => (key.about, key.expected),
                Some(Target::Listen(_)) => (LISTEN, Addresses::EXPECTED),
                None => continue,
            };
            let value = value(&defaults, sections, section, name);
            let variable = variable(section, name);
            let _ = writeln!(
                text,
                "| `{name}` | `{value}` | {about} Written as {expected}. Variable `{variable}`. |"
            );
        }
    }
    let _ =
        writeln!(text, "\n## stream\n\n{STREAMS}\n\n| key | default | meaning |\n|---|---|---|");
    let stream = Stream::new(Place::Default);
    for key in STREAM_KEYS {
        let (name, value, about, expected) =
            (key.name, (key.show)(&stream), key.about, key.expected);
        let _ = writeln!(text, "| `{name}` | `{value}` | {about} Written as {expected}. |");
    }
    text
}

const LISTEN: &str = "Where clients of this protocol connect. Port 0 = one that is free. Empty = \
                      the protocol is off.";

const STREAMS: &str = "`[[stream]]` declares a stream, once for each; it is made at start if it is \
                       not there.";

const INTRODUCTION: &str = "\
# Configuration

<!-- Written by `robust-server config reference`; a test compares. -->

`robust-server start --config robust.toml` reads one TOML file. Every key is optional. A variable of
the environment goes over the file, and a flag (`--data DIR`, `--set section.key=value`) over both.
`robust-server config check` says what is wrong with a file; `robust-server config show` prints what
holds and where it is from.

";

const FORMS: &str = "\
Sizes are written `512KiB`, `64MiB`, `10GiB` or as a number of bytes; times `250ms`, `90s`, `15m`,
`12h`, `7d`; lists in a variable or flag with commas between the items.

";
