"""What bench/storage and bench/slow-disk share: bench/compare as a module, sections of the page."""

import importlib.machinery
import importlib.util
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"


def load_compare():
    """bench/compare, whose name has no ending, as a module."""
    loader = importlib.machinery.SourceFileLoader("compare", str(ROOT / "bench" / "compare"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("compare", loader))
    loader.exec_module(module)
    return module


def put_section(title, text):
    """Puts a section at the end of the page; one with its title goes."""
    kept, skipping = [], False
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            skipping = line == f"## {title}"
        if not skipping:
            kept.append(line)
    body = "\n".join(kept).rstrip("\n")
    PAGE.write_text(f"{body}\n\n## {title}\n\n{text.rstrip()}\n")
