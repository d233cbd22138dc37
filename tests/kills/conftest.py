"""How many rounds of kills, and with which seed."""

import os
import random

import pytest


def pytest_addoption(parser):
    parser.addoption("--rounds", type=int, default=int(os.environ.get("KILL_ROUNDS", "20")), help="rounds of kills")
    seed = int(os.environ.get("KILL_SEED") or random.randrange(1_000_000))
    parser.addoption("--seed", type=int, default=seed, help="seed of the kills")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.call_report = outcome.get_result()
