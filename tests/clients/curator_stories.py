"""Apache Curator upon the official Java client: its recipes against one server, and against three of
which one after the other is killed."""

import os
import subprocess
import sys

from ensemble import Ensemble
from server import Server

# Longer than any of it takes; what hangs is red.
ENDS_WITHIN_S = 300
KILLS_EVERY_S = 0.5


class Stories:
    """The stories, compiled."""

    def __init__(self, jars, classes):
        os.makedirs(classes, exist_ok=True)
        self.class_path = f"{classes}{os.pathsep}{jars}/*"
        source = os.path.join(os.path.dirname(__file__), "CuratorStories.java")
        command = ["javac", "-proc:none", "-cp", f"{jars}/*", "-Xlint:-deprecation", "-d", classes, source]
        subprocess.run(command, check=True)

    def tell(self, *arguments):
        command = ["java", "-Dorg.apache.logging.log4j.level=OFF"]
        command += ["-Dslf4j.internal.verbosity=ERROR", "-cp", self.class_path]
        command += ["CuratorStories", *arguments]
        return subprocess.run(command, timeout=ENDS_WITHIN_S, check=False).returncode == 0


def main():
    binary, jars, classes = sys.argv[1:]
    stories = Stories(jars, classes)
    with Server(binary) as server:
        all_well = stories.tell(server.address)
    with Ensemble(binary) as ensemble:
        all_well &= stories.tell(ensemble.addresses)
        with ensemble.killing(KILLS_EVERY_S) as killing:
            all_well &= stories.tell(ensemble.addresses, "bear")
    print(f"Curator, three servers: {killing.count} kills {'ok' if all_well else 'FAILED'}", flush=True)
    sys.exit(0 if all_well else 1)


main()
