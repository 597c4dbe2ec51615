"""Who is who, and who gets what where."""

import pytest

from bridge.osc.clients import MOST_CLIENTS, Clients, Endpoint, targets
from engine.errors import Code, SidemanError
from engine.messages.commands import Hello


def udp(port, host="127.0.0.1"):
    return Endpoint("udp", host, port)


def test_an_endpoint_is_one_client_with_or_without_hello():
    clients = Clients()
    first = clients.at(udp(1))
    assert clients.hello(udp(1), Hello(1, "Live")) is first
    assert clients.at(udp(1)) is first
    assert clients.at(udp(2)).id == first.id + 1
    assert clients.at(Endpoint("tcp", "127.0.0.1", 1)).id == first.id + 2
    assert len(clients) == 1


def test_replies_go_to_the_source_and_to_the_return_port():
    clients = Clients()
    assert clients.hello(udp(1), Hello(1, "a")).targets == (udp(1),)
    assert clients.hello(udp(1), Hello(1, "a", 9001)).targets == (udp(1), udp(9001))
    assert clients.hello(udp(9001), Hello(1, "b", 9001)).targets == (udp(9001),)
    over_tcp = Endpoint("tcp", "127.0.0.1", 5)
    assert clients.hello(over_tcp, Hello(1, "c", 9001)).targets == (over_tcp, udp(9001))


def test_one_place_hears_a_thing_once():
    clients = Clients()
    both = [clients.hello(udp(i), Hello(1, "a", 9001)) for i in (1, 2)]
    assert targets(both) == [udp(1), udp(9001), udp(2)]


def test_news_reach_those_that_want_them_but_for_their_cause():
    clients = Clients()
    a, b, _ = (clients.at(udp(i)) for i in (1, 2, 3))
    a.notify = b.notify = True
    b.listens.add("tempo")
    assert clients.notified() == [a, b]
    assert clients.notified(besides=a.id) == [b]
    assert clients.listening("tempo") == [b]


def test_a_token_is_asked_for():
    clients = Clients(token="Schlüssel")
    assert not clients.open
    for wrong in ("", "Schlussel", "Schlüssel2"):
        with pytest.raises(SidemanError) as caught:
            clients.hello(udp(1), Hello(1, "x", 0, wrong))
        assert caught.value.code == Code.NOT_ALLOWED
    assert clients.find(udp(1)) is None
    client = clients.hello(udp(1), Hello(1, "x", 0, "Schlüssel"))
    assert clients.find(udp(1)) is client


def test_who_left_is_forgotten_and_the_number_stays_unused():
    clients = Clients()
    old = clients.at(udp(1))
    assert clients.forget(udp(1)) is old
    assert clients.forget(udp(1)) is None
    assert clients.get(old.id) is None
    assert clients.at(udp(1)).id != old.id


def test_the_most_silent_make_room_and_listeners_stay():
    clients = Clients()
    listener = clients.at(udp(1))
    listener.notify = True
    active = clients.at(udp(2))
    for port in range(3, MOST_CLIENTS + 100):
        clients.at(udp(port))
        clients.at(udp(2))
    assert clients.get(listener.id) is listener
    assert clients.get(active.id) is active
    assert clients.find(udp(3)) is None
    assert sum(clients.get(i) is not None for i in range(1000)) == MOST_CLIENTS
