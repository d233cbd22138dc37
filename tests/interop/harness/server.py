"""A robust-server of its own for a test: temporary data folder, ports that it picks itself."""

import os
import re
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from .config import PROTOCOLS, render
from .waiting import wait_until

HOST = "127.0.0.1"
LISTENING = re.compile(r"listening (\w+) \S*?:(\d+)\s*$")


def binary():
    """The server that is tested: ROBUST_SERVER_BIN, or the release build."""
    given = os.environ.get("ROBUST_SERVER_BIN")
    if given:
        return Path(given)
    target = os.environ.get("CARGO_TARGET_DIR") or Path.home() / ".cache/robustmq/target"
    return Path(target) / "release/robust-server"


def plain_environment():
    """The environment without what would configure a server."""
    return {key: value for key, value in os.environ.items() if not key.startswith("ROBUST_SERVER_")}


def run_cli(*arguments, cwd=None, env=None, timeout=20):
    """Runs robust-server with arguments until it ends."""
    return subprocess.run(
        [binary(), *arguments],
        cwd=cwd,
        env=plain_environment() | (env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


class External:
    """A server that somebody else started, for example the one that sets the standard."""

    ours = False

    def __init__(self, addresses):
        self.addresses = addresses

    def address(self, protocol):
        return self.addresses.get(protocol)


class Server:
    """A server process of this test."""

    ours = True

    def __init__(self, folder, workers=1, more=""):
        self.folder = Path(folder)
        self.data = self.folder / "data"
        self.config = self.folder / "robust.toml"
        self.log_path = self.folder / "server.log"
        self.workers = workers
        self.more = more
        self.ports = {}
        self.process = None
        self.start()

    def start(self):
        """Starts it; a second start uses the ports and the data of the first one."""
        self.config.write_text(render(self.data, self.ports, self.workers, self.more))
        begin = self.log_path.stat().st_size if self.log_path.exists() else 0
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [binary(), "start", "--config", self.config],
                cwd=self.folder,
                env=plain_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: self._listens(begin), "all listeners are up", 30)
        wait_until(self.is_ready, "/health/ready answers", 30)

    def _listens(self, begin):
        assert self.process.poll() is None, f"the server ended with {self.process.returncode}\n{self.log()}"
        text = self.log()[begin:]
        for line in text.splitlines():
            found = LISTENING.search(re.sub(r"\x1b\[[0-9;]*m", "", line))
            if found:
                self.ports[found[1]] = int(found[2])
        return all(name in self.ports for name in ("http", *PROTOCOLS))

    def http(self, path):
        """Status and body of a GET."""
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.ports['http']}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def is_ready(self):
        assert self.process.poll() is None, f"the server ended with {self.process.returncode}\n{self.log()}"
        try:
            return self.http("/health/ready")[0] == 200
        except OSError:
            return False

    def address(self, protocol):
        return HOST, self.ports[protocol]

    def log(self):
        return self.log_path.read_bytes().decode(errors="replace") if self.log_path.exists() else ""

    def kill(self):
        """kill -9: nothing is flushed, nobody is told."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def kill_and_restart(self):
        self.kill()
        self.start()

    def stop(self):
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def rss_bytes(self):
        """Resident memory of the process."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def data_bytes(self):
        """Bytes of the data folder in blocks of 4 KiB that hold anything but zeros.

        Neither a hole nor space that is reserved or filled with zeros ahead is a stored copy.
        """
        empty, taken = bytes(4096), 0
        for path in self.data.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    blocks = iter(lambda file=file: file.read(len(empty)), b"")
                    taken += sum(len(block) for block in blocks if block != empty[: len(block)])
        return taken

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        shutil.rmtree(self.data, ignore_errors=True)
