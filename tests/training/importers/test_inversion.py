"""Learned concepts in ``.pt`` files: the real one, its layouts, and what only looks like one."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from engine.errors import SidemanError
from engine.models.musicgen import concepts
from training.importers import inversion
from training.importers.formats import recognise
from training.importers.run import ModelOptions, import_path


def vectors(count: int = 2, width: int = 768) -> torch.Tensor:
    return torch.arange(count * width, dtype=torch.float32).view(count, width)


def entry(**changes: object) -> dict[str, object]:
    return {"epoch": 7, "embeds": vectors(), **changes}


def test_the_real_file_becomes_a_concept_folder(music_data, tmp_path):
    path = music_data / "fixtures" / "textual-inversion-small-20.pt"
    made = import_path(path, tmp_path / "out", options=ModelOptions(licence="MIT"))
    assert made.formats == {"concept": 1}
    info = concepts.read_info(tmp_path / "out")
    assert info.concepts == dict.fromkeys(("synthwave", "8bit", "metal", "caravan"), 20)
    assert (info.width, info.base, info.licence) == (768, "musicgen-small", "MIT")
    assert info.metrics["epochs"]["8bit"] == 104
    stored = torch.load(path, weights_only=True)
    for word, found in concepts.read(tmp_path / "out").items():
        np.testing.assert_array_equal(found, stored[word]["embeds"].numpy())


def test_of_all_epochs_the_last_is_taken(tmp_path):
    table = {str(epoch): {"it": entry(embeds=vectors() + epoch)} for epoch in (2, 10, 9)}
    torch.save(table, tmp_path / "29-medium-20-all.pt")
    import_path(tmp_path / "29-medium-20-all.pt", tmp_path / "out")
    np.testing.assert_array_equal(concepts.read(tmp_path / "out")["it"], (vectors() + 10).numpy())
    assert concepts.read_info(tmp_path / "out").base == "musicgen-medium"


def test_what_is_written_is_read_again(tmp_path):
    table = {"a": vectors(3, 8).numpy(), "b-c": vectors(1, 8).numpy()}
    inversion.write(tmp_path / "x.pt", table, 5)
    found, epochs = inversion.read(tmp_path / "x.pt")
    assert epochs == {"a": 5, "b-c": 5}
    for word, each in table.items():
        np.testing.assert_array_equal(found[word], each)
    assert recognise(tmp_path / "x.pt").name == "concept"


@pytest.mark.parametrize(
    "table",
    [
        {"it": entry(embeds=vectors()[0])},
        {"it": entry(embeds=vectors().long())},
        {"it": entry(embeds=vectors() * float("nan"))},
        {"it": entry(embeds=torch.zeros(513, 4))},
        {"it": {"epoch": 3, "embeds": "none"}},
        {"a": entry(), "b": entry(embeds=vectors(2, 8))},
        {"a b": entry(), "a-b": entry()},
    ],
)
def test_other_contents_are_refused_in_one_line(tmp_path, table):
    torch.save(table, tmp_path / "x.pt")
    with pytest.raises(SidemanError) as error:
        import_path(tmp_path / "x.pt", tmp_path / "out")
    assert "\n" not in error.value.text and not (tmp_path / "out").exists()


def test_a_width_of_no_published_model_asks_for_the_base(tmp_path):
    torch.save({"it": entry(embeds=vectors(2, 24))}, tmp_path / "x.pt")
    with pytest.raises(SidemanError, match="--base"):
        import_path(tmp_path / "x.pt", tmp_path / "out")


class Evil:
    def __reduce__(self):
        return print, ("embeds",)


def test_nothing_in_a_file_is_run(tmp_path, capsys):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x/data.pkl", pickle.dumps({"it": Evil()}))
        archive.writestr("x/version", "3\n")
    (tmp_path / "x.pt").write_bytes(buffer.getvalue())
    with pytest.raises(SidemanError):
        import_path(tmp_path / "x.pt", tmp_path / "out")
    assert capsys.readouterr().out == ""
