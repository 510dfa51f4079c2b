"""kazoo's own test-suite, unmodified, against our server in the place of ZooKeeper.

The package of kazoo carries its tests and a harness that starts ZooKeeper by `java`; our stand-in
is found in its place. Arguments: the server, a directory to work in, and what to run:

  kazoo-1         everything against one server
  kazoo-3         everything against three servers, as kazoo's makers do
  kazoo-3-kills   the same while servers are killed, one at a time, all the time
  bounded         the quick and telling part of kazoo-3, for every change

The tests are not written for servers that are killed: most call once and take a lost connection for
a failure. And a few depend on which of two threads is faster. So a test that fails is tried again: a
wrong answer stays wrong, and being hit by a kill, or by a busy machine, every time is unlikely.
"""

import os
import subprocess
import sys
from importlib.util import find_spec

from expectations import Verdict, of_junit

TRIES = 3
TRIES_WITH_KILLS = 6
KILL_EVERY_S = "5"

# What says most in little time: modules, and what is left out of them because it takes long.
BOUNDED = [
    *("test_client", "test_connection", "test_counter", "test_barrier", "test_cache"),
    *("test_watchers", "test_queue", "test_party", "test_election", "test_security"),
]
BOUNDED_NOT = "read_only or connection_dropped or SSL"


def environment(binary, work, servers, kills):
    here = os.path.dirname(os.path.abspath(__file__))
    path = [f"{here}/stand_ins", os.path.dirname(sys.executable), os.environ["PATH"]]
    # `CI` would make kazoo take our version from ZOOKEEPER_VERSION instead of asking the server.
    made = {key: value for key, value in os.environ.items() if key != "CI"}
    made.update(
        PATH=os.pathsep.join(path),
        PYTHONDONTWRITEBYTECODE="1",
        ALTHING_BINARY=os.path.abspath(binary),
        ZOOKEEPER_VERSION="3.9.5",
        ZOOKEEPER_CLASSPATH="none",
        ZOOKEEPER_CLUSTER_SIZE=str(servers),
    )
    if kills:
        made.update(ALTHING_KILL_EVERY_S=KILL_EVERY_S, ALTHING_KILL_LOCK=f"{work}/kills")
    return made


def pytest(work, variables, tests, *more):
    """Runs `tests` and returns where the report is."""
    report = f"{work}/report.xml"
    if os.path.exists(report):
        os.remove(report)
    with open(f"{work}/log", "ab") as log:
        subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-W", "ignore", "-p", "no:cacheprovider"),
                # Tests have the same names whether all are asked for or one.
                f"--rootdir={os.path.dirname(find_spec('kazoo.tests').origin)}",
                *("-o", "junit_family=xunit1", f"--junitxml={report}", "--timeout", "180"),
                *(*more, "--pyargs", *tests),
            ],
            cwd=work,
            env=variables,
            stdout=log,
            stderr=log,
            check=False,
        )
    return report


def main():
    binary, work, what = sys.argv[1:]
    work = os.path.abspath(f"{work}/{what}")
    os.makedirs(work, exist_ok=True)
    open(f"{work}/kills", "w", encoding="ascii").close()
    kills = what == "kazoo-3-kills"
    variables = environment(binary, work, 1 if what == "kazoo-1" else 3, kills)
    verdict = Verdict("kazoo-3" if what == "bounded" else what)
    if what == "bounded":
        tests = [f"kazoo.tests.{module}" for module in BOUNDED]
        of_junit(verdict, pytest(work, variables, tests, "-k", f"not ({BOUNDED_NOT})"))
    else:
        of_junit(verdict, pytest(work, variables, ["kazoo.tests"]))
    for _ in range((TRIES_WITH_KILLS if kills else TRIES) - 1):
        again = [name for name in verdict.surprises() if verdict.outcomes[name] == "failed"]
        if again:
            print(f"{what}: {len(again)} of {len(verdict.outcomes)} tests are tried again")
            ids = ["kazoo.tests." + "::".join(name.split(".")) for name in again]
            of_junit(verdict, pytest(work, variables, ids))
    if kills:
        print(f"{what}: {os.path.getsize(f'{work}/kills')} kills")
    good = verdict.print(whole=what != "bounded")
    if not good:
        print(f"what the tests said: {work}/log")
    sys.exit(0 if good else 1)


main()
