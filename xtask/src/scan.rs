//! Reads Rust source as far as the checks need: which bytes are code and which are comments.
//!
//! Not a parser. It knows comments, string and character literals, and where test modules begin.

/// The source with comments blanked out; lines keep their numbers.
///
/// `keep_strings` says whether the contents of string literals stay.
pub(crate) fn code_only(source: &str, keep_strings: bool) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = raw_string(rest, out.chars().next_back()) {
            literal(&mut out, rest, length, keep_strings);
            rest = &rest[length..];
            continue;
        } else if first == '"' {
            let length = quoted(rest, '"');
            literal(&mut out, rest, length, keep_strings);
            rest = &rest[length..];
            continue;
        } else if let Some(length) = character(rest) {
            out.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        blank(&mut out, &rest[..length]);
        rest = &rest[length..];
    }
    out
}

/// The part of a source before its test module, if it has one.
pub(crate) fn before_tests(source: &str) -> &str {
    let end = source.find("#[cfg(test)]\nmod ").unwrap_or(source.len());
    &source[..end]
}

/// The words of an identifier: `NatsServerInfo` and `nats_server_info` are nats, server, info.
pub(crate) fn identifier_words(identifier: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut previous_lower = false;
    for character in identifier.chars() {
        if character == '_' {
            previous_lower = false;
            words.push(String::new());
            continue;
        }
        if words.is_empty() || (character.is_uppercase() && previous_lower) {
            words.push(String::new());
        }
        previous_lower = !character.is_uppercase();
        if let Some(word) = words.last_mut() {
            word.extend(character.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// All identifiers (and words of kept strings) of a line, in order.
pub(crate) fn identifiers(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

fn literal(out: &mut String, rest: &str, length: usize, keep: bool) {
    if keep { out.push_str(&rest[..length]) } else { blank(out, &rest[..length]) }
}

fn blank(out: &mut String, text: &str) {
    out.extend(text.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// Length of a raw string that starts here, unless `before` makes it part of an identifier.
fn raw_string(rest: &str, before: Option<char>) -> Option<usize> {
    if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let prefix = ["br", "cr", "r"].into_iter().find(|prefix| rest.starts_with(prefix))?;
    let hashes = rest[prefix.len()..].chars().take_while(|c| *c == '#').count();
    let body = prefix.len() + hashes;
    if !rest[body..].starts_with('"') {
        return None;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let found = rest[body + 1..].find(&end).map(|at| body + 1 + at + end.len());
    Some(found.unwrap_or(rest.len()))
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == quote {
            return at + 1;
        }
    }
    rest.len()
}

/// Length of a character literal that starts here; a lifetime is none.
fn character(rest: &str) -> Option<usize> {
    let mut characters = rest.chars();
    if characters.next() != Some('\'') {
        return None;
    }
    match (characters.next(), characters.next()) {
        (Some('\\'), _) => Some(quoted(rest, '\'')),
        (Some(one), Some('\'')) => Some(2 + one.len_utf8()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_and_lines_stay() {
        let source = "a // kafka\nb /* nats\n /* x */ */ c\n";
        assert_eq!(code_only(source, true), "a         \nb        \n            c\n");
    }

    #[test]
    fn a_comment_mark_inside_a_string_is_no_comment() {
        assert_eq!(code_only("f(\"//x\") // y", true), "f(\"//x\")     ");
        assert_eq!(code_only("f(r#\"a\"//\"#) //", true), "f(r#\"a\"//\"#)   ");
        assert_eq!(code_only("f('\"') // y", true), "f('\"')     ");
    }

    #[test]
    fn strings_can_be_left_out() {
        assert_eq!(code_only("f(\"nats\")", false), "f(      )");
    }

    #[test]
    fn lifetimes_are_no_characters() {
        assert_eq!(code_only("fn f<'a>(x: &'a str) // z", true), "fn f<'a>(x: &'a str)     ");
    }

    #[test]
    fn words_of_identifiers_are_told_apart() {
        assert_eq!(identifier_words("NatsServerInfo"), ["nats", "server", "info"]);
        assert_eq!(identifier_words("mqtt_port"), ["mqtt", "port"]);
        assert_eq!(identifier_words("Metadata"), ["metadata"]);
        assert_eq!(identifier_words("MQTT_PORT"), ["mqtt", "port"]);
    }

    #[test]
    fn the_test_module_is_cut_off() {
        assert_eq!(before_tests("a\n#[cfg(test)]\nmod tests {}"), "a\n");
        assert_eq!(before_tests("a\n"), "a\n");
    }
}
