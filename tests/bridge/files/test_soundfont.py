import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.files import soundfont
from bridge.files.soundfont import CARRIERS, Carrier, find_soundfont, open_soundfont
from engine.errors import Code, SidemanError

Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    folders = [tmp_path / "ours", tmp_path / "system"]
    monkeypatch.setattr(soundfont, "our_folder", lambda: folders[0])
    monkeypatch.setattr(soundfont, "usual_folders", lambda: tuple(folders))
    monkeypatch.delenv(soundfont.ENVIRONMENT, raising=False)
    return folders


def test_no_soundfont() -> None:
    assert find_soundfont() is None
    with pytest.raises(SidemanError, match="--fetch") as caught:
        soundfont.find()
    assert caught.value.code is Code.BAD_FILE


def test_presets_are_read(make_soundfont: Make) -> None:
    font = open_soundfont(make_soundfont(presets=[(0, 5), (8, 4), (128, 25)]))
    assert font.presets == {(0, 5), (8, 4), (128, 25)}
    assert not font.complete
    assert open_soundfont(make_soundfont("whole.sf2")).complete


def test_a_complete_one_is_preferred(make_soundfont: Make) -> None:
    part = make_soundfont("ours/a.sf2", [(0, 0)])
    assert find_soundfont() == open_soundfont(part)
    whole = make_soundfont("system/z.SF2")
    assert find_soundfont() == open_soundfont(whole)
    (part.parent / "b.sf3").write_bytes(b"junk")
    (part.parent / "c.txt").write_bytes(b"junk")
    assert find_soundfont() == open_soundfont(whole)


def test_what_is_named_counts_first(make_soundfont: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    make_soundfont("ours/whole.sf2")
    configured = make_soundfont("mine/a.sf2", [(0, 0)])
    chosen = make_soundfont("mine/b.sf2", [(0, 1)])
    assert find_soundfont(configured) == open_soundfont(configured)
    monkeypatch.setenv(soundfont.ENVIRONMENT, str(chosen))
    assert find_soundfont(configured) == open_soundfont(chosen)
    monkeypatch.setenv(soundfont.ENVIRONMENT, str(chosen) + "x")
    with pytest.raises(SidemanError, match="cannot read the SoundFont"):
        find_soundfont(configured)


def test_broken_soundfonts_are_refused(make_soundfont: Make, tmp_path: Path) -> None:
    whole = make_soundfont().read_bytes()
    path = tmp_path / "broken.sf2"
    header = whole.index(b"phdr")
    for data in (b"", b"RIFF", b"x" * 100, whole[:200], whole[: header + 4], whole[: header + 50]):
        path.write_bytes(data)
        with pytest.raises(SidemanError, match="is not a SoundFont") as caught:
            open_soundfont(path)
        assert caught.value.code is Code.BAD_FILE


def archive(path: Path, name: str, data: bytes) -> None:
    if path.suffix == ".whl":
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(name, data)
    else:
        with tarfile.open(path, "w:gz") as tar:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


def carrier(package: Path, data: bytes, **changes: object) -> Carrier:
    import dataclasses
    import hashlib

    base = Carrier(
        "tiny.sf2",
        len(data),
        hashlib.sha256(data).hexdigest(),
        "CC0",
        "a test",
        "package/tiny.sf2",
        lambda: ["cp", str(package), "."],
    )
    return dataclasses.replace(base, **changes)


@pytest.mark.parametrize("suffix", ["whl", "tgz"])
def test_fetching(
    suffix: str, make_soundfont: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_soundfont("source.sf2").read_bytes()
    package = tmp_path / f"package.{suffix}"
    archive(package, "package/tiny.sf2", data)
    monkeypatch.setattr(soundfont, "CARRIERS", (carrier(package, data),))
    assert soundfont.main(["--fetch"]) == 0
    path = tmp_path / "ours" / "tiny.sf2"
    assert path.read_bytes() == data
    assert "CC0" in (path.parent / "tiny.LICENCE.txt").read_text()
    # Once there, it is taken without a look at the package.
    package.unlink()
    assert soundfont.fetch_soundfont() == path


def test_fetching_what_is_not_as_known(
    make_soundfont: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = make_soundfont("source.sf2").read_bytes()
    package = tmp_path / "package.tgz"
    archive(package, "../../package/tiny.sf2", data)
    good = carrier(package, data)
    monkeypatch.setattr(
        soundfont,
        "CARRIERS",
        (
            carrier(package, data, command=lambda: None),
            carrier(package, data, command=lambda: ["false"]),
            carrier(package, data, command=lambda: ["sh", "-c", "echo no network >&2; exit 1"]),
            carrier(package, data, command=lambda: [str(tmp_path / "no-such-program")]),
            good,
            carrier(package, data, member="../../package/tiny.sf2", sha256="0" * 64),
        ),
    )
    with pytest.raises(SidemanError) as caught:
        soundfont.fetch_soundfont()
    assert "client is not installed" in caught.value.text
    assert "no network" in caught.value.text
    assert caught.value.text.count("not as known") == 2
    assert not (tmp_path / "ours").exists()
    # Setup goes on without it.
    assert soundfont.main(["--fetch"]) == 0
    assert "warning: could not get a SoundFont" in capsys.readouterr().err


def test_the_known_carriers() -> None:
    assert CARRIERS[0].licence.startswith("Apache-2.0")
    assert all(len(each.sha256) == 64 for each in CARRIERS)
    assert "--only-binary" in (CARRIERS[1].command() or [])
