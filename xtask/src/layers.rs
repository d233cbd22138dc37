//! The arrows between crates: a crate uses strictly lower layers only.
//!
//! Crates of one layer do not know each other. The table is the design of ARCHITECTURE.md; a new
//! crate takes its place here before anything may depend on it.

use std::path::Path;

use toml::{Table, Value};

/// Crates by layer, lowest first.
pub(crate) const LAYERS: &[&[&str]] = &[
    &["model", "security", "mqtt-codec", "kafka-codec", "nats-codec", "amqp-codec"],
    &["protocol", "storage"],
    &["mqtt", "kafka", "nats", "amqp", "storage-journal"],
    &["meta"],
    &["broker"],
    &["server", "cli"],
];

/// Codecs stand alone: a brain speaks one protocol and links one codec.
const CODEC_SUFFIX: &str = "-codec";

/// Crates that are clients of every protocol.
const CLIENTS: &[&str] = &["cli"];

/// Checks every manifest under `crates/`.
pub(crate) fn findings(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(root.join("crates")) else {
        return vec!["crates/ cannot be read".to_owned()];
    };
    let mut folders: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    for folder in folders.into_iter().filter(|folder| folder.is_dir()) {
        let folder_name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match std::fs::read_to_string(folder.join("Cargo.toml")) {
            Ok(manifest) => found.extend(manifest_findings(&folder_name, &manifest)),
            Err(error) => found.push(format!("crates/{folder_name}/Cargo.toml: {error}")),
        }
    }
    found
}

/// Checks one manifest: its name is its folder's, and each of its arrows points down.
fn manifest_findings(folder_name: &str, manifest: &str) -> Vec<String> {
    let table: Table = match manifest.parse() {
        Ok(table) => table,
        Err(error) => return vec![format!("crates/{folder_name}/Cargo.toml: {error}")],
    };
    let name = table
        .get("package")
        .and_then(|package| package.get("name"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut found = Vec::new();
    if name != folder_name {
        found.push(format!("crates/{folder_name}: the package must be named like its folder"));
    }
    let Some(own_layer) = layer(name) else {
        found.push(format!("{name} has no layer: give it a place in LAYERS (xtask/src/layers.rs)"));
        return found;
    };
    let mut used = Vec::new();
    collect_dependencies(&table, &mut used);
    for dependency in used {
        let Some(used_layer) = layer(&dependency) else { continue };
        if used_layer >= own_layer {
            found.push(format!("{name} must not depend on {dependency}"));
        } else if let Some(protocol) = dependency.strip_suffix(CODEC_SUFFIX)
            && protocol != name
            && !CLIENTS.contains(&name)
        {
            found.push(format!("{name} must not depend on {dependency}: only {protocol} does"));
        }
    }
    found
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|crates| crates.contains(&name))
}

/// The package names of all kinds of dependencies: normal, dev, build, per target, renamed.
fn collect_dependencies(table: &Table, used: &mut Vec<String>) {
    for (key, value) in table {
        let Some(section) = value.as_table() else { continue };
        if matches!(key.as_str(), "dependencies" | "dev-dependencies" | "build-dependencies") {
            for (name, specification) in section {
                let renamed = specification.get("package").and_then(Value::as_str);
                used.push(renamed.unwrap_or(name).to_owned());
            }
        } else if key == "target" {
            for per_target in section.values().filter_map(Value::as_table) {
                collect_dependencies(per_target, used);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, rest: &str) -> Vec<String> {
        manifest_findings(name, &format!("[package]\nname = \"{name}\"\n{rest}"))
    }

    #[test]
    fn an_arrow_that_points_down_is_fine() {
        assert_eq!(check("protocol", "[dependencies]\nmodel.workspace = true"), [""; 0]);
        assert_eq!(check("mqtt", "[dependencies]\nmqtt-codec.workspace = true"), [""; 0]);
    }

    #[test]
    fn an_arrow_that_points_up_is_named() {
        let found = check("model", "[dependencies]\nprotocol.workspace = true");
        assert_eq!(found, ["model must not depend on protocol"]);
    }

    #[test]
    fn crates_of_one_layer_do_not_know_each_other() {
        let found = check("mqtt", "[dependencies]\nnats.workspace = true");
        assert_eq!(found, ["mqtt must not depend on nats"]);
    }

    #[test]
    fn dev_target_and_renamed_dependencies_count() {
        let found = check("storage", "[dev-dependencies]\nbroker.workspace = true");
        assert_eq!(found, ["storage must not depend on broker"]);
        let found = check("storage", "[target.'cfg(unix)'.dependencies]\nmeta.workspace = true");
        assert_eq!(found, ["storage must not depend on meta"]);
        let found =
            check("storage", "[dependencies]\nm = { package = \"meta\", path = \"../meta\" }");
        assert_eq!(found, ["storage must not depend on meta"]);
    }

    #[test]
    fn a_codec_is_used_by_its_own_protocol_only() {
        let found = check("broker", "[dependencies]\nkafka-codec.workspace = true");
        assert_eq!(found, ["broker must not depend on kafka-codec: only kafka does"]);
        assert_eq!(check("cli", "[dependencies]\nkafka-codec.workspace = true"), [""; 0]);
    }

    #[test]
    fn a_crate_without_a_layer_is_refused() {
        let found = check("stomp", "[dependencies]");
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("stomp has no layer"), "{found:?}");
    }

    #[test]
    fn a_package_is_named_like_its_folder() {
        let found = manifest_findings("meta", "[package]\nname = \"model\"");
        assert_eq!(found, ["crates/meta: the package must be named like its folder"]);
    }
}
