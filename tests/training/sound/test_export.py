"""Exports of models of sound: each form plays what the model plays, and says what it costs."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from bridge.cli import main
from engine.errors import Code, SidemanError
from engine.models import store
from engine.models.folder import read_info
from engine.models.musicgen import tiny
from engine.models.musicgen.codec import Codec
from engine.models.musicgen.model import MusicGen
from training.sound import export_audio, export_formats
from training.sound.codec_graph import CodecGraph, EncoderGraph
from training.sound.export_audio import EXPORT_JSON, export
from training.sound.export_check import STEPS, hold, original
from training.sound.export_graph import DecoderGraph, TextGraph
from training.sound.exported import CODEC, DECODER, ENCODER, TEXT, Playing, load


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def stereo(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("models"), channels=2)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory, base):
    """A LoRA of random numbers, so strong that it is heard."""
    from peft import LoraConfig, get_peft_model

    model = MusicGen.load(base)
    torch.manual_seed(1)
    config = LoraConfig(
        r=2, lora_alpha=8, target_modules=["fc1", "v_proj"], init_lora_weights=False
    )
    folder = tmp_path_factory.mktemp("adapters") / "loud"
    tuned = get_peft_model(model.network, config)
    tuned.peft_config["default"].base_model_name_or_path = model.name
    tuned.save_pretrained(folder, save_embedding_layers=False)
    return folder


FORMS = [
    pytest.param("onnx", id="onnx"),
    pytest.param("torchscript", id="torchscript"),
    pytest.param("torch-export", id="torch-export"),
]


@pytest.mark.parametrize("form", FORMS)
def test_graphs_play_what_the_model_plays(base, tmp_path, form):
    if form == "onnx":
        pytest.importorskip("onnxruntime")
    made = export(base, tmp_path / "out", form)
    assert made.check.greedy_steps == STEPS
    assert made.check.top1 == 1
    assert made.check.cosine_least > 0.9999
    assert made.check.codec_error < 1e-4
    assert made.check.encoder_same > 0.99
    assert abs(made.check.cross_entropy_percent) < 0.01
    assert made.check.step_ms > 0 and made.bytes_after > 0
    about = json.loads((tmp_path / "out" / EXPORT_JSON).read_text())
    assert about["licence"] == "Apache-2.0" and about["delays"] == [0, 1, 2, 3]
    assert about["check"]["greedy_steps"] == STEPS
    assert (tmp_path / "out" / "tokenizer.json").is_file()


def test_prompts_and_pasts_of_any_length_go_in(base, tmp_path):
    pytest.importorskip("onnxruntime")
    export(base, tmp_path / "out", "onnx")
    graphs, model = load(tmp_path / "out", "onnx", 1), MusicGen.load(base)
    random = np.random.default_rng(0)
    tokens = random.integers(0, 512, (4, 21))
    for text, places in (("a", 21), ("a slow tune of bells and drums at night", 90)):
        states = model.text.encode(text)
        with torch.inference_mode():
            said = model.network.decoder(
                input_ids=torch.from_numpy(tokens), encoder_hidden_states=states[None]
            ).logits
        playing = Playing(graphs, model.text.tokens(text), places)
        playing.feed(tokens[:, :13])
        playing.feed(tokens[:, 13:14])
        np.testing.assert_allclose(playing.feed(tokens[:, 14:]), said[:, -1], atol=1e-4)
    codes = random.integers(0, 512, (1, 4, 77))
    (sound,) = graphs.run(CODEC, codes)
    codec = Codec(model.codec)
    np.testing.assert_allclose(sound, codec.decode(torch.from_numpy(codes)), atol=1e-5)
    heard = codec.encode(torch.from_numpy(sound)).numpy()
    assert (graphs.run(ENCODER, sound)[0] == heard).mean() > 0.99


def test_a_stereo_model_is_heard_on_both_sides(stereo):
    model = MusicGen.load(stereo)
    codec = Codec(model.codec, 2)
    codes = torch.randint(0, 512, (1, 8, 20), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = CodecGraph(codec)(codes)
    torch.testing.assert_close(found, codec.decode(codes), atol=1e-5, rtol=1e-4)
    assert not torch.equal(found[0, 0], found[0, 1])
    with torch.inference_mode():
        assert torch.equal(EncoderGraph(codec)(found), codec.encode(found))
    graphs = Direct(model)
    assert hold(graphs, original(model)).greedy_steps == STEPS


def test_making_a_graph_leaves_the_codec_as_it_is(base):
    model = MusicGen.load(base)
    codec = Codec(model.codec)
    codes = torch.randint(0, 512, (1, 4, 20), generator=torch.Generator().manual_seed(0))
    before = codec.decode(codes)
    CodecGraph(codec)
    heard = codec.encode(before)
    EncoderGraph(codec)
    assert torch.equal(codec.decode(codes), before)
    assert torch.equal(codec.encode(before), heard)


class Direct:
    """The graphs as they are, unexported; ``wrong`` is added to the logits' first code."""

    def __init__(self, model: MusicGen, wrong: float = 0.0) -> None:
        self.graphs = {
            TEXT: TextGraph(model).eval(),
            DECODER: DecoderGraph(model, STEPS + 1).eval(),
            CODEC: CodecGraph(Codec(model.codec, model.channels)),
            ENCODER: EncoderGraph(Codec(model.codec, model.channels)),
        }
        self.wrong = wrong

    def run(self, graph, *inputs):
        with torch.inference_mode():
            found = self.graphs[graph](*map(torch.from_numpy, inputs))
        parts = [part.numpy() for part in (found if isinstance(found, tuple) else (found,))]
        if graph == DECODER:
            parts[0][..., 0] += self.wrong
        return parts


def test_the_check_sees_what_is_wrong(base):
    model = MusicGen.load(base)
    source = original(model)
    good, bad = hold(Direct(model), source), hold(Direct(model, 50.0), source)
    assert (good.greedy_steps, good.top1) == (STEPS, 1)
    assert bad.greedy_steps == 0 and bad.top1 < 0.1
    assert bad.cosine < good.cosine and bad.cross_entropy_exported > good.cross_entropy + 1


def test_a_form_that_plays_otherwise_is_not_kept(base, tmp_path, monkeypatch):
    model = MusicGen.load(base)
    monkeypatch.setattr(export_audio, "load", lambda *_: Direct(model, 50.0))
    with pytest.raises(SidemanError, match="does not play what the model plays"):
        export(base, tmp_path / "out", "torchscript")
    assert list(tmp_path.iterdir()) == []


def test_int8_says_what_it_costs(base, tmp_path):
    pytest.importorskip("onnxruntime")
    made = export(base, tmp_path / "out", "onnx", int8=True)
    assert made.bytes_after < made.bytes_before
    assert 0.95 < made.check.cosine < 0.99999
    assert 0.5 < made.check.top1 <= 1
    assert json.loads((tmp_path / "out" / EXPORT_JSON).read_text())["int8"] is True


def test_an_adapter_is_merged_into_a_folder_that_plays_the_same(base, adapter, tmp_path):
    made = export(base, tmp_path / "mine", "merged", adapter=adapter)
    assert made.check.greedy_steps == STEPS and made.check.codec_error == 0
    merged, plain = MusicGen.load(tmp_path / "mine"), MusicGen.load(base)
    assert original(merged).tokens.tolist() != original(plain).tokens.tolist()
    live = MusicGen.load(base)
    live.adapters.load(adapter)
    live.adapters.apply({"loud": 1.0})
    theirs = dict(live.network.named_parameters())
    for name, tensor in merged.network.named_parameters():
        assert torch.equal(tensor, theirs[name]), name
    info = read_info(tmp_path / "mine")
    assert (info.name, info.kind, info.licence) == ("mine", "audio", "Apache-2.0")
    assert store.resolve(str(tmp_path / "mine")) == tmp_path / "mine"
    again = export(base, tmp_path / "mine", "merged")  # its own folder is replaced
    assert again.check.top1 == 1


def test_what_there_is_not_is_refused_by_name(base, tmp_path, monkeypatch, tiny_model):
    def refused(*arguments, **options):
        with pytest.raises(SidemanError) as error:
            export(*arguments, **options)
        assert "\n" not in error.value.text and list(tmp_path.iterdir()) == []
        return error.value

    out = tmp_path / "out"
    assert "onnx, torchscript" in refused(base, out, "coreml").text
    assert "--int8 is for --format onnx" in refused(base, out, "torchscript", int8=True).text
    assert "plays notes" in refused(tiny_model, out, "onnx").text
    monkeypatch.setattr(export_formats, "LARGEST", 1000)
    found = refused(base, out, "onnx")
    assert found.code is Code.NOT_ALLOWED and "torch-export" in found.text


def test_a_folder_of_something_else_is_not_replaced(base, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SidemanError, match="choose another name"):
        export(base, tmp_path, "torchscript")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_the_command_prints_what_was_measured(capsys, base, tmp_path):
    words = ["train", "export", str(base), "--format", "torchscript", "-o", str(tmp_path / "out")]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "same greedy steps" in said and "100.00%" in said
    assert main([*words, "--json"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["output"] == str(tmp_path / "out") and last["check"]["top1"] == 1
    assert main(["train", "export", str(base), "--format", "tflite", "-o", "x"]) != 0


def test_percentages_are_of_the_original(base):
    check = hold(Direct(MusicGen.load(base)), original(MusicGen.load(base)))
    worse = replace(check, cross_entropy=2.0, cross_entropy_exported=2.1)
    assert worse.cross_entropy_percent == pytest.approx(5)
