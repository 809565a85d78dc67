"""A plugin of pytest that writes each test's outcome as runner.py reads it: `-p outcomes`."""

import os

OUT = open(os.environ["SUITE_OUTCOMES"], "w", buffering=1)
SAID = set()


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        # What fails while it is set up or torn down is an error, whatever its call was.
        outcome = {"passed": "ok", "skipped": "skip"}.get(report.outcome, "fail" if report.when == "call" else "error")
        name = report.nodeid if report.nodeid not in SAID else f"{report.nodeid} ({report.when})"
        SAID.add(report.nodeid)
        print(outcome, name, sep="\t", file=OUT)


def pytest_collectreport(report):
    if report.failed:
        print("error", report.nodeid, sep="\t", file=OUT)
