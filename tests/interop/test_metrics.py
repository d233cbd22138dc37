"""The metrics page and its reference: every name is documented, with what the page says of it.

INTEROP_WRITE=1 writes docs/reference/metrics.md from the page of the server under test.
"""

import os
import re
from pathlib import Path

REFERENCE = Path(__file__).resolve().parents[2] / "docs/reference/metrics.md"

INTRODUCTION = """\
# Metrics

<!-- Written by tests/interop/test_metrics.py with INTEROP_WRITE=1; the test compares. -->

`GET /metrics` on the HTTP address answers in Prometheus' text format. Names that begin with
`robust_storage_` and are not of every engine come from the one that is configured; these are the
journal's.

| name | kind | labels | meaning |
|---|---|---|---|
"""

HELP = re.compile(r"^# HELP (\S+) (.*)$")
TYPE = re.compile(r"^# TYPE (\S+) (\S+)$")
SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'([a-zA-Z_]\w*)="(?:[^"\\]|\\.)*"')


def families(page):
    """{name: (kind, labels, help)} of a page, each line of which must be well-formed."""
    found = {}
    for line in page.splitlines():
        if helped := HELP.match(line):
            assert helped[1] not in found, f"{helped[1]} twice"
            found[helped[1]] = [None, [], helped[2]]
        elif typed := TYPE.match(line):
            assert typed[2] in ("counter", "gauge", "histogram"), line
            assert (typed[2] == "counter") == typed[1].endswith("_total"), line
            found[typed[1]][0] = typed[2]
        else:
            sample = SAMPLE.match(line)
            assert sample, line
            name = sample[1]
            if name not in found:
                name = re.sub("_(bucket|sum|count)$", "", name)
                assert found.get(name, [""])[0] == "histogram", line
            float(sample[3])
            labels = [label for label in LABEL.findall(sample[2] or "") if label != "le"]
            found[name][1] = labels or found[name][1]
    return found


def number(page, name):
    """The one sample of a name without labels."""
    return float(re.search(rf"^{name} (\S+)$", page, re.MULTILINE)[1])


def table(page):
    rows = ""
    for name, (kind, labels, about) in sorted(families(page).items()):
        rows += f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {about} |\n"
    return rows


def test_every_name_of_the_page_is_in_the_reference(ours):
    status, page = ours.http("/metrics")
    assert status == 200
    text = INTRODUCTION + table(page)
    if os.environ.get("INTEROP_WRITE"):
        REFERENCE.write_text(text)
    # A label shows only once there is a sample.
    bare = lambda text: re.sub(r"\| (counter|gauge|histogram) \| [^|]*\|", r"| \1 | |", text)
    assert bare(REFERENCE.read_text()) == bare(text), "run with INTEROP_WRITE=1"


def test_the_distributions_of_commits_count_every_group(ours):
    page = ours.http("/metrics")[1]
    for name in ("commit_seconds", "commit_bytes", "commit_writes", "sync_seconds"):
        name = f"robust_storage_{name}"
        counts = [int(count) for count in re.findall(rf'^{name}_bucket{{le="[^"]*"}} (\d+)$', page, re.MULTILINE)]
        assert len(counts) > 5 and counts == sorted(counts), counts
        assert counts[-1] == number(page, f"{name}_count") > 0
        assert number(page, f"{name}_sum") > 0
    groups = number(page, "robust_storage_commit_bytes_count")
    assert groups <= number(page, "robust_storage_commits_total")
