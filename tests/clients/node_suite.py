"""The client of node's client: its own tests, its own examples as they are, and a story of ours.

Arguments: the server, and the directory into which npm has installed `node-zookeeper-client`.
"""

import os
import re
import subprocess
import sys
import time
from xml.etree import ElementTree

from ensemble import Ensemble, kill
from expectations import Verdict
from server import Server

KILLS = 6
KILLS_EVERY_S = 1

# Each with its arguments and what it says at last. Those that watch run on until they are stopped.
EXAMPLES = [
    ("mkdirp.js /a/b/c", "Path: /a/b/c is successfully created."),
    ("create.js /a/d", "Node: /a/d is successfully created."),
    ("create.js /a/d", "Failed to create node: /a/d due to: Exception: NODE_EXISTS"),
    ("set.js /a/d hello", 'Set data "hello" on node /a/d, version: 1.'),
    ("get.js /a/d", "Node: /a/d has data: hello, version: 1"),
    ("exists.js /a/d", "Node: /a/d exists and its version is: 1"),
    ("exists.js /none", "Node /none does not exist."),
    ("list.js /a", r'Children of node: /a are: \["b","d"\]|are: \["d","b"\]'),
    ("listSubTreeBFS.js /a", r'are: \["/a","/a/(b|d)","/a/(b|d)","/a/b/c"\]'),
    ("transaction.js", "Transaction completed."),
    ("acl.js /a/b/c", r"ACL is set to: \[(.*\n)*ACL of node: /a/b/c is: \["),
    ("delete.js /a/d", "Node: /a/d is deleted."),
    ("removeRecursive.js /a", "Removed all nodes for: /a"),
]


def own_tests(verdict, directory):
    told = subprocess.run(
        [
            *(f"{directory}/node_modules/.bin/mocha", "--recursive", "--reporter", "xunit"),
            f"{directory}/node_modules/node-zookeeper-client/test",
        ],
        stdout=subprocess.PIPE,
        check=False,
    ).stdout
    for case in ElementTree.fromstring(told).iter("testcase"):
        tags = {child.tag for child in case}
        outcome = "failed" if "failure" in tags else "skipped" if "skipped" in tags else "passed"
        verdict.ended(f"{case.get('classname')} {case.get('name')}", outcome)


def examples(verdict, binary, directory):
    folder = f"{directory}/node_modules/node-zookeeper-client/examples"
    with Server(binary) as server:
        for line, wanted in EXAMPLES:
            name, *rest = line.split()
            command = ["node", f"{folder}/{name}", server.address, *rest]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            said = ""
            while piece := os.read(process.stdout.fileno(), 65536):
                said += piece.decode()
                if re.search(wanted, said):
                    break
            kill(process)
            found = re.search(wanted, said)
            verdict.ended(f"examples/{line}", "passed" if found else "failed")
            if not found:
                print(f"examples/{line} said:\n{said}")


def story(verdict, binary, directory):
    module = f"{directory}/node_modules/node-zookeeper-client"
    script = os.path.join(os.path.dirname(__file__), "node_story.js")
    with Ensemble(binary) as ensemble:
        command = ["node", script, module, ensemble.addresses]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "connected\n"
        with ensemble.killing(KILLS_EVERY_S) as killing:
            while killing.count < KILLS and process.poll() is None:
                time.sleep(0.05)
        said, _ = process.communicate("end\n", timeout=60)
        print(f"node-zookeeper-client, three servers: {killing.count} kills, {said.strip()}")
    verdict.ended("story/three servers with kills", "failed" if process.returncode else "passed")


def main():
    binary, directory = (os.path.abspath(path) for path in sys.argv[1:])
    verdict = Verdict("node-zookeeper-client")
    own_tests(verdict, directory)
    examples(verdict, binary, directory)
    story(verdict, binary, directory)
    sys.exit(0 if verdict.print() else 1)


main()
