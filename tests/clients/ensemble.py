"""Three servers on this machine, of which a story kills one after the other."""

import itertools
import os
import socket
import subprocess
import tempfile
import threading
import time

from ports import free_ports

# All are up and have a leader after this long, or never.
SERVES_WITHIN_S = 30


class Ensemble:
    """Three processes of `althing serve`."""

    def __init__(self, binary, settings=()):
        """`settings` are lines of every server's configuration."""
        self.binary = binary
        self.directory = tempfile.TemporaryDirectory(prefix="althing-")
        ports = free_ports(6)
        clients, peers = ports[:3], ports[3:]
        self.ports = clients
        self.addresses = ",".join(f"127.0.0.1:{port}" for port in clients)
        for index, port in enumerate(clients):
            lines = [
                f"id = {index + 1}",
                f'data_dir = "{self.path(f"data-{index}")}"',
                f'listen = "127.0.0.1:{port}"',
                *settings,
                "[servers]",
                *(
                    f'{each + 1} = {{ address = "127.0.0.1:{peer}", client = "127.0.0.1:{port}" }}'
                    for each, (peer, port) in enumerate(zip(peers, clients))
                ),
            ]
            with open(self.path(f"{index}.toml"), "w", encoding="ascii") as file:
                file.write("\n".join(lines) + "\n")
        self.log = open(self.path("log"), "ab")
        self.processes = [self.start(index) for index in range(3)]
        self.wait_for_all()

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def start(self, index):
        command = [self.binary, "serve", "--config", self.path(f"{index}.toml")]
        return subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def wait_for_all(self):
        end = time.monotonic() + SERVES_WITHIN_S
        while not all(serves(port) for port in self.ports):
            assert time.monotonic() < end, "the ensemble never serves"
            time.sleep(0.02)

    def restart(self, index):
        """Kills one and starts it again; returns when all three serve."""
        kill(self.processes[index])
        self.processes[index] = self.start(index)
        self.wait_for_all()

    def killing(self, pause_s):
        """Kills one after the other, `pause_s` after the last one serves again."""
        return Killing(self, pause_s)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        kill(*self.processes)
        self.log.close()
        self.directory.cleanup()


class Killing:
    """Kills while the block runs; `count` tells how often."""

    def __init__(self, ensemble, pause_s):
        self.ensemble, self.pause_s = ensemble, pause_s
        self.ends = threading.Event()
        self.count = 0
        self.error = None
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            for index in itertools.cycle(range(3)):
                if self.ends.wait(self.pause_s):
                    return
                self.ensemble.restart(index)
                self.count += 1
        except AssertionError as error:
            self.error = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.thread.join()
        if self.error:
            raise self.error


def kill(*processes):
    """Kills these one after the other, each of which is gone then."""
    for process in processes:
        process.kill()
        process.wait()


def serves(port):
    """Is the server at `port` one that leads or follows?"""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as stream:
            stream.sendall(b"isro")
            return stream.recv(16) == b"rw"
    except OSError:
        return False
