//! Words that no text file of the repository may hold: paths of one machine, hosts of registries.
//!
//! The words are spelled in two halves here, so that this file passes its own check.

/// Folders of one machine, at the beginning of a path.
const MACHINE_PATHS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// Hosts of registries: a user may have others, and every tool knows its own.
const REGISTRY_HOSTS: &[&str] = &[
    concat!("registry.npm", "js.org"),
    concat!("registry.yarn", "pkg.com"),
    concat!("pypi", ".org"),
    concat!("files.python", "hosted.org"),
    concat!("repo1.ma", "ven.org"),
    concat!("repo.maven.ap", "ache.org"),
    concat!("static.crates", ".io"),
    concat!("index.crates", ".io"),
    concat!("proxy.go", "lang.org"),
    concat!("deb.deb", "ian.org"),
    concat!("static.rust-", "lang.org"),
];

/// Files that a tool writes and that may name hosts by its own rules.
const WRITTEN_BY_TOOLS: &[&str] = &["Cargo.lock", "go.sum", "LICENSE"];

/// Checks one text file; `path` is relative to the repository.
pub(crate) fn findings(path: &str, text: &str) -> Vec<String> {
    let name = path.rsplit('/').next().unwrap_or(path);
    if WRITTEN_BY_TOOLS.contains(&name) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        for word in MACHINE_PATHS.iter().filter(|word| stands_at_the_start_of_a_path(line, word)) {
            found.push(format!("{path}:{number}: {word}: a path of one machine"));
        }
        for word in REGISTRY_HOSTS.iter().filter(|word| line.contains(*word)) {
            found.push(format!("{path}:{number}: {word}: every tool knows its own registry"));
        }
    }
    found
}

fn stands_at_the_start_of_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | '*'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_one_machine_is_named() {
        let line = format!("cd {}clone\n", MACHINE_PATHS[0]);
        let expected = format!("a.sh:1: {}: a path of one machine", MACHINE_PATHS[0]);
        assert_eq!(findings("a.sh", &line), [expected]);
    }

    #[test]
    fn the_same_letters_inside_another_path_are_fine() {
        let line = format!("docs{}flow and $HOME{}x", MACHINE_PATHS[0], MACHINE_PATHS[0]);
        assert_eq!(findings("a.md", &line), [""; 0]);
    }

    #[test]
    fn a_registry_host_is_named_except_where_a_tool_wrote_it() {
        let line = format!("curl https://{}/x", REGISTRY_HOSTS[0]);
        assert_eq!(findings("a.sh", &line).len(), 1);
        assert_eq!(findings("Cargo.lock", &line), [""; 0]);
    }
}
