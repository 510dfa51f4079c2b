"""Stories told with ZooKeeper's C client: its shell and its load generator."""

import itertools
import os
import re
import subprocess
import sys
import threading
import time

from ensemble import Ensemble, kill
from server import Server

BIN = "/usr/lib/zookeeper/bin"
CLI = f"{BIN}/cli_mt"
LOAD_S = 5
CHILDREN = "50"
KILLS = 6
KILLS_EVERY_S = 1

# The shell reads a line a command and answers when the reply comes: each waits for its answer.
TALK = [
    ("create /c", "name = /c\n"),
    ("create /c", "rc = -110"),
    ("set /c hello", "\tversion=1"),
    ("get /c", "value_len = 5\nhello"),
    ("create +e /c/e", "name = /c/e"),
    ("create /c/e/below", "rc = -108"),
    ("create2 +s /c/s-", "name = /c/s-0000000001"),
    ("ls2 /c", r"/c: rc = 0\n(.*\n)*?\ts-0000000001\n(.*\n)*?\tephemeralOwner = 0"),
    ("exists /c/none", "Error -101 for /c/none"),
    ("wexists /c", ""),
    ("set /c world", "CHANGED_EVENT state = CONNECTED_STATE for path /c"),
    ("sync /c", r"\[/c\]: rc = 0"),
    ("create +c /c/box", "name = /c/box"),
    ("config", "/zookeeper/config: rc = 0[^/]*version=100000000"),
    ("delete /c/none", "/c/none: rc = -101"),
    ("delete /c/box", "/c/box: rc = 0"),
    ("myid", "session Id = [0-9a-f]+"),
]


class Program:
    """A program that is talked to; every wait begins after what the last one found."""

    def __init__(self, *command):
        self.process = subprocess.Popen(
            ["stdbuf", "-oL", "-eL", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.text, self.at = "", 0
        self.changed = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while piece := os.read(self.process.stdout.fileno(), 65536):
            with self.changed:
                self.text += piece.decode(errors="replace")
                self.changed.notify()

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def until(self, pattern, timeout_s=30):
        """Waits until it has said `pattern`; returns the match."""
        with self.changed:
            found = lambda: re.compile(pattern).search(self.text, self.at)
            assert self.changed.wait_for(found, timeout_s), f"no {pattern!r} in:\n{self.text}"
            match = found()
            self.at = match.end()
            return match

    def __enter__(self):
        return self

    def __exit__(self, *_):
        kill(self.process)


def shell(binary):
    """Every command of the shell, on one server."""
    with Server(binary) as server, Program(CLI, "-h", server.address) as program:
        program.until("CONNECTED_STATE")
        for command, answer in TALK:
            program.say(command)
            program.until(answer)
        program.say("quit")
        assert program.process.wait(timeout=20) == 0, program.text
    return len(TALK)


def through_kills(binary):
    """A session and its ephemeral outlive every server, one after the other."""
    with Ensemble(binary) as ensemble, Program(CLI, "-h", ensemble.addresses) as program:
        session = program.until("Got a new session id: 0x([0-9a-f]+)").group(1)
        program.say("create +e /held")
        program.until("name = /held")
        with ensemble.killing(KILLS_EVERY_S) as killing:
            for number in itertools.count():
                if killing.count >= KILLS:
                    break
                program.say("get /held")
                answer = program.until(r"/held: rc = 0[^/]*Owner = (\w+)|/held: rc = -4\n")
                assert answer.group(1) in (session, None), program.text
                time.sleep(0.05)
        program.say("set /held done")
        program.until("/held: rc = 0")
    return number, killing.count


def load(binary):
    """The load generator on three servers; it takes no error for an answer."""
    with Ensemble(binary) as ensemble:
        with Program(f"{BIN}/load_gen", ensemble.addresses, "/load", CHILDREN) as program:
            end = time.monotonic() + LOAD_S
            while time.monotonic() < end:
                program.until("Starting the delete cycle")
        assert "ZOO_ERROR" not in program.text, program.text
    return program.text.count("Starting the delete cycle")


def main():
    binary = sys.argv[1]
    print(f"C client, its shell: {shell(binary)} commands ok", flush=True)
    print(f"C client, its load on three servers: {load(binary)} rounds ok", flush=True)
    asked, kills = through_kills(binary)
    print(f"C client, three servers: {asked} questions, {kills} kills ok", flush=True)


main()
