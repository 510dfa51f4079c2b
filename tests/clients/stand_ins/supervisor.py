"""Runs the server in the place of another program, and kills it now and then if it is told to.

A test-suite starts ZooKeeper by `java` or `docker`; the stand-ins of these end here. With the
environment variable ALTHING_KILL_EVERY_S the server is killed (SIGKILL) about that often and
started again on what it wrote; of all servers of a suite only one at a time, by a lock in
ALTHING_KILL_LOCK, which is kept until the killed one serves again.
"""

import fcntl
import os
import random
import signal
import subprocess
import sys
import time

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ensemble import serves  # noqa: E402

# The killed server gets this long until it serves again; a suite waits for no server longer.
SERVES_AGAIN_S = 20


def supervise(command, port, log):
    """Runs `command` until it ends or SIGTERM asks for that; returns its exit code."""
    every_s = float(os.environ.get("ALTHING_KILL_EVERY_S", "0"))
    child = subprocess.Popen(command, stdout=log, stderr=log)
    ends = []

    def end(signum, _frame):
        ends.append(signum)
        child.send_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    dice = random.Random(port)
    while every_s > 0 and not ends:
        try:
            return child.wait(timeout=every_s * dice.uniform(0.5, 1.5))
        except subprocess.TimeoutExpired:
            pass
        with open(os.environ["ALTHING_KILL_LOCK"], "a", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if ends or not serves(port):
                continue
            child.kill()
            child.wait()
            child = subprocess.Popen(command, stdout=log, stderr=log)
            lock.write(".")
            end_s = time.monotonic() + SERVES_AGAIN_S
            while not ends and not serves(port) and time.monotonic() < end_s:
                time.sleep(0.05)
    return child.wait()


def refuse(what):
    """Ends this stand-in: it was asked for something that it does not know."""
    print(f"stand-in: {what}", file=sys.stderr)
    sys.exit(125)
