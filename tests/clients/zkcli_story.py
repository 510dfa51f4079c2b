"""A story told with zkCli, ZooKeeper's own shell, against the real binary."""

import subprocess
import sys

from server import Server

COMMANDS = """\
create /zkcli hello
get -s /zkcli
create -e -s /zkcli/member- x
ls /zkcli
set /zkcli world
get /zkcli
create /zkcli/a 1
delete /zkcli/a
stat /zkcli
getAcl /zkcli
ls -R /zookeeper
quit
"""

EXPECTED = [
    "Created /zkcli",
    "hello",
    "dataVersion = 0",
    "Created /zkcli/member-0000000000",
    "[member-0000000000]",
    "world",
    "Created /zkcli/a",
    "cversion = 3",
    "'world,'anyone",
    ": cdrwa",
    "/zookeeper/quota",
]


def main():
    binary, zkcli = sys.argv[1:]
    with Server(binary) as server:
        told = subprocess.run(
            ["bash", zkcli, "-server", server.address],
            input=COMMANDS,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        ).stdout
    at = 0
    for text in EXPECTED:
        found = told.find(text, at)
        assert found >= 0, f"{text!r} is missing after byte {at} of:\n{told}"
        at = found
    print("zkCli story: ok")


main()
