//! File, then environment, then flags: the later one wins, and it is known where a value is from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::file::{self, all, bad_value, find, unknown};
use super::keys::path;
use super::{Config, Invalid, Place, Section};

/// What every variable of ours begins with.
const PREFIX: &str = "ROBUST_SERVER_";

/// The variable that names the file.
pub(super) const FILE_VARIABLE: &str = "ROBUST_SERVER_CONFIG";

/// Where the configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config`, or else the environment's.
    pub file: Option<PathBuf>,
    /// `--data`.
    pub data: Option<String>,
    /// `--set`: `key=value` each.
    pub set: Vec<String>,
    /// All variables of the environment.
    pub environment: Vec<(String, String)>,
}

/// Where each value that is not the default came from, by `section.key`.
pub type Origin = BTreeMap<String, Place>;

/// The values, and where they came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Their origins.
    pub origins: Origin,
    /// What is odd, but no reason not to start.
    pub warnings: Vec<String>,
}

impl Loaded {
    /// Where the value of a key came from.
    pub fn place(&self, path: &str) -> Place {
        self.origins.get(path).cloned().unwrap_or(Place::Default)
    }
}

/// Loads the configuration. Reads the file; everything else is an argument.
///
/// # Errors
///
/// [`Invalid`] at the first thing that is wrong.
pub fn load(sources: &Sources, sections: &[Section]) -> Result<Loaded, Invalid> {
    let mut loaded =
        Loaded { config: Config::defaults(sections), origins: Origin::new(), warnings: Vec::new() };
    let from_environment = sources
        .environment
        .iter()
        .find(|(name, value)| name == FILE_VARIABLE && !value.is_empty())
        .map(|(_, value)| PathBuf::from(value));
    if let Some(path) = sources.file.clone().or(from_environment) {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path).map_err(|error| Invalid {
            place: Place::Flag(name.clone()),
            what: format!("the configuration file cannot be read: {error}"),
        })?;
        file::read(&mut loaded, sections, &name, &text)?;
    }
    environment(&mut loaded, sections, &sources.environment)?;
    if let Some(data) = &sources.data {
        let place = Place::Flag("--data".to_owned());
        set(&mut loaded, sections, ("", "data"), data, place)?;
    }
    for flag in &sources.set {
        let place = Place::Flag(format!("--set {flag}"));
        let Some((key, value)) = flag.split_once('=') else {
            let what = "expected section.key=value".to_owned();
            return Err(Invalid { place, what });
        };
        let (section, name) = key.trim().rsplit_once('.').unwrap_or(("", key.trim()));
        if find(sections, section, name).is_none() {
            return Err(Invalid { place, what: unknown(sections, section, name) });
        }
        set(&mut loaded, sections, (section, name), value, place)?;
    }
    Ok(loaded)
}

fn set(
    loaded: &mut Loaded,
    sections: &[Section],
    (section, name): (&str, &str),
    text: &str,
    place: Place,
) -> Result<(), Invalid> {
    let path = path(section, name);
    let Some(target) = find(sections, section, name) else { return Ok(()) };
    if !target.parse(&mut loaded.config, text) {
        let what = bad_value(&path, target.expected(), &format!("{text:?}"));
        return Err(Invalid { place, what });
    }
    loaded.origins.insert(path, place);
    Ok(())
}

/// The variable of a key: section and name in capitals, joined by one underscore.
pub(super) fn variable(section: &str, name: &str) -> String {
    let separator = if section.is_empty() { "" } else { "_" };
    format!("{PREFIX}{section}{separator}{name}").to_ascii_uppercase()
}

fn environment(
    loaded: &mut Loaded,
    sections: &[Section],
    variables: &[(String, String)],
) -> Result<(), Invalid> {
    let keys: BTreeMap<String, _> = all(sections)
        .into_iter()
        .map(|(section, name)| (variable(section, name), (section, name)))
        .collect();
    for (variable, value) in variables {
        if !variable.starts_with(PREFIX) || variable == FILE_VARIABLE {
            continue;
        }
        match keys.get(variable) {
            Some(key) => {
                let place = Place::Environment(variable.clone());
                set(loaded, sections, *key, value, place)?;
            }
            // Not an error: orchestrators make variables from the names of services.
            None => loaded.warnings.push(format!("environment {variable}: no key has this name")),
        }
    }
    Ok(())
}
