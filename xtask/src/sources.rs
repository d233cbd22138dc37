//! Checks on each Rust file: module docs, size, names, protocol names in neutral crates.

use crate::scan::{before_tests, code_only, identifier_words, identifiers};

const LINES_MAX: usize = 1_000;

/// Files that may be longer, with the reason.
const LONG_FILES: &[(&str, &str)] =
    &[("crates/kafka-codec/src/messages.rs", "generated from Kafka's message definitions")];

/// Names that say nothing about what a file holds.
const FORBIDDEN_FILES: &[&str] = &[
    "common.rs",
    "util.rs",
    "utils.rs",
    "types.rs",
    "tool.rs",
    "tools.rs",
    "helper.rs",
    "helpers.rs",
    "misc.rs",
    "core.rs",
];

/// Words that say nothing about the role of a type.
const FILLERS: &[&str] =
    &["manager", "info", "data", "params", "wrapper", "helper", "util", "utils", "common", "misc"];

/// Type names with such a word that is the protocol's own term: path prefix, name, reason.
const FILLER_EXEMPT: &[(&str, &str, &str)] = &[
    ("crates/nats-codec/", "Info", "the INFO message of the NATS protocol"),
    ("crates/nats-codec/", "ServerInfo", "the INFO message of the NATS protocol"),
    ("crates/kafka-codec/src/messages", "*", "names generated from Kafka's message definitions"),
];

/// Crates that serve all protocols and name none of them in code.
const NEUTRAL: &[&str] = &[
    "crates/broker/src/",
    "crates/meta/src/",
    "crates/storage/src/",
    "crates/storage-journal/src/",
    "crates/server/src/",
    "crates/protocol/src/",
];

/// Where protocols are named: the registry.
const REGISTRY: &[(&str, &str)] =
    &[("crates/server/src/protocols.rs", "the registry: one line per protocol")];

const PROTOCOLS: &[&str] = &["mqtt", "kafka", "nats", "amqp"];

/// Words of the model that write a subject or filter in one of its forms; naming a form in which
/// something is kept is no choice between protocols.
const FORMS: &[&str] = &["render::", "Filter::"];

/// Checks one file; `path` is relative to the repository, with `/`.
pub(crate) fn findings(path: &str, source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let file_name = path.rsplit('/').next().unwrap_or(path);
    if FORBIDDEN_FILES.contains(&file_name) || path.contains("/core/") {
        found.push(format!("{path}: name the file after the concept it holds"));
    }
    if !source.starts_with("//!") {
        found.push(format!("{path}: must open with `//!`: what it is for, what it does not do"));
    }
    let lines = source.lines().count();
    let listed = LONG_FILES.iter().any(|(long, _)| *long == path);
    if lines > LINES_MAX && !listed {
        found.push(format!("{path}: {lines} lines, the limit is {LINES_MAX}: split it by concept"));
    }
    let code = code_only(source, false);
    found.extend(filler_findings(path, &code));
    found.extend(ignored_test_findings(path, &code));
    if NEUTRAL.iter().any(|folder| path.starts_with(folder))
        && !REGISTRY.iter().any(|(file, _)| *file == path)
    {
        found.extend(protocol_findings(path, &code_only(before_tests(source), true)));
    }
    found
}

/// Finds files that no `mod` line of their parent names; `all` holds every path with its source.
pub(crate) fn dead_files(all: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, _) in all {
        let Some((folder, file)) = path.rsplit_once('/') else { continue };
        let Some((package, inside)) = path.split_once("/src/") else { continue };
        if matches!(inside, "lib.rs" | "main.rs") || inside.starts_with("bin/") {
            continue;
        }
        let (name, home) = if file == "mod.rs" {
            folder.rsplit_once('/').map_or((folder, ""), |(home, name)| (name, home))
        } else {
            (file.trim_end_matches(".rs"), folder)
        };
        let name = name.strip_prefix("r#").unwrap_or(name);
        let parents = [
            format!("{home}/lib.rs"),
            format!("{home}/main.rs"),
            format!("{home}/mod.rs"),
            format!("{home}.rs"),
        ];
        let declared = all.iter().any(|(candidate, source)| {
            parents.contains(candidate) && {
                let code = code_only(source, true);
                let mut words = identifiers(&code);
                let mut previous = "";
                words.any(|word| {
                    let hit = previous == "mod" && word == name;
                    previous = word;
                    hit
                })
            }
        });
        // A binary under src/bin or a path attribute would be listed in the manifest; none is.
        if !declared {
            found.push(format!("{path}: no `mod {name}` in its parent ({package}): a dead file"));
        }
    }
    found
}

fn filler_findings(path: &str, code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut previous = "";
        for word in identifiers(line) {
            let names_a_type = matches!(previous, "struct" | "enum" | "trait" | "type" | "union");
            previous = word;
            if !names_a_type || word.starts_with(char::is_lowercase) {
                continue;
            }
            let exempt = FILLER_EXEMPT.iter().any(|(prefix, name, _)| {
                path.starts_with(prefix) && (*name == "*" || *name == word)
            });
            let filler =
                identifier_words(word).into_iter().find(|part| FILLERS.contains(&part.as_str()));
            if let Some(filler) = filler
                && !exempt
            {
                let line = number + 1;
                found.push(format!("{path}:{line}: {word}: `{filler}` says nothing, say the role"));
            }
        }
    }
    found
}

fn ignored_test_findings(path: &str, code: &str) -> Vec<String> {
    code.lines()
        .enumerate()
        .filter(|(_, line)| line.trim_start().starts_with("#[ignore"))
        .map(|(number, _)| format!("{path}:{}: a test is run or deleted", number + 1))
        .collect()
}

fn protocol_findings(path: &str, code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut line = line.to_owned();
        for (form, protocol) in FORMS.iter().flat_map(|f| PROTOCOLS.iter().map(move |p| (f, p))) {
            line = line.replace(&format!("{form}{protocol}::"), form);
            line = line.replace(&format!("{form}{protocol}("), form);
        }
        for identifier in identifiers(&line) {
            let words = identifier_words(identifier);
            if let Some(protocol) = words.iter().find(|word| PROTOCOLS.contains(&word.as_str())) {
                let line = number + 1;
                found.push(format!(
                    "{path}:{line}: names {protocol}: only the registry names protocols"
                ));
                break;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tidy_file_is_fine() {
        let source = "//! Lanes.\n\n/// One lane.\npub struct Lane;\n";
        assert_eq!(findings("crates/broker/src/lane.rs", source), [""; 0]);
    }

    #[test]
    fn a_file_without_module_docs_is_named() {
        let found = findings("crates/model/src/subject.rs", "struct Subject;");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("must open with `//!`"));
    }

    #[test]
    fn a_long_file_is_named_and_a_listed_one_is_not() {
        let long = format!("//! Long.\n{}", "\n".repeat(LINES_MAX));
        assert_eq!(findings("crates/model/src/subject.rs", &long).len(), 1);
        assert_eq!(findings("crates/kafka-codec/src/messages.rs", &long), [""; 0]);
    }

    #[test]
    fn empty_names_of_files_and_types_are_refused() {
        assert_eq!(findings("crates/model/src/utils.rs", "//! X.").len(), 1);
        let found = findings("crates/model/src/a.rs", "//! X.\npub struct QueueManager;");
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("`manager` says nothing"), "{found:?}");
        assert_eq!(findings("crates/model/src/a.rs", "//! X.\nenum Metadata {}"), [""; 0]);
        assert_eq!(findings("crates/nats-codec/src/a.rs", "//! X.\nstruct Info {}"), [""; 0]);
    }

    #[test]
    fn a_neutral_crate_names_no_protocol() {
        let source = "//! Mqtt in docs is fine.\nfn f() { if name == \"mqtt\" {} }\n";
        let found = findings("crates/broker/src/route.rs", source);
        let expected =
            "crates/broker/src/route.rs:2: names mqtt: only the registry names protocols";
        assert_eq!(found, [expected]);
        assert_eq!(findings("crates/server/src/protocols.rs", source), [""; 0]);
        assert_eq!(findings("crates/mqtt/src/route.rs", source), [""; 0]);
    }

    #[test]
    fn a_neutral_crate_may_name_the_form_in_which_it_keeps_a_subject() {
        let source = "//! X.\nlet s = render::kafka::parse(name);\nlet f = Filter::mqtt(text);\n";
        assert_eq!(findings("crates/broker/src/a.rs", source), [""; 0]);
        let found = findings("crates/broker/src/a.rs", "//! X.\nuse kafka::render;\n");
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn tests_of_a_neutral_crate_may_name_protocols() {
        let source = "//! X.\n#[cfg(test)]\nmod tests {\n    use kafka::Session;\n}\n";
        assert_eq!(findings("crates/server/src/drive.rs", source), [""; 0]);
    }

    #[test]
    fn a_file_that_no_module_names_is_dead() {
        let file = |path: &str, source: &str| (path.to_owned(), source.to_owned());
        let all = [
            file("crates/a/src/lib.rs", "//! A.\npub mod used;\n// mod dead;\n"),
            file("crates/a/src/used.rs", "//! U.\nmod inner;\n"),
            file("crates/a/src/used/inner.rs", "//! I.\n"),
            file("crates/a/src/dead.rs", "//! D.\n"),
        ];
        let found = dead_files(&all);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("crates/a/src/dead.rs"));
    }

    #[test]
    fn an_ignored_test_is_named() {
        let found = findings("crates/a/tests/t.rs", "//! T.\n#[ignore = \"slow\"]\nfn t() {}");
        assert_eq!(found.len(), 1, "{found:?}");
    }
}
