"""The same result for any number of workers, and after any end of the process."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from engine.errors import Code, SidemanError
from training.tokenize import Cleaning, TokenizeConfig, Vocabulary, make
from training.tokenize import run as runner
from training.tokenize.encode import Encoder, Unusable
from training.tokenize.journal import Journal
from training.tokenize.workers import BATCH, encode_all


@pytest.fixture
def songs(tmp_path, write_song):
    folder = tmp_path / "songs"
    for index in range(24):
        write_song(folder / f"song{index}.mid", 50 + index, bars=2 + index)
    (folder / "broken.mid").write_bytes(b"nothing")
    return folder


def make_in(folder, songs, **changes):
    return make(TokenizeConfig(None, songs, folder, **{"jobs": 1, **changes}))


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_two_processes_make_what_one_makes(songs, tmp_path):
    one = make_in(tmp_path / "one", songs)
    two = make_in(tmp_path / "two", songs, jobs=2)
    assert content(one.output) == content(two.output)
    assert [entry["path"] for entry in two.skipped] == ["broken.mid"]


def end_on(mark):
    """An `Encoder.encode` that ends its whole process on one file, as a crash in C would."""
    encode = Encoder.encode

    def encode_or_end(self, data):
        if mark in data:
            os._exit(3)
        return encode(self, data)

    return encode_or_end


CRASH = """
import sys
from tests.training.test_tokenize_workers import end_on
from training.tokenize.encode import Encoder
Encoder.encode = end_on(b"crash")
"""


@pytest.mark.slow
def test_a_file_that_brings_a_worker_down_is_left_out_and_no_other(songs, tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(CRASH)
    path = os.pathsep.join([str(tmp_path / "site"), os.getcwd()])
    monkeypatch.setenv("PYTHONPATH", path)
    good = [(bytes([n]), (songs / f"song{n}.mid").read_bytes()) for n in range(BATCH)]
    tasks = [*good[1:], (b"bad", b"crash"), good[0]]
    results = dict(encode_all(tasks, (Vocabulary(), Cleaning()), jobs=2))
    assert results.pop(b"bad") == Unusable("cannot be read: it brings the MIDI reader down")
    assert set(results) == {key for key, _ in good}
    assert not any(isinstance(result, Unusable) for result in results.values())


def test_without_ray_there_is_one_clear_error(songs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SidemanError, match=r"sideman\[ray\]") as caught:
        make_in(tmp_path / "out", songs, ray="local")
    assert caught.value.code is Code.BAD_ARGUMENTS


@pytest.mark.slow
def test_ray_makes_what_one_process_makes(songs, tmp_path):
    pytest.importorskip("ray")
    one = make_in(tmp_path / "one", songs)
    cluster = make_in(tmp_path / "cluster", songs, ray="local")
    assert content(one.output) == content(cluster.output)


def test_what_was_done_is_not_done_again(songs, tmp_path, monkeypatch):
    add = Journal.add

    def interrupted(journal, key, result):
        if len(journal) == 10:
            raise KeyboardInterrupt
        add(journal, key, result)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Journal, "add", interrupted)
        make_in(tmp_path / "out", songs)
    assert not (tmp_path / "out").exists()
    run = json.loads((tmp_path / "out.run" / "run.json").read_text())
    assert (run["status"], run["step"]) == ("stopped", 10)

    asked = []
    monkeypatch.setattr(
        runner,
        "encode_all",
        lambda tasks, *rest: encode_all((asked.append(t[0]) or t for t in tasks), *rest),
    )
    resumed = make_in(tmp_path / "out", songs)
    assert len(asked) == 25 - 10
    assert content(resumed.output) == content(make_in(tmp_path / "whole", songs).output)
    run = json.loads((tmp_path / "out.run" / "run.json").read_text())
    assert (run["status"], run["step"]) == ("completed", 25)
    assert [path.name for path in (tmp_path / "out.run").iterdir()] == ["run.json"]


@pytest.mark.parametrize("where", ["journal", "tokens.npy", "pieces.json"])
def test_a_full_disk_leaves_what_was_there_and_says_so(songs, tmp_path, monkeypatch, where):
    before = content(make_in(tmp_path / "out", songs, seed=1).output)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def refuse(*_, **__):
        raise full

    with monkeypatch.context() as patch:
        if where == "journal":
            patch.setattr(Journal, "add", refuse)
        elif where == "tokens.npy":
            patch.setattr("numpy.lib.format.open_memmap", refuse)
        else:
            patch.setattr("training.tokenize.layouts.common.write_json", refuse)
        with pytest.raises(SidemanError, match="disk is full") as caught:
            make_in(tmp_path / "out", songs, seed=2)
    assert caught.value.code is Code.BAD_FILE
    assert content(tmp_path / "out") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.run", "songs"]
    assert json.loads((tmp_path / "out.run" / "run.json").read_text())["status"] == "failed"
    made = make_in(tmp_path / "out", songs, seed=2)
    assert content(made.output) == content(make_in(tmp_path / "whole", songs, seed=2).output)


def test_two_runs_do_not_work_in_one_folder(songs, tmp_path, monkeypatch):
    def meanwhile(*_):
        make_in(tmp_path / "out", songs)

    monkeypatch.setattr(Journal, "add", meanwhile)
    with pytest.raises(SidemanError, match="another run") as caught:
        make_in(tmp_path / "out", songs)
    assert caught.value.code is Code.BUSY


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_and_no_worker_outlives_it(songs, tmp_path, write_song):
    for index in range(24, 160):
        write_song(songs / f"song{index}.mid", 40 + index % 40, bars=20 + index)
    command = [sys.executable, "-m", "bridge.cli", "train", "tokenize", str(songs), "--json"]
    command += ["-o", str(tmp_path / "out"), "--jobs"]
    journal = tmp_path / "out.run" / "journal"
    process = psutil.Popen([*command, "2"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        if journal.exists() and journal.stat().st_size > 5_000:
            break
        time.sleep(0.002)
    workers = process.children(recursive=True)
    process.kill()
    process.wait()
    assert workers
    assert psutil.wait_procs(workers, timeout=20)[1] == []
    assert not (tmp_path / "out").exists()

    with Journal(journal, json.loads(journal.open("rb").readline())) as done:
        assert 0 < len(done) < 161
    end = subprocess.run([*command, "1"], capture_output=True, text=True, check=True)
    result = json.loads(end.stdout.splitlines()[-1])
    assert (result["pieces"], result["skipped"]) == (160, 1)
    assert content(tmp_path / "out") == content(make_in(tmp_path / "whole", songs).output)


@pytest.mark.slow
def test_ctrl_c_while_workers_begin_is_one_line(songs, tmp_path):
    command = [sys.executable, "-m", "bridge.cli", "train", "tokenize", str(songs)]
    process = psutil.Popen(
        [*command, "-o", str(tmp_path / "out"), "--jobs", "2"],
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    while process.poll() is None and len(process.children()) < 2:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to the workers as well
    assert process.communicate()[1] == "stopped: the same command goes on from here\n"
    assert process.returncode == 130
    assert json.loads((tmp_path / "out.run" / "run.json").read_text())["status"] == "stopped"
