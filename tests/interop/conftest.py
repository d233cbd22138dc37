"""Fixtures: a server for each module and number of I/O workers, or one that already runs.

INTEROP_MQTT, INTEROP_KAFKA, INTEROP_NATS and INTEROP_AMQP (host:port) aim the tests of a protocol
at another server; tests of what only ours has are skipped then. See reference.sh.
"""

import os
import uuid

import pytest

from harness.config import PROTOCOLS
from harness.server import External, Server


def external_addresses():
    addresses = {}
    for name in PROTOCOLS:
        given = os.environ.get(f"INTEROP_{name.upper()}")
        if given:
            host, port = given.rsplit(":", 1)
            addresses[name] = (host, int(port))
    return addresses


EXTERNAL = external_addresses()


def pytest_generate_tests(metafunc):
    if "workers" in metafunc.fixturenames:
        counts = [1] if EXTERNAL else [1, 2]
        metafunc.parametrize("workers", counts, ids=[f"workers{n}" for n in counts], scope="module")


@pytest.fixture(scope="module")
def workers_server(workers, tmp_path_factory):
    if EXTERNAL:
        yield External(EXTERNAL)
        return
    server = Server(tmp_path_factory.mktemp("server"), workers)
    yield server
    server.close()


def show_log(request, server):
    report = getattr(request.node, "call_report", None)
    if server.ours and report is not None and report.failed:
        print(f"--- end of the server's log ---\n{server.log()[-6000:]}")


@pytest.fixture
def server(request, workers_server):
    """The server of this module; tests share it and use subjects of their own."""
    needs(request, workers_server)
    yield workers_server
    if workers_server.ours:
        assert workers_server.process.poll() is None, f"the server died\n{workers_server.log()[-6000:]}"
    show_log(request, workers_server)


@pytest.fixture
def own_server(request, workers, tmp_path):
    """A server for one test alone, to be killed and restarted."""
    if EXTERNAL:
        pytest.skip("needs a server of its own")
    server = Server(tmp_path, workers)
    yield server
    server.close()
    show_log(request, server)


@pytest.fixture
def ours(server):
    """The shared server, for tests of what only ours has."""
    if not server.ours:
        pytest.skip("only ours does this")
    return server


@pytest.fixture
def token():
    """Letters that no other test uses, for names and subjects."""
    return "t" + uuid.uuid4().hex[:10]


def needs(request, server):
    protocol = getattr(request.module, "PROTOCOL", None)
    if not server.ours and (protocol is None or server.address(protocol) is None):
        pytest.skip("the other server does not speak this")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.call_report = outcome.get_result()
