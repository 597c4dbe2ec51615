"""Model folders that are whole are read; every other one is refused in one clear line."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from engine.errors import Code, SidemanError
from engine.models import registry
from engine.models.folder import MAX_HEADER, Weights, read_info, read_weights, write_model
from engine.models.rwkv.architecture import tensors
from engine.models.rwkv.family import read
from tests.support.rwkv_weights import SMALL, random_info, random_model, random_weights

WEIGHTS = "weights.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return random_model(tmp_path / "model", SMALL)


def change(folder: Path, **fields: Any) -> None:
    """Write ``fields`` into ``model.json``; None takes one away."""
    path = folder / "model.json"
    about = json.loads(path.read_text())
    for name, value in fields.items():
        if value is None:
            del about[name]
        else:
            about[name] = about[name] | value if isinstance(value, dict) else value
    path.write_text(json.dumps(about))


def seal(folder: Path) -> None:
    """Make the SHA-256 fit again, as one who forges a folder would."""
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    change(folder, weights={"sha256": digest})


def change_header(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite the safetensors header, keep the tensors' bytes, and seal."""
    path = folder / WEIGHTS
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    edit(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    seal(folder)


def refused(folder: Path, code: Code = Code.BAD_FILE) -> str:
    """The one line with which the folder is refused."""
    with pytest.raises(SidemanError) as caught:
        read(folder)
    assert caught.value.code is code
    assert "\n" not in caught.value.text
    return caught.value.text


def test_what_is_written_is_read(folder: Path) -> None:
    info, sizes, weights = read(folder)
    assert (info.name, info.family, sizes) == ("random", "rwkv", SMALL)
    expected = random_weights(SMALL)
    assert weights.keys() == expected.keys()
    for name, tensor in weights.items():
        np.testing.assert_array_equal(tensor, expected[name])


def test_our_files_are_safetensors_to_others_and_theirs_to_us(folder: Path) -> None:
    theirs = load_file(folder / WEIGHTS)
    for name, tensor in random_weights(SMALL).items():
        np.testing.assert_array_equal(theirs[name], tensor)
    save_file(theirs, folder / WEIGHTS, metadata={"made by": "somebody"})
    seal(folder)
    _, _, weights = read(folder)
    for name, tensor in weights.items():
        np.testing.assert_array_equal(tensor, theirs[name])


@pytest.mark.parametrize(("dtype", "digits"), [("float16", 11), ("bfloat16", 8)])
def test_half_precision_is_stored_rounded(tmp_path: Path, dtype: str, digits: int) -> None:
    info = random_info(SMALL, weights=Weights(WEIGHTS, "", dtype))
    info = write_model(tmp_path, info, random_weights(SMALL))
    found = read_weights(tmp_path, info, tensors(SMALL))
    for name, tensor in random_weights(SMALL).items():
        np.testing.assert_allclose(found[name], tensor, rtol=2.0**-digits, atol=1e-7)


def test_no_model(tmp_path: Path) -> None:
    assert "no model at" in refused(tmp_path / "nowhere", Code.UNKNOWN_MODEL)
    assert "no model at" in refused(tmp_path, Code.UNKNOWN_MODEL)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"model"',
        b"\xff\xfe",
        b'{"format": 1}',
        b"[" * 100_000,
        b'{"format": 1, "a": ' + b"[" * 100_000,
        b" " * (1 << 20) + b"{}",
    ],
)
def test_descriptions_that_are_none(folder: Path, text: bytes) -> None:
    (folder / "model.json").write_bytes(text)
    assert refused(folder).startswith("model.json: ")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"format": 2}, "has format 2, and this version reads format 1"),
        ({"format": "1"}, "format"),
        ({"format": None}, "no format"),
        ({"name": 5}, "name"),
        ({"sizes": None}, "sizes"),
        ({"sizes": {"layers": "3"}}, "sizes"),
        ({"sizes": {"layers": 2.5}}, "sizes"),
        ({"sizes": {"layers": 0}}, "layers"),
        ({"sizes": {"layers": -1}}, "layers"),
        ({"sizes": {"layers": 10**9}}, "'layers' is 1000000000; 96 is the most"),
        ({"sizes": {"vocab": 2**62}}, "'vocab'"),
        ({"sizes": {"embed": 8192, "ffn": 65536, "layers": 96}}, "too many"),
        ({"sizes": {"embed": 100}}, "multiple of 'head'"),
        ({"sizes": {"colour": 1}}, "colour"),
        ({"sizes": {"vocab": SMALL.vocab + 1}}, "do not fill"),
        ({"architecture": "rwkv4"}, "rwkv4"),
        ({"weights": {"dtype": "float64"}}, "float64"),
        ({"weights": {"dtype": "float16"}}, "do not fill"),
        ({"weights": {"sha256": "0" * 64}}, "SHA-256"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_descriptions_that_do_not_fit(folder: Path, fields: dict[str, Any], says: str) -> None:
    change(folder, **fields) if "surprise" not in fields else add(folder, fields)
    assert says in refused(folder)


def add(folder: Path, fields: dict[str, Any]) -> None:
    about = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(about | fields))


def test_sizes_that_lack_a_key(folder: Path) -> None:
    about = json.loads((folder / "model.json").read_text())
    del about["sizes"]["head"]
    (folder / "model.json").write_text(json.dumps(about))
    assert "lacks head" in refused(folder)


def test_another_family(folder: Path) -> None:
    change(folder, family="musicbox")
    assert "musicbox" in refused(folder, Code.UNKNOWN_MODEL)
    with pytest.raises(SidemanError, match="no model family is called 'musicbox'") as caught:
        registry.load(folder)
    assert caught.value.code is Code.UNKNOWN_MODEL


@pytest.mark.parametrize(
    "name",
    [
        "../weights.safetensors",
        "/etc/passwd",
        "..",
        ".",
        "",
        "a/b",
        "a\\b",
        "C:weights",
        "weights\n.safetensors",
        "weights\0.safetensors",
    ],
)
def test_files_outside_the_folder(folder: Path, name: str) -> None:
    (folder.parent / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes())
    change(folder, weights={"file": name})
    refused(folder)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_out_of_the_folder(folder: Path) -> None:
    moved = folder.parent / "elsewhere"
    (folder / WEIGHTS).rename(moved)
    (folder / WEIGHTS).symlink_to(moved)
    assert "link" in refused(folder)


def test_weights_that_are_missing_or_a_folder(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    assert "missing" in refused(folder)
    (folder / WEIGHTS).mkdir()
    refused(folder)


@pytest.mark.parametrize("kept", [0, 4, 8, 100, 5000, -1, -4])
def test_truncated_weights(folder: Path, kept: int) -> None:
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:kept])
    refused(folder)
    seal(folder)
    refused(folder)


def test_surplus_bytes(folder: Path) -> None:
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes() + b"\0\0\0\0")
    seal(folder)
    assert "do not fill" in refused(folder)


def test_one_bit_changed(folder: Path) -> None:
    path = folder / WEIGHTS
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    assert "SHA-256" in refused(folder)


@pytest.mark.parametrize("length", [MAX_HEADER + 1, 2**63 - 1, 2**64 - 1, 0])
def test_absurd_headers(folder: Path, length: int) -> None:
    path = folder / WEIGHTS
    path.write_bytes(length.to_bytes(8, "little") + path.read_bytes()[8:])
    seal(folder)
    assert "do not fill" in refused(folder)


def test_huge_files_are_not_read(folder: Path) -> None:
    with (folder / WEIGHTS).open("ab") as file:
        file.truncate(50 << 30)  # sparse: takes no room
    assert "bytes where" in refused(folder)


def swap_offsets(header: dict[str, Any]) -> None:
    a, b = header["blocks.0.ln1.weight"], header["head.weight"]
    a["data_offsets"], b["data_offsets"] = b["data_offsets"], a["data_offsets"]


def overlap(header: dict[str, Any]) -> None:
    header["blocks.0.ln1.bias"]["data_offsets"] = header["blocks.0.ln1.weight"]["data_offsets"]


def rename(header: dict[str, Any]) -> None:
    header["blocks.0.ln1.weights"] = header.pop("blocks.0.ln1.weight")


def turn(header: dict[str, Any]) -> None:
    header["emb.weight"]["shape"].reverse()


def retype(header: dict[str, Any]) -> None:
    header["emb.weight"]["dtype"] = "I32"


def go_negative(header: dict[str, Any]) -> None:
    header["emb.weight"]["data_offsets"] = [-4, 0]


def go_far(header: dict[str, Any]) -> None:
    start, end = header["emb.weight"]["data_offsets"]
    header["emb.weight"]["data_offsets"] = [start + 2**40, end + 2**40]


def forget_offsets(header: dict[str, Any]) -> None:
    del header["emb.weight"]["data_offsets"]


def add_tensor(header: dict[str, Any]) -> None:
    header["another"] = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (swap_offsets, "does not lie"),
        (overlap, "does not lie"),
        (rename, "lacks 1 tensors, the first is blocks.0.ln1.weight"),
        (turn, "emb.weight is [128, 101], not [101, 128]"),
        (retype, "stored as 'I32'"),
        (go_negative, "does not lie"),
        (go_far, "does not lie"),
        (forget_offsets, "not a safetensors file"),
        (add_tensor, "1 tensors too many: 'another'"),
        (dict.clear, "lacks"),
    ],
)
def test_forged_headers(folder: Path, edit: Callable[[dict[str, Any]], None], says: str) -> None:
    change_header(folder, edit)
    assert says in refused(folder)


def test_pickles_are_not_read(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"\x80\x04" + b"." * ((folder / WEIGHTS).stat().st_size - 2))
    seal(folder)
    refused(folder)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_of_failed_training(tmp_path: Path, value: float) -> None:
    weights = random_weights(SMALL)
    weights["ln_out.bias"][7] = value
    write_model(tmp_path, random_info(SMALL), weights)
    assert "ln_out.bias has numbers that are not finite" in refused(tmp_path)


def test_a_model_without_its_tokenizer_is_still_described(folder: Path) -> None:
    assert read_info(folder).tokenizer is None
