"""Three servers of Apache ZooKeeper on this machine, from the jars that `tests/java/jars` fetches."""

import os
import subprocess
import tempfile
import time

from ensemble import SERVES_WITHIN_S, kill, serves
from ports import free_ports

# A session's least time-out is twice this.
TICK_MS = 500


class Apache:
    """Three processes of ZooKeeper's own server."""

    def __init__(self, jars, settings=()):
        """`settings` are lines of every server's configuration."""
        self.jars = jars
        self.directory = tempfile.TemporaryDirectory(prefix="zookeeper-")
        ports = free_ports(9)
        self.ports, peers, elections = ports[:3], ports[3:6], ports[6:]
        self.addresses = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        for index, port in enumerate(self.ports):
            os.mkdir(self.path(f"data-{index}"))
            with open(self.path(f"data-{index}/myid"), "w", encoding="ascii") as file:
                file.write(f"{index + 1}\n")
            lines = [
                f"tickTime={TICK_MS}",
                "initLimit=20",
                "syncLimit=10",
                f"dataDir={self.path(f'data-{index}')}",
                f"clientPort={port}",
                "clientPortAddress=127.0.0.1",
                "admin.enableServer=false",
                "4lw.commands.whitelist=*",
                *settings,
                *(
                    f"server.{each + 1}=127.0.0.1:{peer}:{election}"
                    for each, (peer, election) in enumerate(zip(peers, elections))
                ),
            ]
            with open(self.path(f"{index}.cfg"), "w", encoding="ascii") as file:
                file.write("\n".join(lines) + "\n")
        self.log = open(self.path("log"), "ab")
        self.processes = [self.start(index) for index in range(3)]
        self.wait_for_all()

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def start(self, index):
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        command = ["java", "-Xmx256m", "-cp", f"{self.jars}/*", main, self.path(f"{index}.cfg")]
        return subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def wait_for_all(self):
        end = time.monotonic() + 2 * SERVES_WITHIN_S
        while not all(serves(port) for port in self.ports):
            assert time.monotonic() < end, "ZooKeeper never serves"
            time.sleep(0.1)

    def restart(self, index):
        """Kills one and starts it again; returns when all three serve."""
        kill(self.processes[index])
        self.processes[index] = self.start(index)
        self.wait_for_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        kill(*self.processes)
        self.log.close()
        self.directory.cleanup()
