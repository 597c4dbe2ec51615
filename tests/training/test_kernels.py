"""flash-linear-attention's kernels beside our own recurrence, where both can run."""

import pytest

torch = pytest.importorskip("torch")

from engine.models.rwkv.architecture import Sizes  # noqa: E402
from engine.models.rwkv.torch_model import Rwkv7, wkv  # noqa: E402
from training import kernels  # noqa: E402


def test_without_cuda_our_own_recurrence_is_used():
    assert not kernels.available(torch.device("cpu"))
    model = Rwkv7(Sizes(1, 64, 64, 64, 10, 4, 4, 4, 4))
    assert model.blocks[0].att.recurrence is wkv


@pytest.mark.skipif(
    not (torch.cuda.is_available() and kernels.available(torch.device("cuda"))),
    reason="needs a CUDA device and flash-linear-attention",
)
def test_the_kernels_compute_what_we_do():
    torch.manual_seed(0)
    sizes = Sizes(2, 128, 64, 256, 50, 8, 8, 8, 8)
    ours = Rwkv7(sizes)
    ours.initialise()
    theirs = Rwkv7(sizes)
    theirs.load_state_dict(ours.state_dict())
    kernels.use(theirs)
    tokens = torch.randint(0, 50, (2, 96), device="cuda")
    results = []
    for model in (ours.cuda(), theirs.cuda()):
        logits, state = model(tokens)
        logits.square().mean().backward()
        results.append((logits, state.wkv, model.blocks[1].att.key.weight.grad))
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(other, mine, atol=2e-2, rtol=5e-2)
