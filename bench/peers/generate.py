"""``generate`` of transformers, on a GPT-2 or a Llama of about the same size; random weights."""

from __future__ import annotations

import copy
import time
from importlib.metadata import version
from typing import Any

import torch
from transformers import (
    DynamicCache,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

from bench.peers import Jobs, serve


def build(kind: str, sizes: dict[str, int], positions: int) -> PreTrainedModel:
    """A model with layers and width of ``sizes``, and a feed-forward that makes it as large."""
    common: dict[str, Any] = {"vocab_size": sizes["vocab"], "bos_token_id": 0, "eos_token_id": None}
    width, layers, heads = sizes["embed"], sizes["layers"], sizes["embed"] // sizes["head"]
    if kind == "gpt2":
        return GPT2LMHeadModel(
            GPT2Config(n_embd=width, n_layer=layers, n_head=heads, n_positions=positions, **common)
        )
    return LlamaForCausalLM(
        LlamaConfig(
            hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
            intermediate_size=3 * width, max_position_embeddings=positions,
            tie_word_embeddings=False, **common,
        )
    )  # fmt: skip


def prepare(task: dict[str, Any]) -> tuple[str, Jobs]:
    """Build the model and let its cache hear the context."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    context = torch.tensor([task["context"]])
    length = context.shape[1]
    model = build(task["kind"], task["sizes"], length + 64).train(mode=False)
    settings = {
        "max_new_tokens": task["tokens"],
        "min_new_tokens": task["tokens"],
        "do_sample": True,
        "temperature": 0.95,
        "top_p": 0.95,
        "top_k": 0,
        "pad_token_id": 0,
        "attention_mask": torch.ones_like(context),
    }
    with torch.inference_mode():
        # All but the last token: generate wants at least one that the cache has not seen.
        heard = model(context[:, :-1], past_key_values=DynamicCache(), use_cache=True)

    def state_kept() -> float:
        cache = copy.deepcopy(heard.past_key_values)
        begun = time.perf_counter()
        with torch.inference_mode():
            model.generate(context, past_key_values=cache, **settings)
        return time.perf_counter() - begun

    def prefill() -> float:
        begun = time.perf_counter()
        with torch.inference_mode():
            model.generate(context, **settings)
        return time.perf_counter() - begun

    size = sum(p.numel() for p in model.parameters()) / 1e6
    name = {"gpt2": "GPT-2", "llama": "Llama"}[task["kind"]]
    return f"transformers {version('transformers')} generate, {name} {size:.1f} M, random", {
        "state kept": state_kept,
        "prefill": prefill,
    }


if __name__ == "__main__":
    serve(prepare)
