"""Spark's masters elect one of them by us and keep there what they know: the one dies, the other
takes over with its workers; a server of ours dies, and nobody notices."""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request

from ensemble import Ensemble, kill
from ports import free_ports

# Masters and workers are up, and one has taken over, within this.
WITHIN_S = 120


class Spark:
    """Processes of Spark's standalone cluster."""

    def __init__(self, home, zookeeper, directory):
        self.home, self.directory = home, directory
        self.options = [
            "-Dspark.deploy.recoveryMode=ZOOKEEPER",
            f"-Dspark.deploy.zookeeper.url={zookeeper}",
            "-Dspark.deploy.zookeeper.dir=/spark-story",
        ]
        self.log = open(os.path.join(directory, "log"), "ab")
        self.processes = []

    def start(self, name, *arguments):
        command = ["java", "-Xmx512m", *self.options, "--add-exports=java.base/sun.nio.ch=ALL-UNNAMED"]
        command += ["-cp", f"{self.home}/jars/*", f"org.apache.spark.deploy.{name}", *arguments]
        environment = {**os.environ, "SPARK_HOME": self.home, "SPARK_LOCAL_IP": "127.0.0.1"}
        process = subprocess.Popen(
            command, cwd=self.directory, env=environment, stdout=self.log, stderr=self.log
        )
        self.processes.append(process)
        return process

    def __enter__(self):
        return self

    def __exit__(self, *_):
        kill(*self.processes)
        self.log.close()


class Master:
    """One of Spark's masters."""

    def __init__(self, spark):
        self.port, self.page = free_ports(2)
        arguments = ["--host", "127.0.0.1", "--port", str(self.port), "--webui-port", str(self.page)]
        self.process = spark.start("master.Master", *arguments)

    def state(self):
        """What it tells of itself, if it answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.page}/json/", timeout=5) as page:
                return json.load(page)
        except (OSError, ValueError):
            return {}

    def is_alive(self):
        return self.state().get("status") == "ALIVE"

    def has_worker(self):
        workers = self.state().get("workers", [])
        return self.is_alive() and any(worker["state"] == "ALIVE" for worker in workers)


def until(what, holds):
    end = time.monotonic() + WITHIN_S
    while not (found := holds()):
        assert time.monotonic() < end, f"{what} within {WITHIN_S} s"
        time.sleep(0.2)
    return found


def story(binary, home, directory):
    with Ensemble(binary) as ensemble, Spark(home, ensemble.addresses, directory) as spark:
        masters = [Master(spark), Master(spark)]
        until("a master", lambda: any(master.is_alive() for master in masters))
        both = ",".join(f"127.0.0.1:{master.port}" for master in masters)
        spark.start("worker.Worker", "--host", "127.0.0.1", "--cores", "1", "--memory", "512m", f"spark://{both}")
        until("a worker", lambda: any(master.has_worker() for master in masters))
        ensemble.restart(0)
        assert sum(master.has_worker() for master in masters) == 1, "nobody noticed"
        [active] = [master for master in masters if master.is_alive()]
        [other] = [master for master in masters if master is not active]
        kill(active.process)
        began = time.monotonic()
        until("the other master with the worker", other.has_worker)
        return time.monotonic() - began


def main():
    binary, home = (os.path.abspath(path) for path in sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="althing-spark-") as directory:
        took_s = story(binary, home, directory)
    print(f"Spark: the other master took over with the worker after {took_s:.1f} s ok", flush=True)


main()
