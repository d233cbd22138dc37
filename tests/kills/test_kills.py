"""Kills under load, judged (see runner.py): KILL_ROUNDS or --rounds of them, KILL_SEED or --seed."""

import os

import pytest

from runner import Options, kills


# In most rounds clients catch up before the kill; in a storm most owe and are owed everything.
REGIMES = {"load": {}, "storm": {"quick": 0.9, "rate": 2.0}}


@pytest.mark.parametrize("regime", REGIMES)
def test_nothing_acknowledged_is_lost_moved_reordered_or_repeated_by_kills(request, capsys, regime):
    options = Options(
        **REGIMES[regime],
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
    assert all(counts[what] for what in ("redelivered", "commits", "positions", "reread", "surely processed acks"))
