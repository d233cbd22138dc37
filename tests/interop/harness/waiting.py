"""Waiting for conditions. Nothing here hides a failure: what does not come in time, fails."""

import time

PATIENCE = 10.0


def wait_until(condition, what, seconds=PATIENCE):
    """The first true value of `condition()`; fails when there is none within `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.01)


def let_time_pass(seconds, reason):
    """Lets an interval that the test is about go by: an expiry, a keep-alive."""
    assert reason
    time.sleep(seconds)
