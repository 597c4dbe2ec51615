"""The torch model against the ``rwkv`` package, and against its own recurrence."""

import os
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from engine.models.folder import read_info  # noqa: E402
from engine.models.rwkv.architecture import Sizes, tensors  # noqa: E402
from engine.models.rwkv.torch_model import CHUNK, Rwkv7, State, wkv  # noqa: E402
from engine.models.store import shipped_folder  # noqa: E402
from engine.tokens.vocabulary import Vocabulary  # noqa: E402

SIZES = Sizes(
    layers=2,
    embed=128,
    head=64,
    ffn=256,
    vocab=50,
    decay_rank=8,
    iclr_rank=8,
    value_rank=8,
    gate_rank=16,
)

REFERENCE = """
import sys
import torch
from rwkv.model import RWKV
torch.set_num_threads(1)
folder = sys.argv[1]
model = RWKV(folder + "/model", "cpu fp32")
tokens = torch.load(folder + "/tokens.pt", weights_only=True).tolist()
state, rows = None, []
for token in tokens:
    logits, state = model.forward([token], state)
    rows.append(logits.clone())
torch.save({"logits": torch.stack(rows), "state": state}, folder + "/reference.pt")
"""


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def model():
    """A model in which every path carries signal (a fresh one has zeros at every output)."""
    torch.manual_seed(1)
    model = Rwkv7(SIZES)
    model.initialise()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    return model


def tokens(*shape):
    return torch.randint(0, SIZES.vocab, shape, generator=torch.Generator().manual_seed(2))


def test_state_dict_is_the_table_of_tensors(model):
    assert {k: tuple(v.shape) for k, v in model.state_dict().items()} == tensors(SIZES)


def test_equals_the_rwkv_package(model, tmp_path):
    pytest.importorskip("rwkv")
    # 77 tokens: two whole chunks and a remainder.
    sequence = tokens(77)
    torch.save(model.state_dict(), tmp_path / "model.pth")
    torch.save(sequence, tmp_path / "tokens.pt")
    # Its own process: the package chooses RWKV-7 when it is imported, for the whole process.
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", REFERENCE, str(tmp_path)],
        env={**os.environ, "RWKV_V7_ON": "1", "RWKV_CUDA_ON": "0"},
        check=True,
        capture_output=True,
        timeout=120,
    )
    reference = torch.load(tmp_path / "reference.pt", weights_only=True)
    with torch.no_grad():
        logits, state = model(sequence[None])
    assert reference["logits"].std() > 0.3
    torch.testing.assert_close(logits[0], reference["logits"], atol=1e-4, rtol=0)
    for layer in range(SIZES.layers):
        before, matrix, between = reference["state"][3 * layer : 3 * layer + 3]
        torch.testing.assert_close(state.shift[layer, 0, 0], before, atol=1e-4, rtol=0)
        torch.testing.assert_close(state.shift[layer, 1, 0], between, atol=1e-4, rtol=0)
        torch.testing.assert_close(state.wkv[layer, 0], matrix, atol=1e-4, rtol=0)


def recurrent(r, w, k, v, a, b, state):
    """The recurrence as the paper writes it, one token after another."""
    ys = []
    for t in range(r.shape[1]):
        column = state @ a[:, t].unsqueeze(-1)
        state = (
            state * w[:, t].exp().unsqueeze(-2)
            + column * b[:, t].unsqueeze(-2)
            + v[:, t].unsqueeze(-1) * k[:, t].unsqueeze(-2)
        )
        ys.append((state @ r[:, t].unsqueeze(-1)).squeeze(-1))
    return torch.stack(ys, 1), state


@pytest.mark.parametrize("length", [1, CHUNK - 1, CHUNK, 3 * CHUNK + 5])
def test_chunked_equals_recurrent_in_values_and_gradients(length):
    torch.manual_seed(3)
    shape = (2, length, 2, 64)
    unit = torch.nn.functional.normalize(torch.randn(shape), dim=-1)
    inputs = [
        torch.randn(shape),
        -0.606531 * torch.rand(shape),  # from no decay to the fastest there is
        torch.randn(shape) * 0.3,
        torch.randn(shape) * 0.3,
        -unit,
        unit * torch.rand(shape),
        torch.randn(2, 2, 64, 64) * 0.1,
    ]
    results = []
    for function in (wkv, recurrent):
        leaves = [x.clone().requires_grad_() for x in inputs]
        y, state = function(*leaves)
        (y.square().mean() + state.square().mean()).backward()
        results.append((y, state, *(leaf.grad for leaf in leaves)))
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)


def test_a_sequence_in_parts_equals_the_whole(model):
    sequence = tokens(2, 80)
    with torch.no_grad():
        whole, end = model(sequence)
        first, state = model(sequence[:, :47])
        before = State(*(x.clone() for x in state))
        second, after = model(sequence[:, 47:], state)
        torch.testing.assert_close(torch.cat((first, second), 1), whole, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(after.wkv, end.wkv, atol=1e-5, rtol=1e-4)
        # The state that was handed in is still what it was: that is what makes a fork a copy.
        assert torch.equal(before.wkv, state.wkv) and torch.equal(before.shift, state.shift)


def test_steps_equal_the_parallel_form(model):
    sequence = tokens(3, 40)
    with torch.no_grad():
        whole, _ = model(sequence)
        state, rows = model.zero_state(3), []
        for t in range(40):
            logits, state = model.step(sequence[:, t], state)
            rows.append(logits)
    torch.testing.assert_close(torch.stack(rows, 1), whole, atol=1e-4, rtol=0)


def test_a_run_of_equal_tokens_keeps_gradients_finite_under_autocast():
    """In the shipped model: a fresh one is too tame to break."""
    folder = shipped_folder() / "sideman-band-4x256"
    info = read_info(folder)
    model = Rwkv7(Sizes.from_json(info.sizes))
    model.load_state_dict(load_file(folder / info.weights.file))
    bars = torch.full((1, 400), Vocabulary.load(folder).bar)
    with torch.autocast("cpu", torch.bfloat16):
        logits, state = model(bars)
    assert state.wkv.dtype == torch.float32
    loss = torch.nn.functional.cross_entropy(logits.float()[0], bars[0])
    loss.backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all(), name


def test_the_recurrence_is_the_same_under_autocast():
    torch.manual_seed(4)
    r, k, v, a = (torch.randn(1, 40, 2, 64) for _ in range(4))
    inputs = (r, -torch.rand(1, 40, 2, 64), k, v, a / 64, -a / 64, torch.randn(1, 2, 64, 64))
    with torch.autocast("cpu", torch.bfloat16):
        under = wkv(*inputs)
    assert all(torch.equal(mine, other) for mine, other in zip(under, wkv(*inputs), strict=True))


def test_autocast_changes_little(model):
    sequence = tokens(1, 100)
    with torch.no_grad():
        exact, _ = model(sequence)
        with torch.autocast("cpu", torch.bfloat16):
            rough, _ = model(sequence)
    assert (exact - rough).abs().max() < 0.1 * exact.std() + 0.1


def test_fresh_weights_start_uniform_and_finite():
    torch.manual_seed(0)
    model = Rwkv7(SIZES)
    model.initialise()
    sequence = tokens(2, 33)
    logits, _ = model(sequence)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), sequence.flatten())
    assert abs(loss.item() - torch.log(torch.tensor(50.0)).item()) < 0.5
    assert all(weight.isfinite().all() for weight in model.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_cpu(model):
    sequence = tokens(2, 70)
    with torch.no_grad():
        cpu, _ = model(sequence)
        cuda, _ = model.to("cuda")(sequence.to("cuda"))
    torch.testing.assert_close(cuda.cpu(), cpu, atol=1e-3, rtol=1e-3)
