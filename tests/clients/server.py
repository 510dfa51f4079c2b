"""The real binary, started for a test on a port and in a directory of its own."""

import re
import signal
import subprocess
import tempfile

from ports import free_ports


class Server:
    """One process of `althing serve`; restarts keep its data and its port."""

    def __init__(self, binary, settings=""):
        """`settings` are lines of a configuration file."""
        self.binary = binary
        self.config = tempfile.NamedTemporaryFile("w", prefix="althing-", suffix=".toml")
        self.config.write(settings)
        self.config.flush()
        self.directory = tempfile.TemporaryDirectory(prefix="althing-")
        self.address = f"127.0.0.1:{free_ports(1)[0]}"
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [
                *(self.binary, "serve", "--config", self.config.name),
                *("--listen", self.address, "--data-dir", self.directory.name),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        line = self.process.stdout.readline()
        found = re.search(r"listens on (\S+?:\d+)", line)
        assert found, f"the server said {line!r}"
        self.address = found.group(1)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=20) == 0, "a server stops gracefully with status 0"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()
        self.directory.cleanup()
        self.config.close()
