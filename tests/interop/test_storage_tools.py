"""robust-server storage: a stopped data folder is inspected, verified and dumped, and never changed."""

import hashlib
import json
import random

import pytest

from harness.filled import Filled, is_another_engine
from harness.server import Server, run_cli


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    if is_another_engine():
        pytest.skip("only the journal has files")
    filled = Filled(tmp_path_factory.mktemp("tools"))
    yield filled
    filled.close()


@pytest.fixture
def unchanged(filled):
    """The folder is byte for byte as it was, and so are the times of its files."""

    def state():
        files = sorted(filled.data.iterdir())
        return [(path.name, path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]

    before = state()
    yield
    assert state() == before


def storage(filled, verb, *arguments, status=0):
    done = run_cli("storage", verb, "--data", filled.data, *map(str, arguments), timeout=60)
    assert done.returncode == status, (done.returncode, done.stdout[-2000:], done.stderr)
    assert "panicked" not in done.stderr
    return done


def objects(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def refused(done, *words):
    assert done.returncode == 2, done
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and not done.stdout, done
    for word in words:
        assert str(word) in lines[0], lines[0]


def test_inspect_says_what_is_there(filled, unchanged):
    found = json.loads(storage(filled, "inspect", "-o", "json").stdout)
    assert found["segments"] and found["damages"] == []
    assert found["durable_lsn"] <= found["last_lsn"]
    assert found["manifest"]["checkpoint_lsn"] > 0
    names = {path.name for path in filled.data.iterdir()}
    kinds = {}
    for unit in found["resting_files"]:
        assert names >= set(unit["files"])
        assert unit["bytes"] == sum((filled.data / name).stat().st_size for name in unit["files"])
        assert unit["dead_records"] <= unit["records"]
        kinds[unit["kind"]] = kinds.get(unit["kind"], 0) + unit["records"]
    assert kinds["segment file"] > 1_000
    logs = {log.get("stream"): log for log in found["logs"]}
    assert (logs["busy"]["first"], logs["busy"]["end"]) == (0, len(filled.busy))
    assert logs["sensors"]["records"] == len(filled.sensors)
    text = storage(filled, "inspect").stdout
    for word in ("proven up to group", "busy/0", "sensors/0", "segment file", "pool:"):
        assert word in text, text


def test_verify_finds_nothing_in_a_good_folder(filled, unchanged):
    found = json.loads(storage(filled, "verify", "-o", "json").stdout)
    assert found["good"] and found["damages"] == [] and found["resting_files"] > 0
    assert ": good;" in storage(filled, "verify").stdout


def test_verify_names_the_file_of_a_flipped_bit(filled):
    dice = random.Random(3)
    told = set()
    oldest = json.loads(storage(filled, "inspect", "-o", "json").stdout)["segments"][0]["file"]
    for kind in ("CURRENT", "*.manifest", "*.state", "*.log", "*.idx", oldest):
        path = sorted(filled.data.glob(kind))[0]
        good = path.read_bytes()
        # The beginnings of a manifest and of a segment are in use, whatever is stored.
        place = dice.randrange(min(len(good), 4_000))
        bad = bytearray(good)
        bad[place] ^= 1 << dice.randrange(8)
        try:
            path.write_bytes(bad)
            done = storage(filled, "verify", status=1)
            first = done.stdout.splitlines()[0]
            assert first.startswith(f"{path.name} at "), first
            assert "backup" in first or "good" in first, first
            assert "DAMAGED" in done.stdout
            damages = json.loads(storage(filled, "verify", "-o", "json", status=1).stdout)["damages"]
            assert all({"file", "position", "reason", "advice"} <= set(damage) for damage in damages)
            told.add(damages[0]["file"])
        finally:
            path.write_bytes(good)
    assert len(told) == 6
    storage(filled, "verify")


def test_a_missing_file_is_named(filled):
    path = sorted(filled.data.glob("*.log"))[0]
    aside = filled.data.parent / "aside"
    path.rename(aside)
    try:
        done = storage(filled, "verify", status=1)
        assert path.name in done.stdout and "missing" in done.stdout
        assert path.name not in storage(filled, "inspect").stderr
    finally:
        aside.rename(path)


def test_dump_prints_the_records_of_a_stream_in_order(filled, unchanged):
    records = objects(storage(filled, "dump", "--log", "busy", "--values", "-o", "json"))
    assert [record["offset"] for record in records] == sorted(filled.busy)
    for record in records:
        assert (record["stream"], record["partition"], record["subject"]) == ("busy", 0, "busy")
        assert (record["key"], record["value"]) == filled.busy[record["offset"]]
        assert record["size"] == len(record["value"]) and record["timestamp_ms"] > 1_600_000_000_000
    records = objects(storage(filled, "dump", "--log", "sensors/0", "--values", "-o", "json"))
    assert [(record["subject"], record["value"]) for record in records] == filled.sensors


def test_dump_takes_a_part(filled, unchanged):
    records = objects(storage(filled, "dump", "--log", "busy", "--from", 1_234, "--limit", 3, "-o", "json"))
    assert [record["offset"] for record in records] == [1_234, 1_235, 1_236]
    assert "value" not in records[0]
    number = records[0]["log"]
    line = storage(filled, "dump", "--log", number, "--from", 1_234, "--limit", 1).stdout
    fields = line.split()
    assert fields[:3] == [str(number), "busy/0", "1234"] and fields[4] == "busy", line
    assert fields[5:] == ["k234", str(len(filled.busy[1_234][1]))]


def test_dump_prints_rows_of_the_state(filled, unchanged):
    rows = objects(storage(filled, "dump", "--table", "catalogue", "-o", "json"))
    assert any("busy" in json.dumps(row) for row in rows)
    assert all(row["table"] == "catalogue" for row in rows)
    storage(filled, "dump", "--table", "cursors")
    storage(filled, "dump", "--table", "references")
    refused(storage(filled, "dump", "--table", "nothing", status=2), "nothing", "catalogue")
    refused(storage(filled, "dump", "--log", "nothing", status=2), "nothing", "inspect")


def test_a_folder_that_is_none_is_told_in_one_line_and_not_made(tmp_path):
    missing = tmp_path / "missing"
    for verb in ("inspect", "verify", "dump"):
        refused(run_cli("storage", verb, "--data", missing), missing, "no such folder")
        assert not missing.exists()
        refused(run_cli("storage", verb, "--data", tmp_path), tmp_path, "no journal")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("no folder")
    refused(run_cli("storage", "verify", "--data", tmp_path / "file"), tmp_path / "file")


def test_a_running_server_is_left_alone(tmp_path):
    server = Server(tmp_path)
    try:
        for verb in ("inspect", "verify", "dump"):
            refused(run_cli("storage", verb, "--config", server.config), server.data, "stop the server")
        assert server.is_ready()
    finally:
        server.close()
