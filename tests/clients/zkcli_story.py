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
whoami
getEphemerals /zkcli
getAllChildrenNumber /zkcli
addWatch -m PERSISTENT_RECURSIVE /zkcli
create /zkcli/watched 1
set /zkcli/watched 2
removewatches -a /zkcli
set /zkcli/watched 3
removewatches -a /zkcli
delete /zkcli/watched
create -c /zkcli/box
stat /zkcli/box
create -t 60000 /zkcli/brief x
stat /zkcli/brief
create -s -t 60000 /zkcli/brief- x
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
    "ip: 127.0.0.1",
    "/zkcli/member-0000000000",
    # getAllChildrenNumber
    "1",
    "type:NodeCreated path:/zkcli/watched",
    "type:NodeDataChanged path:/zkcli/watched",
    "PersistentWatchRemoved",
    "No such watch",
    "Created /zkcli/box",
    "ephemeralOwner = 0x0",
    "Created /zkcli/brief",
    "ephemeralOwner = 0x0",
    "Created /zkcli/brief-00000000",
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
