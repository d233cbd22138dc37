"""Judges a recorded history: what clients sent, what they were told, what they were shown.

A history is a sequence of events, dicts with the key "e". Nothing here talks to a server, so that
the judge itself is tested on small histories with planted faults (test_check.py).

    producer   p, repeats: it may send a message twice (MQTT QoS 1); the others may not be stored twice
    receiver   r, kind "session" or "queue", takes {producer: "once" or "least"}
    invoke     p, n, log: message n of p is about to be sent; log is null where no log can be read
    acked      p, n, offset (where the protocol tells it)
    refused    p, n, why: it is surely stored nowhere        unknown: the connection was lost
    delivered  r, c(onsumer), conn, id, tag, redelivered
    released   c, conn, tag: given back to the queue
    settled    c, conn, tags: acknowledgements were sent     asked, answered: c, conn; a question on
               the same channel and its answer, so what was settled before it has been processed
    read       log, from, to, at [[offset, id], ..]: a reader went from one position to the other
    reread     log, from, to, count, sum: the same, condensed (see `digest`)
    end        log, to: the reader stands at the end of the log
    commit     g(roup), log, offset: about to be committed   committed: acknowledged
    ask        g, log: the position is about to be asked for, and this is the answer: position
    session    r, present: what CONNACK said                 fatal: c, why; a client gave up
    mark       what: "kill", "restart", "drained"

An id is "producer/number", or "!.." for a payload whose checksum does not hold.
"""

import bisect
import json
import sys
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field

RULES = {
    0: "incomplete",  # the history or a client ends before the end
    1: "lost",  # acknowledged, and not there
    2: "two values",  # an offset that was shown shows something else, or nothing
    3: "order",
    4: "repeated",
    5: "invented",  # nobody sent it, or not there, or it was refused
    6: "unflagged",  # a queue's redelivery that does not say so, or that no crash excuses
    7: "went back",  # a group's position
}
SHOWN_MAX = 50
# How long a processed acknowledgement can be lost: the engine may write it a little later.
AGE = "ms at most from such an ack to its kill"


@dataclass(frozen=True)
class Violation:
    rule: int
    text: str
    about: tuple = ()
    line: int = 0

    def __str__(self):
        return f"rule {self.rule} ({RULES[self.rule]}): {self.text}"


@dataclass
class Verdict:
    violations: list
    counts: Counter

    @property
    def holds(self):
        return not self.violations


def digest(offset, ident):
    """What one record adds to the sum of a `reread`."""
    return zlib.crc32(b"%d:%s" % (offset, ident.encode()))


@dataclass(slots=True)
class Sent:
    """One message, as its producer sees it."""

    log: str | None
    state: str = "open"
    offset: int | None = None
    stored: int = 0


@dataclass
class Log:
    """What was ever read of a log, and how far somebody read without a break from the start."""

    values: dict = field(default_factory=dict)
    offsets: list = field(default_factory=list)
    sums: list = field(default_factory=lambda: [0])
    covered: int = 0

    def add(self, offset, ident):
        self.values[offset] = ident
        if not self.offsets or offset > self.offsets[-1]:
            self.offsets.append(offset)
            self.sums.append(self.sums[-1] + digest(offset, ident))
            return
        bisect.insort(self.offsets, offset)
        self.sums = [0]
        for each in self.offsets:
            self.sums.append(self.sums[-1] + digest(each, self.values[each]))

    def between(self, start, end):
        return bisect.bisect_left(self.offsets, start), bisect.bisect_left(self.offsets, end)


@dataclass
class Receiver:
    kind: str
    takes: dict
    got: Counter = field(default_factory=Counter)
    unflagged: Counter = field(default_factory=Counter)
    last_run: dict = field(default_factory=dict)
    highest: dict = field(default_factory=dict)
    # Messages whose acknowledgement was processed: the run of the server that did, and when.
    settled: dict = field(default_factory=dict)
    sessions: int = 0


@dataclass
class Position:
    """A group's committed offset of one log: the last acknowledged one, and all asked for since."""

    acked: int | None = None
    since: list = field(default_factory=list)
    ever: set = field(default_factory=set)
    asked: list = field(default_factory=list)


class Checker:
    def __init__(self):
        self.violations, self.found, self.counts = [], Counter(), Counter()
        self.repeats, self.sent = {}, defaultdict(dict)
        self.logs, self.receivers, self.positions = defaultdict(Log), {}, defaultdict(Position)
        self.tags, self.acks, self.asked = {}, defaultdict(list), {}
        self.line, self.run, self.drained = 0, 0, False
        self.ended, self.killed = set(), {}

    def feed(self, event):
        self.line += 1
        getattr(self, "on_" + event["e"])(event)

    def wrong(self, rule, text, *about):
        self.found[rule] += 1
        if self.found[rule] <= SHOWN_MAX:
            self.violations.append(Violation(rule, text, about, self.line))

    # Producers.

    def on_producer(self, event):
        self.repeats[event["p"]] = event["repeats"]

    def on_invoke(self, event):
        self.counts["invoked"] += 1
        self.sent[event["p"]][event["n"]] = Sent(event["log"])

    def answer(self, event, state):
        sent = self.sent[event["p"]].get(event["n"])
        ident = f"{event['p']}/{event['n']}"
        if sent is None:
            self.wrong(5, f"an answer to {ident}, which was never sent", ident)
            return None
        self.counts[state] += 1
        sent.state = state
        return sent

    def on_acked(self, event):
        sent = self.answer(event, "acked")
        if sent is not None:
            sent.offset = event.get("offset")

    def on_refused(self, event):
        self.answer(event, "refused")

    def on_unknown(self, event):
        self.answer(event, "unknown")

    def known(self, ident, where):
        """(producer, number, what was sent) of an id, or None when nobody sent it."""
        producer, _, number = ident.partition("/")
        numbers = self.sent.get(producer)
        sent = numbers.get(int(number)) if numbers and number.isdigit() else None
        if sent is None:
            what = "a damaged payload" if ident.startswith("!") else "a message that nobody sent"
            self.wrong(5, f"{what} in {where}: {ident}", ident)
            return None
        return producer, int(number), sent

    # Logs.

    def on_read(self, event):
        name, log, given = event["log"], self.logs[event["log"]], dict(event["at"])
        first, last = log.between(event["from"], event["to"])
        for offset in log.offsets[first:last]:
            if offset not in given:
                self.vanished(name, offset)
        for offset, ident in event["at"]:
            self.shown(name, log, offset, ident)
        if event["from"] <= log.covered:
            log.covered = max(log.covered, event["to"])

    def vanished(self, name, offset):
        ident = self.logs[name].values[offset]
        self.wrong(2, f"{name} showed {ident} at offset {offset}, and now nothing there", ident, f"{name}@{offset}")

    def shown(self, name, log, offset, ident):
        before = log.values.get(offset)
        if before is not None:
            if before != ident:
                text = f"offset {offset} of {name} held {before} and holds {ident}"
                self.wrong(2, text, before, ident, f"{name}@{offset}")
            return
        self.counts["stored"] += 1
        if offset < log.covered:
            text = f"{ident} appeared at offset {offset} of {name}, where a reader had passed ({log.covered})"
            self.wrong(3, text, ident, f"{name}@{offset}")
        log.add(offset, ident)
        found = self.known(ident, f"{name} at offset {offset}")
        if found and found[2].log != name:
            self.wrong(5, f"{ident} was sent to {found[2].log} and is in {name} at {offset}", ident)

    def on_reread(self, event):
        self.counts["reread"] += event["count"]
        log = self.logs[event["log"]]
        first, last = log.between(event["from"], event["to"])
        if (last - first, log.sums[last] - log.sums[first]) != (event["count"], event["sum"]):
            text = (
                f"{event['log']} from {event['from']} to {event['to']} had {last - first} records"
                f" and reads differently now ({event['count']} records)"
            )
            self.wrong(2, text, event["log"])

    def on_end(self, event):
        log = self.logs[event["log"]]
        for offset in log.offsets[log.between(event["to"], event["to"])[0] :]:
            self.vanished(event["log"], offset)
        if self.drained:
            self.ended.add(event["log"])

    # Receivers.

    def on_receiver(self, event):
        self.receivers[event["r"]] = Receiver(event["kind"], event["takes"])

    def on_session(self, event):
        receiver = self.receivers[event["r"]]
        if receiver.sessions and not event["present"]:
            self.wrong(1, f"the session of {event['r']} is gone", event["r"])
        receiver.sessions += 1

    def on_delivered(self, event):
        self.counts["delivered"] += 1
        name, ident = event["r"], event["id"]
        receiver = self.receivers[name]
        found = self.known(ident, f"a delivery to {name}")
        if found is None:
            return
        producer, number, sent = found
        if producer not in receiver.takes:
            self.wrong(5, f"{ident} came to {name}, which is not for it", ident)
        if sent.state == "refused":
            self.wrong(5, f"{ident} was refused and came to {name}", ident)
        if event.get("tag") is not None:
            self.tags[event["c"], event["conn"], event["tag"]] = name, ident
        if receiver.kind == "queue":
            self.from_queue(event, receiver, found)
        else:
            self.from_session(event, receiver, found)
        receiver.got[ident] += 1
        receiver.last_run[ident] = self.run

    def from_session(self, event, receiver, found):
        producer, number, sent = found
        ident, name = event["id"], event["r"]
        if ident not in receiver.got:
            self.in_order(receiver, (producer, sent.log), number, name)
            return
        self.counts["redelivered"] += 1
        if receiver.takes.get(producer) == "once":
            self.wrong(4, f"{ident} came to {name} {receiver.got[ident] + 1} times", ident)
        elif not self.repeats[producer] and receiver.last_run[ident] == self.run:
            self.wrong(4, f"{ident} came to {name} again within one run of the server", ident)

    def from_queue(self, event, receiver, found):
        producer, number, sent = found
        ident, name = event["id"], event["r"]
        if event["redelivered"]:
            self.counts["redelivered"] += 1
        else:
            receiver.unflagged[ident] += 1
            if ident not in receiver.got:
                self.in_order(receiver, (event["c"], producer, sent.log), number, name)
        if self.repeats[producer]:
            return  # There may be two of it: counted at the end.
        settled_in, settled_at = receiver.settled.get(ident, (None, 0))
        if settled_in == self.run:
            text = f"{ident} came from {name} again after its acknowledgement, without a crash between"
            self.wrong(6, text, ident)
        elif ident in receiver.got and not event["redelivered"]:
            self.wrong(6, f"{ident} came from {name} again without the redelivered flag", ident)
        elif settled_in is not None:
            self.counts["redelivered after a processed ack"] += 1
            age = round(1_000 * (self.killed.get(settled_in, 0) - settled_at))
            self.counts[AGE] = max(age, self.counts[AGE])

    def in_order(self, receiver, key, number, name):
        before = receiver.highest.get(key, -1)
        if number < before:
            producer = key[-2]
            text = f"{producer}/{number} came to {name} for the first time after {producer}/{before}"
            self.wrong(3, text, f"{producer}/{number}", f"{producer}/{before}")
        receiver.highest[key] = max(before, number)

    def on_released(self, event):
        self.tags.pop((event["c"], event["conn"], event["tag"]), None)

    def on_settled(self, event):
        for tag in event["tags"]:
            entry = self.tags.pop((event["c"], event["conn"], tag), None)
            if entry is not None:
                self.counts["settled"] += 1
                self.acks[event["c"], event["conn"]].append(entry)

    def on_asked(self, event):
        self.asked[event["c"], event["conn"]] = len(self.acks[event["c"], event["conn"]])

    def on_answered(self, event):
        key = event["c"], event["conn"]
        processed = self.asked.pop(key, 0)
        for name, ident in self.acks[key][:processed]:
            self.counts["surely processed acks"] += 1
            self.receivers[name].settled[ident] = self.run, event.get("t", 0)
        del self.acks[key][:processed]

    # Groups.

    def on_commit(self, event):
        position = self.positions[event["g"], event["log"]]
        position.since.append(event["offset"])
        position.ever.add(event["offset"])

    def on_committed(self, event):
        self.counts["commits"] += 1
        position = self.positions[event["g"], event["log"]]
        position.acked = event["offset"]
        if event["offset"] in position.since:
            at = len(position.since) - 1 - position.since[::-1].index(event["offset"])
            del position.since[: at + 1]

    def on_ask(self, event):
        position = self.positions[event["g"], event["log"]]
        position.asked = [position.acked, *position.since]

    def on_position(self, event):
        position = self.positions[event["g"], event["log"]]
        allowed = {*position.asked, *position.since, position.acked}
        self.counts["positions"] += 1
        where = f"{event['g']} in {event['log']}"
        if event["offset"] is not None and event["offset"] not in position.ever:
            self.wrong(5, f"the position of {where} is {event['offset']}, which nobody committed", event["log"])
        elif event["offset"] not in allowed:
            text = f"the position of {where} is {event['offset']} after {position.asked[0]} was acknowledged"
            self.wrong(7, text, event["g"], event["log"])

    # The rest.

    def on_fatal(self, event):
        self.wrong(0, f"{event['c']} gave up: {event['why']}", event["why"])

    def on_mark(self, event):
        self.counts[event["what"] + "s"] += 1
        if event["what"] == "kill":
            self.killed[self.run] = event.get("t", 0)
        if event["what"] == "restart":
            self.run += 1
        if event["what"] == "drained":
            self.drained = True

    def finish(self):
        self.line = 0
        if not self.drained:
            self.wrong(0, "the history ends before everything was drained")
        for name, log in self.logs.items():
            self.judge_log(name, log)
        # What is still on its way is not lost yet.
        for producer, numbers in self.sent.items() if self.drained else ():
            self.judge_producer(producer, numbers)
        for name, receiver in self.receivers.items() if self.drained else ():
            self.judge_receiver(name, receiver)
        hidden = sum(self.found.values()) - len(self.violations)
        self.counts["violations"] = len(self.violations) + hidden
        return Verdict(self.violations, self.counts)

    def judge_log(self, name, log):
        if self.drained and name not in self.ended:
            self.wrong(0, f"{name} was not read to its end after everything was drained", name)
        highest, seen = {}, set()
        for offset in log.offsets:
            ident = log.values[offset]
            producer, _, number = ident.partition("/")
            sent = self.sent.get(producer, {}).get(int(number)) if number.isdigit() else None
            if sent is None:
                continue  # Invented: said when it was read.
            sent.stored += 1
            where = f"{name} at offset {offset}"
            if sent.state == "refused":
                self.wrong(5, f"{ident} was refused and is in {where}", ident)
            if ident in seen:
                if not self.repeats[producer]:
                    self.wrong(4, f"{ident} is stored again in {where}", ident, f"{name}@{offset}")
                continue
            seen.add(ident)
            before = highest.get(producer, -1)
            if int(number) < before:
                self.wrong(3, f"{ident} is behind {producer}/{before} in {where}", ident, f"{producer}/{before}")
            highest[producer] = max(before, int(number))

    def judge_producer(self, producer, numbers):
        for number, sent in numbers.items():
            if sent.state != "acked" or sent.log is None:
                continue
            ident = f"{producer}/{number}"
            if not sent.stored:
                self.wrong(1, f"{ident} was acknowledged and is not in {sent.log}", ident)
            elif sent.offset is not None and self.logs[sent.log].values.get(sent.offset) != ident:
                there = self.logs[sent.log].values.get(sent.offset)
                text = f"{ident} was acknowledged at offset {sent.offset} of {sent.log}, where {there} is"
                self.wrong(2, text, ident, f"{sent.log}@{sent.offset}")

    def judge_receiver(self, name, receiver):
        for producer in receiver.takes:
            for number, sent in self.sent[producer].items():
                ident = f"{producer}/{number}"
                if sent.state == "acked" and ident not in receiver.got:
                    self.wrong(1, f"{ident} was acknowledged and never came to {name}", ident)
                if receiver.kind != "queue" or not self.repeats[producer] or sent.log is None:
                    continue
                if receiver.unflagged[ident] > max(sent.stored, 1):
                    text = f"{ident} is stored {sent.stored} times and came from {name} more often unflagged"
                    self.wrong(6, text, ident)


def check(events):
    """The verdict on a history."""
    checker = Checker()
    for event in events:
        checker.feed(event)
    return checker.finish()


def mentions(event, about):
    """Whether an event concerns one of the ids, logs ("name@offset"), groups or receivers."""
    for what in about:
        name, _, offset = what.rpartition("@")
        if what == event.get("id") or what == f"{event.get('p')}/{event.get('n')}":
            return True
        if event["e"] == "read":
            here = name == event["log"]
            if any(what == ident or (here and offset == str(at)) for at, ident in event["at"]):
                return True
        if event["e"] in ("commit", "committed", "position", "session", "end") and what in event.values():
            return True
    return event["e"] == "mark" or (event["e"] == "fatal" and event["why"] in about)


def context(events, violation, most=24):
    """The events that a violation is about, with the marks between them, as lines of text."""
    lines, marks = [], []
    for event in events:
        if not mentions(event, violation.about):
            continue
        if event["e"] == "mark":
            marks = [event]
            continue
        if event["e"] == "read":
            about, log = violation.about, event["log"]
            wanted = [[at, ident] for at, ident in event["at"] if ident in about or f"{log}@{at}" in about]
            event = event | {"at": wanted}
        lines += [json.dumps(each) for each in (*marks, event)]
        marks = []
    if len(lines) > most:
        lines = [*lines[: most // 2], f"... {len(lines) - most} more", *lines[-most // 2 :]]
    return lines


def load(path):
    """The events of a file of JSON lines."""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def report(path, verdict, most=2):
    """A text on the first violations of each rule, each with its events."""
    rules = Counter(violation.rule for violation in verdict.violations)
    kinds = ", ".join(f"rule {rule} ({RULES[rule]}) {count} times" for rule, count in sorted(rules.items()))
    out = [f"{verdict.counts['violations']} violations in {path}: {kinds}"]
    for rule in sorted(rules):
        for violation in [each for each in verdict.violations if each.rule == rule][:most]:
            out += [str(violation), *("    " + line for line in context(load(path), violation))]
    return "\n".join(out)


def main():
    path = sys.argv[1]
    verdict = check(load(path))
    print(", ".join(f"{value} {key}" for key, value in verdict.counts.items()))
    if not verdict.holds:
        sys.exit(report(path, verdict))


if __name__ == "__main__":
    main()
