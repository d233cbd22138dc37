"""Kills under load, judged (see runner.py): KILL_ROUNDS or --rounds of them, KILL_SEED or --seed."""

import os

import pytest

from runner import Options, kills


def test_nothing_acknowledged_is_lost_moved_reordered_or_repeated_when_the_server_is_killed(request, capsys):
    options = Options(
        rounds=request.config.getoption("--rounds"),
        seed=request.config.getoption("--seed"),
        keep=os.environ.get("KILL_KEEP", ""),
    )
    with capsys.disabled():
        print()
        try:
            verdict = kills(options)
        except AssertionError as error:
            pytest.fail(str(error), pytrace=False)
    counts = verdict.counts
    # A run in which nothing happened proves nothing.
    assert counts["kills"] == options.rounds + 1
    assert counts["acked"] > 100 * options.rounds
    assert counts["redelivered"] > 0 and counts["commits"] > 0 and counts["surely processed acks"] > 0
