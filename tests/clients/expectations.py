"""Compares how a foreign test-suite ended with what docs/clients.md says of it.

The page is the list: each row of a table with the columns `suites`, `test`, `outcome` and `why` tells
of a test that does not pass. All others must pass, and these must end as the row says: a test that
passes against expectation is as red as one that fails. Only where chance decides, `either` will do.
"""

import os
import re
from collections import Counter
from xml.etree import ElementTree

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "clients.md")
OUTCOMES = ("failed", "skipped", "either")


def expected(suite):
    """Outcomes by the names of the tests that the page lists for `suite`."""
    found = {}
    with open(PAGE, encoding="utf-8") as page:
        for line in page:
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if len(cells) != 4 or suite not in cells[0].split(", "):
                continue
            name, outcome = cells[1].strip("`"), cells[2]
            assert outcome in OUTCOMES, f"{PAGE}: {outcome!r} is no outcome"
            assert name not in found, f"{PAGE}: {name} is listed twice"
            found[name] = outcome
    return found


class Verdict:
    """How the tests of `suite` ended."""

    def __init__(self, suite):
        self.suite = suite
        self.outcomes = {}
        self.listed = expected(suite)

    def ended(self, name, outcome):
        """`outcome` is passed, failed or skipped. The last one counts, if a test ran again."""
        self.outcomes[name] = outcome

    def surprises(self):
        """The names of the tests that ended otherwise than expected."""
        wanted = self.listed.get
        outcomes = self.outcomes.items()
        strange = (name for name, outcome in outcomes if outcome != wanted(name, "passed"))
        return sorted(name for name in strange if wanted(name) != "either")

    def print(self, whole=True):
        """Prints the counts and what was not expected; is all as expected?"""
        surprises = self.surprises()
        for name in surprises:
            wanted = self.listed.get(name, "passed")
            print(f"UNEXPECTED {self.suite}: {name}: {self.outcomes[name]}, expected: {wanted}")
        missing = sorted(set(self.listed) - set(self.outcomes)) if whole else []
        for name in missing:
            print(f"UNEXPECTED {self.suite}: {name} is listed, and did not run")
        counts = Counter(self.outcomes.values())
        passed, failed, skipped = (counts[each] for each in ("passed", "failed", "skipped"))
        print(f"{self.suite}: {passed} passed, {failed} failed, {skipped} skipped", flush=True)
        return bool(self.outcomes) and not surprises and not missing


def of_junit(verdict, path):
    """Takes the outcomes from a report in JUnit's format."""
    for case in ElementTree.parse(path).iter("testcase"):
        module = re.sub(r"^.*?tests\.", "", case.get("classname") or "")
        tags = {child.tag for child in case}
        outcome = "failed" if tags & {"failure", "error"} else "passed"
        name = f"{module}.{case.get('name')}".strip(".")
        verdict.ended(name, "skipped" if "skipped" in tags else outcome)
