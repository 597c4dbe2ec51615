import signal
import threading

import pytest

from training.processes import pool, undisturbed


@pytest.fixture(autouse=True)
def heeds_ctrl_c():
    """Also where these tests run in the background, which ignores it."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


def _ignores_ctrl_c(_):
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_ctrl_c_that_another_thread_gets_waits_for_the_end_of_the_block():
    begin, reached = threading.Event(), False

    def interrupt():
        begin.wait()
        signal.raise_signal(signal.SIGINT)

    other = threading.Thread(target=interrupt)
    other.start()
    with pytest.raises(KeyboardInterrupt), undisturbed():
        begin.set()
        other.join()
        reached = True
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_of_the_main_thread_waits_too():
    reached = False
    with pytest.raises(KeyboardInterrupt), undisturbed():
        signal.raise_signal(signal.SIGINT)
        reached = True
    assert reached


def test_another_thread_may_begin_processes():
    went = []
    thread = threading.Thread(target=lambda: went.append(undisturbed().__enter__()))
    thread.start()
    thread.join()
    assert went == [None]


def test_workers_leave_ctrl_c_to_their_parent():
    with pool(2) as workers, undisturbed():
        told = workers.map(_ignores_ctrl_c, range(4))
    assert list(told) == [True] * 4
