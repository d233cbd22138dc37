//! The configuration as a user meets it: files, environment, flags, and one line for each mistake.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use server::config::{self, Loaded, Sources};
use server::protocols;

fn sections() -> Vec<config::Section> {
    protocols::sections(&protocols::all())
}

/// Loads and checks a file of this text.
fn load(text: &str) -> Result<Loaded, String> {
    load_with(text, Sources::default())
}

fn load_with(text: &str, sources: Sources) -> Result<Loaded, String> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder =
        std::env::temp_dir().join(format!("robust-config-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("robust.toml");
    std::fs::write(&path, text).unwrap();
    let sources = Sources { file: Some(path), ..sources };
    let loaded = config::load(&sources, &sections())
        .and_then(|loaded| loaded.check(&sections(), 2).map(|_| loaded));
    let outcome =
        loaded.map_err(|error| error.to_string().replace(&format!("{}/", folder.display()), ""));
    std::fs::remove_dir_all(&folder).unwrap();
    outcome
}

#[track_caller]
fn check_line(text: &str, line: &str) {
    assert_eq!(load(text).unwrap_err(), line);
}

#[test]
fn an_empty_file_is_a_whole_configuration() {
    let loaded = load("").unwrap();
    assert!(loaded.origins.is_empty());
    assert_eq!(loaded.config.data, PathBuf::from("./data"));
    assert_eq!(loaded.config.listen.len(), protocols::all().len());
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    check_line(
        "[mqtt]\n\nlisen = []\n",
        "robust.toml:3: unknown key \"lisen\" in [mqtt]; did you mean \"listen\"?",
    );
    check_line("[node]\nfoobar = 1\n", "robust.toml:2: unknown key \"foobar\" in [node]");
    check_line(
        "message_bytes = 5\n",
        "robust.toml:1: unknown key \"message_bytes\"; did you mean the one in [limits]?",
    );
    check_line("[mqqt]\n", "robust.toml:1: unknown section [mqqt]; did you mean [mqtt]?");
    check_line(
        "[[stream]]\nname = \"a\"\nfilter = [\"x\"]\n",
        "robust.toml:3: unknown key \"filter\" in [[stream]]; did you mean \"filters\"?",
    );
}

#[test]
fn a_bad_value_is_named_with_its_line_key_and_what_was_expected() {
    check_line(
        "[limits]\nmessage_bytes = \"lots\"\n",
        "robust.toml:2: limits.message_bytes: expected a size such as \"64MiB\" or a number of \
         bytes, found \"lots\"",
    );
    check_line(
        "[limits]\n# too much\nmessage_bytes = \"1GiB\"\n",
        "robust.toml:3: limits.message_bytes: expected 1 to 8388608, found 1073741824",
    );
    check_line(
        "[default_stream]\nmax_age = 7\n",
        "robust.toml:2: default_stream.max_age: expected a time such as \"7d\", or \"none\", found 7",
    );
    check_line(
        "[kafka]\nadvertise = \"here\"\n",
        "robust.toml:2: kafka.advertise: expected host:port, found \"here\"",
    );
    check_line(
        "[[stream]]\nname = \"a\"\n\n[[stream]]\nname = \"b\"\nfilters = [\"a/#/b\"]\n",
        "robust.toml:6: stream.filters: \"a/#/b\" is no MQTT topic filter: misplaced \
         wildcard",
    );
    check_line(
        "[node]\nworkers = -1\n",
        "robust.toml:2: node.workers: expected a whole number, found -1",
    );
    let line = load("[mqtt\n").unwrap_err();
    assert!(line.starts_with("robust.toml:1: "), "{line}");
    assert!(!line.contains('\n'), "{line}");
}

#[test]
fn an_address_of_other_machines_is_refused_with_the_key_that_allows_it() {
    check_line(
        "[nats]\nlisten = [\"127.0.0.1:4222\", \"0.0.0.0:4222\"]\n",
        "robust.toml:2: nats.listen: 0.0.0.0:4222 is not a loopback address; encryption and users \
         come with a later version, until then other machines are let in only with \
         security.allow_remote_without_authentication = true",
    );
    let allowed = "[nats]\nlisten = [\"0.0.0.0:4222\"]\n[security]\n\
                   allow_remote_without_authentication = true\n";
    let checked = load(allowed).unwrap().check(&sections(), 2).unwrap();
    assert_eq!(checked.remote, ["nats 0.0.0.0:4222"]);
}

#[test]
fn flags_go_over_the_environment_and_that_over_the_file() {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let sources = Sources {
        data: Some("flag".to_owned()),
        set: vec!["node.workers=3".to_owned()],
        environment: vec![
            variable("ROBUST_SERVER_DATA", "environment"),
            variable("ROBUST_SERVER_NODE_WORKERS", "2"),
            variable("ROBUST_SERVER_DEFAULT_STREAM_MAX_AGE", "1h"),
            variable("ROBUST_SERVER_MQTT_LISTEN", "127.0.0.1:7,[::1]:8"),
            variable("ROBUST_SERVER_PORT", "tcp://10.0.0.1:80"),
        ],
        ..Sources::default()
    };
    let text =
        "data = \"file\"\n[node]\nworkers = 1\nlog = \"warn\"\n[default_stream]\npartitions = 3\n";
    let loaded = load_with(text, sources).unwrap();
    assert_eq!(loaded.config.data, PathBuf::from("flag"));
    assert_eq!(loaded.config.node.workers, 3);
    assert_eq!(loaded.config.node.log, "warn");
    assert_eq!(loaded.config.default_stream.partitions, 3);
    let shown = config::show(&loaded, &sections());
    for line in [
        "data = \"flag\"  # --data",
        "workers = 3  # --set node.workers=3",
        "max_age = \"1h\"  # environment ROBUST_SERVER_DEFAULT_STREAM_MAX_AGE",
        "listen = [\"127.0.0.1:7\", \"[::1]:8\"]  # environment ROBUST_SERVER_MQTT_LISTEN",
        "max_bytes = \"10GiB\"",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\nin\n{shown}");
    }
    assert_eq!(loaded.warnings.len(), 1, "a variable of nobody's is no error");
}

#[test]
fn a_bad_flag_or_variable_is_one_line_too() {
    let set = |text: &str| {
        let sources = Sources { set: vec![text.to_owned()], ..Sources::default() };
        load_with("", sources).unwrap_err()
    };
    assert_eq!(
        set("mqtt.lissen=5"),
        "--set mqtt.lissen=5: unknown key \"lissen\" in [mqtt]; did you mean \"listen\"?"
    );
    assert_eq!(
        set("node.workers=many"),
        "--set node.workers=many: node.workers: expected a whole number, found \"many\""
    );
    assert_eq!(set("nothing"), "--set nothing: expected section.key=value");
    let environment = vec![("ROBUST_SERVER_NODE_WORKERS".to_owned(), "x".to_owned())];
    let sources = Sources { environment, ..Sources::default() };
    assert_eq!(
        load_with("", sources).unwrap_err(),
        "environment ROBUST_SERVER_NODE_WORKERS: node.workers: expected a whole number, found \"x\""
    );
}

#[test]
fn what_is_shown_can_be_read_back() {
    let text = "data = \"a\\\"b\"\n[limits]\nmessage_bytes = 4096\n[[stream]]\nname = \"orders\"\n\
                filters = [\"orders/#\"]\npartitions = 4\nmax_age = \"30d\"\nmax_bytes = \"1GiB\"\n";
    let first = load(text).unwrap();
    let shown = config::show(&first, &sections());
    let second = load(&shown).unwrap();
    let values = |loaded: &Loaded| {
        let shown = config::show(loaded, &sections());
        shown.lines().map(|l| l.split("  # ").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(values(&first), values(&second));
    let streams = second.check(&sections(), 2).unwrap().streams;
    assert_eq!(streams.len(), 1);
    assert_eq!(streams[0].retention.max_age_ms, Some(30 * 86_400_000));
}

#[test]
fn the_reference_page_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/config.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        page == config::reference(&sections()),
        "run: cargo run -p server -- config reference > docs/reference/config.md"
    );
}
