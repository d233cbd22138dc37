"""Writes a configuration file for one server of its own: its data folder and its ports.

INTEROP_ENGINE names another storage engine than the default one. As a program it prints the file:

    python3 config.py --data FOLDER --mqtt 1883 --kafka 9092 --nats 4222 --amqp 5672 --http 8088
"""

import argparse
import os

PROTOCOLS = ("mqtt", "kafka", "nats", "amqp")


def render(data, ports=None, workers=1, more=""):
    """The text of a file; a port that is not given is 0: the server picks one and says which."""
    ports = ports or {}
    lines = [f'data = "{data}"', "", "[node]", f"workers = {workers}", 'log = "info"', ""]
    engine = os.environ.get("INTEROP_ENGINE")
    if engine:
        lines += ["[storage]", f'engine = "{engine}"', ""]
    for name in ("http", *PROTOCOLS):
        lines += [f"[{name}]", f'listen = ["127.0.0.1:{ports.get(name, 0)}"]', ""]
    return "\n".join(lines) + more


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--workers", type=int, default=0)
    for name in ("http", *PROTOCOLS):
        parser.add_argument(f"--{name}", type=int, default=0)
    options = parser.parse_args()
    ports = {name: getattr(options, name) for name in ("http", *PROTOCOLS)}
    print(render(options.data, ports, options.workers), end="")


if __name__ == "__main__":
    main()
