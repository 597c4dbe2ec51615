"""What the machine itself takes to wake somebody: a datagram to a bare process and back.

Nothing that answers over the network can be faster. On a virtual machine whose processors are
parked while they rest, it is milliseconds.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from typing import Any

SERVER = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
while True:
    packet, sender = s.recvfrom(2048)
    s.sendto(packet, sender)
"""


class Echo:
    """A process that sends back what it gets; a context."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", SERVER], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", int(self._process.stdout.readline())))
        self._socket.settimeout(5.0)

    def seconds(self, rest: float) -> float:
        """There and back, after a rest of both sides."""
        time.sleep(rest)
        begun = time.perf_counter()
        self._socket.send(b"are you there?")
        self._socket.recv(2048)
        return time.perf_counter() - begun

    def __enter__(self) -> Echo:
        return self

    def __exit__(self, *_: Any) -> None:
        self._socket.close()
        self._process.kill()
        self._process.wait()
