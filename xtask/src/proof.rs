//! The page that says which test shows what: what it names must exist.
//!
//! A test is an identifier in back quotes with at least three underscores, a mutation one with a
//! hyphen. Every mutation must be named.

use std::collections::BTreeSet;

/// The page.
pub(crate) const PAGE: &str = "docs/reference/storage-proof.md";
/// Where mutations are listed.
const MUTATIONS: &str = "scripts/mutations.d/";

/// Checks the page against all text files, given as path and text.
pub(crate) fn findings(files: &[(String, String)]) -> Vec<String> {
    let Some((_, page)) = files.iter().find(|(path, _)| path == PAGE) else {
        return vec![format!("{PAGE} is missing")];
    };
    let named = names(page);
    let mut tests = BTreeSet::new();
    let mut mutations = BTreeSet::new();
    for (path, text) in files {
        if path.starts_with(MUTATIONS) {
            mutations.extend(text.lines().filter_map(mutation));
        } else if path.ends_with(".rs") || path.ends_with(".py") {
            tests.extend(text.lines().filter_map(function));
        }
    }
    let unknown = named.iter().filter(|name| match name.contains('-') {
        true => !mutations.contains(*name),
        false => !tests.contains(*name),
    });
    let mut found: Vec<_> =
        unknown.map(|name| format!("{PAGE}: {name}: there is no such test or mutation")).collect();
    let forgotten = mutations.iter().filter(|name| !named.contains(*name));
    found.extend(forgotten.map(|name| format!("{PAGE}: the mutation {name} is not named")));
    found
}

/// What stands in back quotes and looks like the name of a test or of a mutation.
fn names(page: &str) -> BTreeSet<&str> {
    let quoted = page.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let letters = |name: &str| {
        name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))
    };
    let quoted = quoted.filter(|name| letters(name));
    quoted.filter(|name| name.contains('-') || name.matches('_').count() > 2).collect()
}

/// The name in `name = ".."`.
fn mutation(line: &str) -> Option<&str> {
    line.strip_prefix("name = \"")?.strip_suffix('"')
}

/// The name of a function that a line begins.
fn function(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let rest = line.strip_prefix("fn ").or_else(|| line.strip_prefix("def "))?;
    rest.split('(').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(page: &str, source: &str, list: &str) -> Vec<String> {
        let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        let list = file("scripts/mutations.d/a.toml", list);
        findings(&[file(PAGE, page), file("crates/a/tests/t.rs", source), list])
    }

    #[test]
    fn what_the_page_names_must_exist_and_every_mutation_is_named() {
        let (source, list) = ("    fn it_is_as_said() {\n", "name = \"no-sync\"\n");
        assert_eq!(checked("| `it_is_as_said`, `no-sync` |", source, list), [""; 0]);
        assert_eq!(checked("`it_is_as_said`", source, list).len(), 1, "a mutation is not named");
        assert_eq!(checked("`it_was_as_said` `no-sync`", source, list).len(), 1, "no such test");
        assert_eq!(checked("`no-sync` `no-other`", source, list).len(), 1, "no such mutation");
        assert_eq!(checked("`no-sync` `tests/crashes` `a_b`", source, list), [""; 0]);
    }
}
