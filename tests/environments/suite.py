"""Run make targets one after the other, all of them whatever fails, and count their tests.

    suite.py lint unit functional-3006+functional-3008 lab

Targets joined by + run side by side; the output of each comes whole, when it has ended. A target
without a report of its own (a linter) counts as one test. The last line is the sum.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(target: str, reports: Path, alone: bool) -> tuple[Counter[str], float]:
    """Run a target; what passed, failed and was skipped in it, and the seconds that it took."""
    started = time.monotonic()
    argv = ["make", target, f"REPORTS={reports}"]
    if alone:
        print(f"\n===== make {target}", flush=True)
        status = subprocess.run(argv, cwd=ROOT, check=False).returncode
    else:
        done = subprocess.run(
            argv, cwd=ROOT, check=False, text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        status = done.returncode
        print(f"\n===== make {target}\n{done.stdout}", flush=True)
    counts = read_report(reports / f"{target}.xml")
    if status != 0 and not counts["failed"]:
        counts["failed"] = 1  # it broke before or beside its tests
    if status == 0 and not counts:
        counts["passed"] = 1
    return counts, time.monotonic() - started


def read_report(path: Path) -> Counter[str]:
    """The counts of pytest's report; empty if there is none, or a torn one."""
    counts: Counter[str] = Counter()
    try:
        suites = ET.parse(path).getroot().iter("testsuite")
    except (OSError, ET.ParseError):
        return counts
    for suite in suites:
        of = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
        counts["failed"] += of["failures"] + of["errors"]
        counts["skipped"] += of["skipped"]
        counts["passed"] += of["tests"] - of["failures"] - of["errors"] - of["skipped"]
    return counts


def tell(counts: Counter[str]) -> str:
    """Counts as words."""
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    return f"{counts['passed']} passed, {counts['failed']} failed{skipped}"


def main() -> int:
    """Run all targets of the command line."""
    total: Counter[str] = Counter()
    lines = []
    with tempfile.TemporaryDirectory(prefix="reports-") as folder:
        for group in sys.argv[1:]:
            targets = group.split("+")
            alone = len(targets) == 1
            with ThreadPoolExecutor(len(targets)) as pool:
                runs = {one: pool.submit(run, one, Path(folder), alone) for one in targets}
            for target, running in runs.items():
                counts, seconds = running.result()
                total.update(counts)
                lines.append(f"{target:16} {seconds:5.0f} s  {tell(counts)}")
    print("\n===== summary", *lines, tell(total), sep="\n", flush=True)
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
