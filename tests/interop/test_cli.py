"""The command line: configuration, its mistakes, start, stop, and what HTTP says."""

import json
import re
import socket
import tomllib

import pytest

from harness.config import PROTOCOLS, render
from harness.server import HOST, Server, run_cli


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def write(folder, text):
    path = folder / "robust.toml"
    path.write_text(text)
    return path


def one_line(done, *words):
    """The command failed and said why in one line that holds these words."""
    assert done.returncode != 0, done.stdout
    # Log lines may stand before it.
    lines = [line for line in done.stderr.splitlines() if line.strip() and " INFO " not in line]
    assert len(lines) == 1, done.stderr
    for word in words:
        assert str(word) in lines[0], lines[0]
    assert "panicked" not in lines[0]
    return lines[0]


def test_it_tells_its_version():
    done = run_cli("--version")
    assert done.returncode == 0
    assert re.fullmatch(r"robust-server \d+\.\d+\.\d+\S*", done.stdout.strip()), done.stdout


def test_an_empty_configuration_is_fine(folder):
    assert run_cli("config", "check", "--config", write(folder, "")).returncode == 0
    done = run_cli("config", "show", cwd=folder)
    assert done.returncode == 0, done.stderr
    shown = tomllib.loads(done.stdout)
    for protocol, port in (("mqtt", 1883), ("kafka", 9092), ("nats", 4222), ("amqp", 5672), ("http", 8088)):
        assert shown[protocol]["listen"] == [f"127.0.0.1:{port}", f"[::1]:{port}"]
    assert shown["limits"]["message_bytes"] == 1 << 20
    # What it shows is a configuration itself.
    assert run_cli("config", "check", "--config", write(folder, done.stdout)).returncode == 0


def test_flags_override_the_environment_and_that_the_file(folder):
    path = write(folder, "[kafka]\ndefault_partitions = 2\n[limits]\nmessage_bytes = 2048\n")

    def shown(*arguments, env=None):
        done = run_cli("config", "show", "--config", path, *arguments, env=env)
        assert done.returncode == 0, done.stderr
        return tomllib.loads(done.stdout)

    assert shown()["kafka"]["default_partitions"] == 2
    env = {"ROBUST_SERVER_KAFKA_DEFAULT_PARTITIONS": "3", "ROBUST_SERVER_LIMITS_MESSAGE_BYTES": "4096"}
    assert shown(env=env)["kafka"]["default_partitions"] == 3
    both = shown("--set", "kafka.default_partitions=4", env=env)
    assert both["kafka"]["default_partitions"] == 4
    assert both["limits"]["message_bytes"] == 4_096


MISTAKES = {
    "unknown key": ('data = "./data"\n[mqtt]\nlissten = []\n', 3, "lissten"),
    "unknown section": ('data = "./data"\n\n[mqqt]\nlisten = []\n', 3, "mqqt"),
    "wrong kind": ('[limits]\nmessage_bytes = "many"\n', 2, "message_bytes"),
    "bad address": ('[nats]\n\nlisten = ["nowhere"]\n', 3, "listen"),
    "bad duration": ('[default_stream]\nmax_age = "7 moons"\n', 2, "max_age"),
    "bad engine": ('[storage]\nengine = "rocks"\n', 2, "engine"),
    "segments too short": ('[storage]\nsegment_bytes = "1KiB"\n', 2, "segment_bytes"),
    "too slow a drain": ('[storage]\n\ndrain_bytes_per_second = 0\n', 3, "drain_bytes_per_second"),
    "too lazy": ('[storage]\nlazy_interval = "1h"\n', 2, "lazy_interval"),
    "stream without a name": ('\n[[stream]]\nfilters = ["a/#"]\n', 2, "name"),
    "bad filter": ('[[stream]]\nname = "s"\nfilters = ["a/#/b"]\n', 3, "filters"),
    "no TOML": ("[mqtt\n", 1, ""),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_one_line_with_file_line_and_key(folder, what):
    text, line, key = MISTAKES[what]
    path = write(folder, text)
    for command in (("config", "check"), ("start",)):
        said = one_line(run_cli(*command, "--config", path), path.name, key)
        assert re.search(rf"\b{line}\b", said.replace(str(path), "")), said


def test_a_mistake_in_the_environment_or_a_flag_names_its_source(folder):
    path = write(folder, "")
    env = {"ROBUST_SERVER_LIMITS_MESSAGE_BYTES": "many"}
    one_line(run_cli("config", "check", "--config", path, env=env), "ROBUST_SERVER_LIMITS_MESSAGE_BYTES")
    one_line(run_cli("config", "show", "--config", path, "--set", "mqtt.lissten=[]"), "lissten")


def test_a_missing_file_is_named(folder):
    one_line(run_cli("start", "--config", folder / "nothing.toml"), "nothing.toml")


def test_a_busy_port_is_one_line(folder):
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        path = write(folder, render(folder / "data", {"nats": port}))
        one_line(run_cli("start", "--config", path), port, "nats")


def test_a_data_folder_that_cannot_be_is_one_line(folder):
    (folder / "file").write_text("in the way")
    path = write(folder, render(folder / "file" / "data"))
    one_line(run_cli("start", "--config", path), folder / "file")


def test_a_second_server_on_the_same_folder_is_one_line(folder):
    server = Server(folder)
    try:
        path = write(folder, render(server.data))
        one_line(run_cli("start", "--config", path), server.data)
        assert server.is_ready(), "the first one goes on"
    finally:
        server.close()


@pytest.mark.parametrize("protocol", [*PROTOCOLS, "http"])
@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
def test_a_listener_for_everybody_is_refused_with_the_key_that_allows_it(folder, protocol, address):
    text = render(folder / "data").replace(f'[{protocol}]\nlisten = ["127.0.0.1:0"]', f'[{protocol}]\nlisten = ["{address}"]')
    assert address in text
    said = one_line(run_cli("start", "--config", write(folder, text)), protocol)
    assert re.search(r"\b\w+(\.\w+)+\b", said), "it names a key"
    assert "allow" in said or "insecure" in said, said


EDGE = """
[storage]
segment_bytes = "8MiB"
spare_segments = 0
pending_bytes = "16MiB"
cache_bytes = "2MiB"
index_cache_bytes = "1MiB"
drain_segments = 2
drain_bytes_per_second = "8MiB"
hot_bytes = "1MiB"
checkpoint_rows = 10000
lazy_sync_interval = "5s"
"""


def test_a_small_device_is_configured_with_small_segments_and_caches(folder):
    server = Server(folder, more=EDGE)
    try:
        done = run_cli("config", "show", "--config", server.config)
        shown = tomllib.loads(done.stdout)["storage"]
        assert (shown["segment_bytes"], shown["cache_bytes"], shown["lazy_sync_interval"]) == (8 << 20, 2 << 20, "5s")
        assert shown["drain_bytes_per_second"] == "8MiB" and shown["spare_segments"] == 0
        assert server.data_bytes() < 9 << 20
        assert server.stop() == 0
    finally:
        server.close()


def test_sigterm_ends_it_cleanly_and_the_next_start_is_quick(folder):
    server = Server(folder)
    try:
        assert server.stop() == 0
        assert "panicked" not in server.log()
        server.start()
        assert server.stop() == 0
    finally:
        server.close()


def test_sigint_ends_it_cleanly(folder):
    import signal

    server = Server(folder)
    try:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(20) == 0
    finally:
        server.close()


def test_http_tells_health_version_and_metrics(folder):
    server = Server(folder)
    try:
        assert server.http("/health/live")[0] == 200
        assert server.http("/health/ready")[0] == 200
        status, text = server.http("/api/v1/version")
        assert status == 200
        assert re.match(r"\d+\.\d+\.\d+", json.loads(text)["version"])
        status, text = server.http("/metrics")
        assert status == 200
        samples = [line for line in text.splitlines() if line and not line.startswith("#")]
        assert samples
        for line in samples:
            assert re.fullmatch(r"robust_[a-z0-9_]+(\{[^}]*\})? [-+0-9.eE]+(NaN|Inf)?", line), line
        names = {re.match(r"\w+", line)[0] for line in samples}
        described = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
        assert {re.sub("_(sum|count|bucket)$", "", name) for name in names} <= described | names
        assert server.http("/nowhere")[0] == 404
    finally:
        server.close()


def test_a_protocol_without_addresses_is_off(folder):
    text = render(folder / "data").replace('[kafka]\nlisten = ["127.0.0.1:0"]', "[kafka]\nlisten = []")
    done = run_cli("config", "check", "--config", write(folder, text))
    assert done.returncode == 0, done.stderr


def test_the_field_map_is_printed_for_people_and_for_programs():
    done = run_cli("field-map", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    for row in rows:
        assert set(PROTOCOLS) | {"field"} <= set(row)
        for protocol in PROTOCOLS:
            assert {"name", "header", "reads", "rule"} <= set(row[protocol])
    text = run_cli("field-map")
    assert text.returncode == 0 and "correlation" in text.stdout.lower()
