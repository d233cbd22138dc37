//! Walks the files that git knows and gathers what every check finds.

use std::path::Path;
use std::process::Command;

use crate::{layers, proof, sources, words};

/// Everything that is not as it should be, one line each.
pub(crate) fn findings(root: &Path) -> Vec<String> {
    let files = match listed_files(root) {
        Ok(files) => files,
        Err(error) => return vec![format!("git ls-files: {error}")],
    };
    let mut found = layers::findings(root);
    let mut rust_files = Vec::new();
    let mut others = Vec::new();
    for path in files {
        // What is not text has no words; a listed file may be gone from the work tree.
        let Ok(text) = std::fs::read_to_string(root.join(&path)) else { continue };
        found.extend(words::findings(&path, &text));
        if path.ends_with(".rs") {
            found.extend(sources::findings(&path, &text));
            rust_files.push((path, text));
        } else {
            others.push((path, text));
        }
    }
    found.extend(sources::dead_files(&rust_files));
    let files = [rust_files, others].concat();
    found.extend(proof::findings(&files));
    found
}

/// The tracked files and the new ones that are not ignored, relative to the repository.
fn listed_files(root: &Path) -> std::io::Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        return Err(std::io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The repository itself is tidy: `cargo test` alone shows a broken rule.
    #[test]
    fn the_repository_is_tidy() {
        let found = findings(&crate::root());
        assert!(found.is_empty(), "\n{}", found.join("\n"));
    }
}
