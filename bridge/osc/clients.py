"""Who talks to the engine, where the replies go, and who may talk at all.

One thread only, the one that runs the door.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Literal, NamedTuple

from engine.errors import Code, SidemanError
from engine.messages.commands import Hello

MOST_CLIENTS: Final = 256
"""UDP clients never say goodbye: beyond this many the one that was silent longest is forgotten."""


class Endpoint(NamedTuple):
    """Where a packet came from. A TCP endpoint is one connection."""

    protocol: Literal["udp", "tcp"]
    host: str
    port: int


@dataclass(slots=True)
class Client:
    """One client: its source endpoint, and what it has asked to be told."""

    id: int
    endpoint: Endpoint
    name: str = ""
    return_port: int = 0
    notify: bool = False
    busy_until: float = 0.0
    """Monotonic time at which the last of its time-tagged messages takes effect."""
    listens: set[str] = field(default_factory=set)

    @property
    def targets(self) -> tuple[Endpoint, ...]:
        """Where replies go: the source, and the return port where there is one."""
        back = Endpoint("udp", self.endpoint.host, self.return_port)
        if not self.return_port or back == self.endpoint:
            return (self.endpoint,)
        return (self.endpoint, back)


class Clients:
    """The clients that are known, by endpoint and by number. Numbers count from 1, never reused."""

    def __init__(self, token: str | None = None) -> None:
        """``token`` is what a hello must carry; None lets everybody in, as on loopback."""
        self._token = token
        self._by_endpoint: dict[Endpoint, Client] = {}
        self._by_id: dict[int, Client] = {}
        self._numbers = count(1)

    def __len__(self) -> int:
        """How many clients have said hello."""
        return sum(1 for client in self._by_id.values() if client.name)

    @property
    def open(self) -> bool:
        """Whether a client may talk without having said hello."""
        return self._token is None

    def find(self, endpoint: Endpoint) -> Client | None:
        """The client at an endpoint, if it is known."""
        return self._by_endpoint.get(endpoint)

    def at(self, endpoint: Endpoint) -> Client:
        """The client at an endpoint that has just sent a packet; a new one at its first."""
        client = self._by_endpoint.pop(endpoint, None)
        if client is None:
            return self._new(endpoint)
        self._by_endpoint[endpoint] = client  # the order is that of the latest packet
        return client

    def hello(self, endpoint: Endpoint, hello: Hello) -> Client:
        """Registers a name and a return port; the same endpoint stays the same client.

        Raises :class:`SidemanError` with ``not-allowed`` where the token is wrong.
        """
        if self._token is not None and not hmac.compare_digest(
            hello.token.encode(), self._token.encode()
        ):
            raise SidemanError(Code.NOT_ALLOWED, "the token is not the engine's")
        client = self._by_endpoint.get(endpoint) or self._new(endpoint)
        client.name = hello.name
        client.return_port = hello.return_port
        return client

    def forget(self, endpoint: Endpoint) -> Client | None:
        """Drops the client at an endpoint, as when its connection closes."""
        client = self._by_endpoint.pop(endpoint, None)
        if client is not None:
            del self._by_id[client.id]
        return client

    def get(self, client_id: int) -> Client | None:
        """A client by its number."""
        return self._by_id.get(client_id)

    def notified(self, besides: int | None = None) -> list[Client]:
        """Those who want to know what others cause, but for the one who caused it."""
        return [c for c in self._by_id.values() if c.notify and c.id != besides]

    def listening(self, name: str) -> list[Client]:
        """Those who listen to a parameter."""
        return [c for c in self._by_id.values() if name in c.listens]

    def _new(self, endpoint: Endpoint) -> Client:
        if len(self._by_endpoint) >= MOST_CLIENTS:
            self.forget(self._most_silent())
        client = Client(next(self._numbers), endpoint)
        self._by_endpoint[endpoint] = client
        self._by_id[client.id] = client
        return client

    def _most_silent(self) -> Endpoint:
        """Of those that want no news, if there are any: a listener is silent by nature."""
        idle = (c.endpoint for c in self._by_endpoint.values() if not (c.notify or c.listens))
        return next(idle, next(iter(self._by_endpoint)))


def targets(clients: Iterable[Client]) -> list[Endpoint]:
    """Where a message to all of them goes, each place once: clients may share a return port."""
    return list(dict.fromkeys(target for client in clients for target in client.targets))
