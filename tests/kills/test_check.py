"""The judge is judged: small histories with one planted fault each, and a twin without it."""

import json
import time

import pytest

from check import AGE, check, context, digest

LOG = "orders/0"


def producer(p="k", repeats=False):
    return {"e": "producer", "p": p, "repeats": repeats}


def session(takes, r="s"):
    return {"e": "receiver", "r": r, "kind": "session", "takes": takes}


def queue(takes, r="q"):
    return {"e": "receiver", "r": r, "kind": "queue", "takes": takes}


def invoke(n, p="k", log=LOG):
    return {"e": "invoke", "p": p, "n": n, "log": log}


def acked(n, p="k", **more):
    return {"e": "acked", "p": p, "n": n, **more}


def refused(n, p="k"):
    return {"e": "refused", "p": p, "n": n, "why": "unroutable"}


def unknown(n, p="k"):
    return {"e": "unknown", "p": p, "n": n, "why": "connection lost"}


def sent(*numbers, p="k", log=LOG):
    """Messages that were sent and acknowledged."""
    return [event for n in numbers for event in (invoke(n, p, log), acked(n, p))]


def read(start, *idents, log=LOG):
    """A reader goes on from `start`; None is an offset that it is not shown."""
    at = [[start + i, ident] for i, ident in enumerate(idents) if ident is not None]
    return {"e": "read", "log": log, "from": start, "to": start + len(idents), "at": at}


def reread(start, *idents, log=LOG):
    pairs = [(start + i, ident) for i, ident in enumerate(idents)]
    total = sum(digest(*pair) for pair in pairs)
    return {"e": "reread", "log": log, "from": start, "to": start + len(pairs), "count": len(pairs), "sum": total}


def end(to, log=LOG):
    return {"e": "end", "log": log, "to": to}


def delivered(ident, r="s", c="c", conn=1, tag=None, redelivered=False):
    return {"e": "delivered", "r": r, "c": c, "conn": conn, "id": ident, "tag": tag, "redelivered": redelivered}


def from_queue(ident, tag, conn=1, redelivered=False, c="c"):
    return delivered(ident, "q", c, conn, tag, redelivered)


def settled(*tags, conn=1):
    return [
        {"e": "settled", "c": "c", "conn": conn, "tags": list(tags)},
        {"e": "asked", "c": "c", "conn": conn},
    ]


def answered(conn=1):
    return {"e": "answered", "c": "c", "conn": conn}


def commit(offset, done=True):
    event = {"e": "commit", "g": "g", "log": LOG, "offset": offset}
    return [event, event | {"e": "committed"}] if done else [event]


def position(offset):
    ask = {"e": "ask", "g": "g", "log": LOG}
    return [ask, ask | {"e": "position", "offset": offset}]


def mark(what):
    return {"e": "mark", "what": what}


CRASH = [mark("kill"), mark("restart")]
DRAINED = mark("drained")


def flat(parts):
    for part in parts:
        if isinstance(part, list):
            yield from part
        else:
            yield part


def whole(*idents):
    """The drained end of a log that holds these."""
    return [DRAINED, read(0, *idents), end(len(idents))]


def of_queue(*events, log=None):
    """A history of a queue without a log that can be read; k/0 and k/1 are acknowledged."""
    return [producer(), queue({"k": "least"}), *sent(0, 1, log=log), *events, DRAINED]


def of_session(*events, takes="least", repeats=False):
    """A history of a session; k/0 and k/1 are acknowledged and stored in no log that is read."""
    return [producer(repeats=repeats), session({"k": takes}), *sent(0, 1, log=None), *events, DRAINED]


# rule, name of the case, the faulty history, its clean twin, a part of what the judge must say
CASES = [
    (
        0, "a history that is not drained",
        [producer(), *sent(0), read(0, "k/0")],
        [producer(), *sent(0), *whole("k/0")],
        "before everything was drained",
    ),
    (
        0, "a log that is not read to its end",
        [producer(), *sent(0), read(0, "k/0"), DRAINED],
        [producer(), *sent(0), read(0, "k/0"), DRAINED, end(1)],
        "orders/0 was not read to its end",
    ),
    (
        0, "a client that gave up",
        [producer(), *sent(0), {"e": "fatal", "c": "k", "why": "fenced"}, *whole("k/0")],
        [producer(), *sent(0), *whole("k/0")],
        "k gave up: fenced",
    ),
    (
        1, "an acknowledged record that is not in its log",
        [producer(), *sent(0, 1, 2), *whole("k/0", "k/2")],
        [producer(), *sent(0, 2), invoke(1), unknown(1), *whole("k/0", "k/2")],
        "k/1 was acknowledged and is not in orders/0",
    ),
    (
        1, "an acknowledged tail that a crash took",
        [producer(), *sent(0, 1), *CRASH, *sent(2), *whole("k/0", "k/2")],
        [producer(), *sent(0, 1), *CRASH, *sent(2), *whole("k/0", "k/1", "k/2")],
        "k/1 was acknowledged and is not in orders/0",
    ),
    (
        1, "an acknowledged message that never comes to a session",
        of_session(delivered("k/1")),
        of_session(delivered("k/0"), delivered("k/1")),
        "k/0 was acknowledged and never came to s",
    ),
    (
        1, "an acknowledged message that never comes from a queue",
        of_queue(from_queue("k/0", 1), CRASH),
        of_queue(from_queue("k/0", 1), CRASH, from_queue("k/1", 1, 2, True)),
        "k/1 was acknowledged and never came to q",
    ),
    (
        1, "a session that is gone",
        of_session({"e": "session", "r": "s", "present": False}, delivered("k/0"), delivered("k/1"), CRASH,
                   {"e": "session", "r": "s", "present": False}),
        of_session({"e": "session", "r": "s", "present": False}, delivered("k/0"), delivered("k/1"), CRASH,
                   {"e": "session", "r": "s", "present": True}),
        "the session of s is gone",
    ),
    (
        2, "an offset that is given again after a crash",
        [producer(), invoke(0), read(0, "k/0"), CRASH, unknown(0), invoke(1), *whole("k/1")],
        [producer(), invoke(0), CRASH, unknown(0), invoke(1), *whole("k/1")],
        "offset 0 of orders/0 held k/0 and holds k/1",
    ),
    (
        2, "an offset that shows another value to a condensed second reading",
        [producer(), *sent(0, 1), read(0, "k/0", "k/1"), reread(0, "k/0", "k/0"), *whole("k/0", "k/1")],
        [producer(), *sent(0, 1), read(0, "k/0", "k/1"), reread(0, "k/0", "k/1"), *whole("k/0", "k/1")],
        "had 2 records and reads differently",
    ),
    (
        2, "a record that a second reader is not shown",
        [producer(), *sent(0), invoke(1), read(0, "k/0", "k/1"), CRASH, read(0, "k/0", None), DRAINED, end(2)],
        [producer(), *sent(0), invoke(1), read(0, "k/0", "k/1"), CRASH, read(0, "k/0", "k/1"), DRAINED, end(2)],
        "showed k/1 at offset 1, and now nothing",
    ),
    (
        2, "a record that was shown and is behind the end now",
        [producer(), *sent(0), invoke(1), read(0, "k/0", "k/1"), CRASH, unknown(1), DRAINED, end(1)],
        [producer(), *sent(0), invoke(1), read(0, "k/0", "k/1"), CRASH, unknown(1), DRAINED, end(2)],
        "showed k/1 at offset 1, and now nothing",
    ),
    (
        2, "an acknowledged offset that holds something else",
        [producer(), invoke(0), acked(0, offset=0), invoke(1), acked(1, offset=1), *whole("k/0", None, "k/1")],
        [producer(), invoke(0), acked(0, offset=0), invoke(1), acked(1, offset=1), *whole("k/0", "k/1")],
        "k/1 was acknowledged at offset 1 of orders/0, where None is",
    ),
    (
        3, "two records of a producer in the wrong order in a log",
        [producer(), *sent(0, 1, 2), *whole("k/0", "k/2", "k/1")],
        [producer(), *sent(0, 1, 2), *whole("k/0", "k/1", "k/2")],
        "k/1 is behind k/2",
    ),
    (
        3, "a producer that repeats, overtaking itself",
        [producer(repeats=True), *sent(0, 1, 2), *whole("k/0", "k/2", "k/0", "k/1", "k/2")],
        [producer(repeats=True), *sent(0, 1, 2), *whole("k/0", "k/1", "k/0", "k/1", "k/2")],
        "k/1 is behind k/2",
    ),
    (
        3, "a record that appears behind a reader",
        [producer(), *sent(0, 1, 2), read(0, "k/0", None, "k/2"), *whole("k/0", "k/1", "k/2")],
        [producer(), *sent(0, 1, 2), read(0, "k/0"), *whole("k/0", "k/1", "k/2")],
        "where a reader had passed",
    ),
    (
        3, "a session that gets a later message first",
        of_session(delivered("k/1"), delivered("k/0")),
        of_session(delivered("k/0"), delivered("k/1"), CRASH, delivered("k/0"), delivered("k/1")),
        "k/0 came to s for the first time after k/1",
    ),
    (
        3, "a queue that hands over a later message first",
        of_queue(from_queue("k/1", 1), from_queue("k/0", 2)),
        of_queue(from_queue("k/1", 1, c="a"), from_queue("k/0", 1, c="b")),
        "k/0 came to q for the first time after k/1",
    ),
    (
        3, "a queue that hands over a later message first, not excused by a flag on the later one alone",
        of_queue(from_queue("k/1", 1), from_queue("k/1", 2, redelivered=True), from_queue("k/0", 3)),
        of_queue(from_queue("k/1", 1, redelivered=True), from_queue("k/0", 2, redelivered=True)),
        "k/0 came to q for the first time after k/1",
    ),
    (
        4, "an exactly-once record that is stored twice",
        [producer(), *sent(0, 1), *whole("k/0", "k/1", "k/0")],
        [producer(repeats=True), *sent(0, 1), *whole("k/0", "k/1", "k/0")],
        "k/0 is stored again in orders/0 at offset 2",
    ),
    (
        4, "a record of unknown fate that is stored twice",
        [producer(), invoke(0), unknown(0), CRASH, *sent(1), *whole("k/0", "k/0", "k/1")],
        [producer(), invoke(0), unknown(0), CRASH, *sent(1), *whole("k/0", "k/1")],
        "k/0 is stored again",
    ),
    (
        4, "an exactly-once message that comes twice to a session after a crash",
        of_session(delivered("k/0"), delivered("k/1"), CRASH, delivered("k/1", conn=2), takes="once"),
        of_session(delivered("k/0"), delivered("k/1"), CRASH, delivered("k/1", conn=2), takes="least"),
        "k/1 came to s 2 times",
    ),
    (
        4, "an exactly-once message that comes twice although it was never acknowledged",
        [producer(), session({"k": "once"}), invoke(0, log=None), delivered("k/0"), CRASH, delivered("k/0"), DRAINED],
        [producer(), session({"k": "once"}), invoke(0, log=None), delivered("k/0"), CRASH, DRAINED],
        "k/0 came to s 2 times",
    ),
    (
        4, "a message that comes twice to a session without a crash",
        of_session(delivered("k/0"), delivered("k/0"), delivered("k/1")),
        of_session(delivered("k/0"), CRASH, delivered("k/0"), delivered("k/1")),
        "k/0 came to s again within one run",
    ),
    (
        5, "a record that nobody sent",
        [producer(), *sent(0), *whole("k/0", "k/7")],
        [producer(), *sent(0), invoke(7), *whole("k/0", "k/7")],
        "a message that nobody sent in orders/0 at offset 1: k/7",
    ),
    (
        5, "a record that is shown before it is sent",
        [producer(), *sent(0), read(0, "k/0", "k/1"), *sent(1), DRAINED, end(2)],
        [producer(), *sent(0, 1), read(0, "k/0", "k/1"), DRAINED, end(2)],
        "a message that nobody sent in orders/0 at offset 1: k/1",
    ),
    (
        5, "a damaged payload",
        of_session(delivered("k/0"), delivered("!6b2f31"), delivered("k/1")),
        of_session(delivered("k/0"), delivered("k/1")),
        "a damaged payload in a delivery to s",
    ),
    (
        5, "a refused message that is delivered",
        of_queue(from_queue("k/0", 1), from_queue("k/1", 2), invoke(2, log=None), refused(2), from_queue("k/2", 3)),
        of_queue(from_queue("k/0", 1), from_queue("k/1", 2), invoke(2, log=None), refused(2)),
        "k/2 was refused and came to q",
    ),
    (
        5, "a refused record that is stored",
        [producer(), *sent(0), invoke(1), refused(1), *whole("k/0", "k/1")],
        [producer(), *sent(0), invoke(1), refused(1), *whole("k/0")],
        "k/1 was refused and is in orders/0",
    ),
    (
        5, "a message in a log that it was not sent to",
        [producer(), *sent(0), *sent(1, log="other/0"), read(0, "k/1", log="other/0"), DRAINED, end(1, "other/0"),
         read(0, "k/0", "k/1"), end(2)],
        [producer(), *sent(0), *sent(1, log="other/0"), read(0, "k/1", log="other/0"), DRAINED, end(1, "other/0"),
         read(0, "k/0"), end(1)],
        "k/1 was sent to other/0 and is in orders/0",
    ),
    (
        5, "a message for somebody else",
        of_session(delivered("k/0"), delivered("k/1"), producer("x"), *sent(0, p="x", log=None), delivered("x/0")),
        of_session(delivered("k/0"), delivered("k/1"), producer("x"), *sent(0, p="x", log=None)),
        "x/0 came to s, which is not for it",
    ),
    (
        5, "a position that nobody committed",
        [*commit(5), *position(6), DRAINED],
        [*commit(5), *commit(6, done=False), *position(6), DRAINED],
        "is 6, which nobody committed",
    ),
    (
        6, "a second delivery that does not say so",
        of_queue(from_queue("k/0", 1), from_queue("k/1", 2), CRASH, from_queue("k/1", 1, 2)),
        of_queue(from_queue("k/0", 1), from_queue("k/1", 2), CRASH, from_queue("k/1", 1, 2, True)),
        "k/1 came from q again without the redelivered flag",
    ),
    (
        6, "a processed acknowledgement that a crash undid without saying so",
        of_queue(from_queue("k/0", 1), from_queue("k/1", 2), settled(1), answered(), CRASH, from_queue("k/0", 1, 2)),
        of_queue(from_queue("k/0", 1), from_queue("k/1", 2), settled(1), answered(), CRASH,
                 from_queue("k/0", 1, 2, True)),
        "k/0 came from q again without the redelivered flag",
    ),
    (
        6, "a processed acknowledgement that is undone without a crash",
        of_queue(from_queue("k/0", 1), from_queue("k/1", 2), settled(2), answered(),
                 from_queue("k/1", 3, redelivered=True)),
        of_queue(from_queue("k/0", 1), from_queue("k/1", 2), settled(2), from_queue("k/1", 3, redelivered=True)),
        "k/1 came from q again after its acknowledgement, without a crash between",
    ),
    (
        6, "a message stored once that a queue hands over twice as new",
        [producer(repeats=True), queue({"k": "least"}), *sent(0), from_queue("k/0", 1), from_queue("k/0", 2),
         *whole("k/0")],
        [producer(repeats=True), queue({"k": "least"}), *sent(0), from_queue("k/0", 1), from_queue("k/0", 2),
         *whole("k/0", "k/0")],
        "k/0 is stored 1 times and came from q more often unflagged",
    ),
    (
        7, "a position behind an acknowledged commit",
        [*commit(5), *commit(9), CRASH, *position(5), DRAINED],
        [*commit(5), *commit(9), CRASH, *position(9), DRAINED],
        "the position of g in orders/0 is 5 after 9 was acknowledged",
    ),
    (
        7, "a position that is gone",
        [*commit(5), CRASH, *position(None), DRAINED],
        [*commit(5, done=False), CRASH, *position(None), DRAINED],
        "is None after 5 was acknowledged",
    ),
    (
        7, "a position behind an acknowledged commit that itself went back",
        [*commit(9), *commit(5), *position(9), DRAINED],
        [*commit(9), *commit(5), *position(5), DRAINED],
        "is 9 after 5 was acknowledged",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[f"rule {case[0]}, {case[1]}" for case in CASES])
def test_the_fault_is_found_and_named_and_its_clean_twin_passes(case):
    rule, _, faulty, clean, says = case
    verdict = check(flat(clean))
    assert verdict.holds, verdict.violations
    found = check(flat(faulty)).violations
    assert [violation.rule for violation in found] == [rule], found
    assert says in str(found[0])


def test_every_rule_has_at_least_two_faults():
    rules = [case[0] for case in CASES]
    assert all(rules.count(rule) >= 2 for rule in range(8)), rules


def test_redeliveries_after_processed_acknowledgements_are_counted():
    crash = [mark("kill") | {"t": 7.5}, mark("restart")]
    history = of_queue(
        from_queue("k/0", 1), from_queue("k/1", 2), settled(1), answered() | {"t": 7.2}, crash,
        from_queue("k/0", 1, 2, True),
    )
    counts = check(flat(history)).counts
    assert (counts["redelivered"], counts["redelivered after a processed ack"], counts[AGE]) == (1, 1, 300)
    assert (counts["kills"], counts["invoked"], counts["acked"]) == (1, 2, 2)


def test_a_commit_on_its_way_while_the_position_is_asked_for_may_show_or_not():
    ask, answer = position(9)
    for shown in (5, 9):
        answer = answer | {"offset": shown}
        events = [*commit(5), *commit(9, done=False), ask, commit(9)[1], answer, DRAINED]
        assert check(flat(events)).holds
    events = [*commit(5), ask, *commit(9), answer | {"offset": 5}, DRAINED]
    assert check(flat(events)).holds, "the answer may have been made before"


def test_the_context_of_a_violation_is_its_events_and_the_marks_between():
    history = list(flat([producer(), invoke(0), read(0, "k/0"), CRASH, unknown(0), *sent(1), *whole("k/1")]))
    violation = check(history).violations[0]
    lines = [json.loads(line) for line in context(history, violation)]
    assert [line["e"] for line in lines] == ["invoke", "read", "mark", "unknown", "invoke", "acked", "mark", "read"]
    assert lines[1]["at"] == [[0, "k/0"]]


def test_a_long_history_is_judged_quickly():
    count = 50_000
    history = [producer(), session({"k": "once"})]
    for n in range(count):
        history += [invoke(n), acked(n, offset=n), delivered(f"k/{n}")]
    values = [f"k/{n}" for n in range(count)]
    history += [read(0, *values), *([reread(0, *values)] * 3), DRAINED, end(count)]
    begin = time.process_time()
    assert check(history).holds
    assert time.process_time() - begin < 5
