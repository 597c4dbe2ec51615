"""Between packets and the conductor: commands in, replies out.

One thread only, the conductor's: the server's thread puts packets into a queue, and this one takes
them out and calls :meth:`OscDoor.receive`, and :meth:`OscDoor.tick` when a time tag is due.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

from bridge.osc.bundles import TimeTags, Waiting
from bridge.osc.clients import Client, Clients, Endpoint, targets
from bridge.osc.codec import Received, decode, encode_reply
from engine import __version__
from engine.errors import Code, SidemanError
from engine.messages import PROTO, Command, Fail, Reply, Scalar, parse, request_number
from engine.messages.commands import Hello, Listen, Notify, Sync
from engine.messages.replies import Done, Value

Handle = Callable[[Command, int, float], None]
"""Takes a command, the client's number, and the monotonic time at which it takes effect.

It replies through the door, and raises :class:`SidemanError` for what is wrong.
"""

HORIZON_SECONDS: Final = 16.0
"""Eight bars of 4/4 at 120 beats per minute."""


class Sends(Protocol):
    """What the door needs of a server."""

    def send(self, endpoint: Endpoint, packet: bytes) -> bool:
        """Sends without waiting; False where that failed."""
        ...


class _Tagged(NamedTuple):
    """A message that waits for its time tag."""

    client_id: int
    address: str
    req: int
    command: Command


class OscDoor:
    """Decodes, finds the client, checks, keeps what is due later, and hands the rest on.

    ``horizon`` gives the seconds that eight bars last now. Hello and notify end here, listen is
    noted here and handed on; every other command is the conductor's.
    """

    def __init__(
        self,
        server: Sends,
        clients: Clients,
        handle: Handle,
        horizon: Callable[[], float] = lambda: HORIZON_SECONDS,
        time_tags: TimeTags | None = None,
    ) -> None:
        self._server = server
        self.clients = clients
        self._handle = handle
        self._horizon = horizon
        self._time_tags = time_tags or TimeTags()
        self._waiting: Waiting[_Tagged] = Waiting()

    # In

    def receive(self, packet: bytes, endpoint: Endpoint, arrived: float) -> None:
        """One packet, as the server delivered it. What is wrong with it goes back as a fail."""
        if not packet:
            self.clients.forget(endpoint)
            return
        try:
            messages = decode(packet)
        except SidemanError as error:
            self._fail(endpoint, error)
            return
        for message in messages:
            try:
                self._take(message, endpoint, arrived)
            except SidemanError as error:
                req = request_number(message.address, message.args)
                self._fail(endpoint, error, req, message.address)

    def tick(self, now: float) -> float | None:
        """Hands on what is due by ``now``; the moment of the next that waits, None if none does."""
        while (due := self._waiting.due(now)) is not None:
            moment, tagged = due
            client = self.clients.get(tagged.client_id)
            if client is None:
                continue
            try:
                self._obey(tagged.command, client, moment)
            except SidemanError as error:
                self._fail(client.endpoint, error, tagged.req, tagged.address)
        return self._waiting.next_moment

    def _take(self, message: Received, endpoint: Endpoint, arrived: float) -> None:
        known = self.clients.open or self.clients.find(endpoint) is not None
        if not known and message.address != Hello.address:
            raise SidemanError(Code.NOT_ALLOWED, "say /sideman/hello with the engine's token first")
        command = parse(message.address, message.args)
        if isinstance(command, Hello):
            client = self.clients.hello(endpoint, command)
            self._done(client, command.address, client.id, __version__, PROTO)
            return
        client = self.clients.at(endpoint)
        moment = self._time_tags.moment(message.time_tag, arrived, self._horizon())
        if isinstance(command, Sync):
            moment = max(moment, client.busy_until)
        if moment <= arrived:
            self._obey(command, client, moment)
            return
        req = request_number(message.address, message.args)
        self._waiting.put(moment, _Tagged(client.id, message.address, req, command))
        client.busy_until = max(moment, client.busy_until)

    def _obey(self, command: Command, client: Client, moment: float) -> None:
        if isinstance(command, Notify):
            client.notify = command.on
            self._done(client, command.address)
            return
        self._handle(command, client.id, moment)
        if isinstance(command, Listen):
            change = client.listens.add if command.on else client.listens.discard
            change(command.name)

    # Out

    def reply(self, client_id: int, reply: Reply) -> None:
        """Sends a reply to a client, at its source and its return port; nowhere if it has left."""
        client = self.clients.get(client_id)
        if client is not None:
            self._send(client.targets, reply)

    def broadcast(self, reply: Reply, besides: int | None = None) -> None:
        """Sends what one client, or MIDI, has caused to all others that asked to be notified."""
        self._send(targets(self.clients.notified(besides)), reply)

    def changed(self, name: str, value: Scalar | None) -> None:
        """Sends a parameter's new value to those who listen to it."""
        self._send(targets(self.clients.listening(name)), Value(name, value))

    def _done(self, client: Client, address: str, *values: Scalar) -> None:
        self._send(client.targets, Done(address, values))

    def _fail(
        self, endpoint: Endpoint, error: SidemanError, req: int = 0, address: str = ""
    ) -> None:
        fail = Fail.of(error, req, address)
        client = self.clients.find(endpoint)
        self._send(client.targets if client else (endpoint,), fail)

    def _send(self, endpoints: Iterable[Endpoint], reply: Reply) -> None:
        packet = encode_reply(reply)
        for endpoint in endpoints:
            self._server.send(endpoint, packet)
