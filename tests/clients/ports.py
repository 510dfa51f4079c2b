"""Ports for servers of tests."""

import random
import socket

# Below the ports that Linux gives to outgoing connections, so that none of them takes a server's
# port while it is down; and above those that kazoo's own suite counts up from.
SERVERS = range(22000, 32000)


def free_ports(count):
    """Different ports that are free now."""
    ports = []
    while len(ports) < count:
        port = random.choice(SERVERS)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        if port not in ports:
            ports.append(port)
    return ports
