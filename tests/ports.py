"""Ports for servers that a test starts."""

import socket


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, in rising order."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = sorted(each.getsockname()[1] for each in sockets)
    for each in sockets:
        each.close()
    return ports
