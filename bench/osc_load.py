"""OSC under load: 8 clients, 5,000 messages a second, how many arrive and what a ping costs.

    python bench/osc_load.py --seconds 60

Each client sends transport positions, notes and pings in turn,
evenly spaced. A message counts as lost if a ping stays unanswered, if a client's final ``sync`` is,
or if the kernel dropped a datagram at the engine's socket (Linux tells; nowhere else can loopback
lose one). The notes of a bar go to tracks 901 and up, which no one else uses.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import selectors
import socket
import sys
import time
from pathlib import Path

import numpy as np

from bench.tools import engine, table, verdict
from bridge.osc.codec import decode, encode

BPM = 120.0
FIRST_TRACK = 901
MOST_PING_MS = 5.0
"""The target."""

RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024


class Player:
    """One client: a socket, what it has sent, and how long each of its pings took."""

    def __init__(self, number: int, host: str, port: int) -> None:
        self.track = FIRST_TRACK + number
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self.sock.connect((host, port))
        self.sock.setblocking(False)
        self.sent = 0
        self.pings: dict[int, float] = {}
        self.ping_ms: list[float] = []
        self.fails: list[str] = []
        self.synced = False

    def play(self, kinds: str, seconds: float) -> None:
        """Sends the next message of its round; ``seconds`` is where the song is."""
        kind = kinds[self.sent % len(kinds)]
        bar, beat = divmod(seconds * BPM / 60, 4)
        if kind == "t":
            packet = encode("/sideman/transport", (1, BPM, int(bar), beat, 4, 4))
        elif kind == "n":
            pitch = 36 + self.sent % 48
            packet = encode("/sideman/track/note", (self.track, pitch, 90, int(bar), beat, 0.25))
        else:
            packet = encode("/sideman/ping", (self.sent,))
            self.pings[self.sent] = time.perf_counter()
        with contextlib.suppress(ConnectionRefusedError):  # told of an earlier one
            self.sock.send(packet)
        self.sent += 1

    def hear(self) -> None:
        """Takes in all replies that are there."""
        while True:
            try:
                packet = self.sock.recv(2048)
            except (BlockingIOError, ConnectionRefusedError):
                return
            now = time.perf_counter()
            for _, address, args in decode(packet):
                if address == "/sideman/pong":
                    self.ping_ms.append(1000 * (now - self.pings.pop(int(args[0]))))
                elif address == "/sideman/synced":
                    self.synced = True
                elif address == "/sideman/fail":
                    self.fails.append(str(args[2]))


def kernel_drops(port: int) -> int | None:
    """Datagrams that the kernel dropped at the UDP sockets of a port so far; None if unknown."""
    table = Path("/proc/net/udp")
    if not table.exists():
        return None
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    return sum(int(row[-1]) for row in rows if int(row[1].rpartition(":")[2], 16) == port)


def run(
    host: str, port: int, clients: int, rate: int, seconds: float, kinds: str
) -> dict[str, object]:
    """The load itself; the counts and the ping times as one mapping."""
    players = [Player(i, host, port) for i in range(clients)]
    selector = selectors.DefaultSelector()
    for player in players:
        selector.register(player.sock, selectors.EVENT_READ, player)

    def hear_until(moment: float) -> None:
        while (left := moment - time.perf_counter()) > 0:
            for key, _ in selector.select(left):
                key.data.hear()

    dropped = kernel_drops(port)
    begun = time.perf_counter()
    total = round(rate * seconds)
    for i in range(total):
        hear_until(begun + i / rate)
        players[i % clients].play(kinds, i / rate)
    took = time.perf_counter() - begun
    for player in players:
        with contextlib.suppress(ConnectionRefusedError):
            player.sock.send(encode("/sideman/sync", (1,)))
    end = time.perf_counter() + 5
    while not all(p.synced and not p.pings for p in players) and time.perf_counter() < end:
        hear_until(time.perf_counter() + 0.01)

    ping_ms = np.concatenate([player.ping_ms for player in players] or [[]])
    if not ping_ms.size:
        sys.exit(f"no engine answers at {host}:{port}; start one by `sideman serve`")
    after = kernel_drops(port)
    return {
        "clients": clients,
        "sent": sum(p.sent for p in players),
        "per_second": total / took,
        "pings": int(ping_ms.size),
        "pings_lost": sum(len(p.pings) for p in players),
        "syncs_lost": sum(not p.synced for p in players),
        "kernel_drops": None if dropped is None or after is None else after - dropped,
        "fails": sum(len(p.fails) for p in players),
        "first_fail": next((text for p in players for text in p.fails), None),
        **{f"ping_p{q}_ms": float(np.percentile(ping_ms, q)) for q in (50, 95, 99)},
        "ping_max_ms": float(ping_ms.max()),
    }


def report(result: dict[str, object]) -> None:
    """The table, and which targets hold."""
    rows = [
        [name.replace("_", " "), f"{value:.2f}" if isinstance(value, float) else str(value)]
        for name, value in result.items()
    ]
    print(table(["OSC under load", ""], rows) + "\n")
    lost = [result[name] for name in ("pings_lost", "syncs_lost", "kernel_drops", "fails")]
    verdict("none lost", not any(lost))
    ping = result["ping_p99_ms"]
    assert isinstance(ping, float)
    verdict(f"ping p99 at most {MOST_PING_MS:g} ms meanwhile", ping <= MOST_PING_MS)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, help="of a running engine, instead of its own one")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rate", type=int, default=5000, help="messages a second, all together")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument(
        "--kinds", default="ttntp", help="a client's round: t transport, n note, p ping"
    )
    parser.add_argument("--json", action="store_true")
    a = parser.parse_args()
    if set(a.kinds) - set("tnp") or "p" not in a.kinds:
        parser.error("--kinds is made of t, n and p, with at least one p")
    load = (a.clients, a.rate, a.seconds, a.kinds)
    if a.port is None:
        with engine() as client:
            result = run(client.host, client.port, *load)
    else:
        result = run(a.host, a.port, *load)
    if a.json:
        print(json.dumps(result))
    else:
        report(result)


if __name__ == "__main__":
    main()
