"""A run that cannot learn is ended, and says where."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

import torch

from engine.errors import SidemanError
from training.sound.proof import Proof, chance, doubt

A, B = "layers.0.self_attn.q_proj.lora_A.weight", "layers.0.self_attn.q_proj.lora_B.weight"
OF_PROMPT = "layers.0.encoder_attn.q_proj.lora_B.weight"


def parameters(*names):
    return {name: torch.nn.Parameter(torch.zeros(2, 2)) for name in names}


def give(weights, *names):
    for name, weight in weights.items():
        weight.grad = torch.full((2, 2), float(name in names))


def test_b_comes_first_and_a_in_the_second_step():
    weights = parameters(A, B)
    proof = Proof(weights)
    give(weights, B)
    proof.look(1.0, True)
    assert (proof.seen, proof.count) == (1, 2)
    give(weights, A)
    proof.look(1.0, True)
    assert proof.seen == 2


@pytest.mark.parametrize("gradient", [None, torch.zeros(2, 2)])
def test_a_matrix_without_a_gradient_is_named(gradient):
    weights = parameters(A, B)
    proof = Proof(weights)
    give(weights, A)
    weights[B].grad = gradient
    proof.look(1.0, True)
    with pytest.raises(SidemanError, match=f"aborted.*{B}.* of 2 matrices"):
        proof.look(1.0, True)


def test_matrices_of_the_prompt_wait_for_prompts():
    weights = parameters(B, OF_PROMPT)
    proof = Proof(weights)
    for _ in range(5):
        give(weights, B)
        proof.look(1.0, False)
    proof.look(1.0, True)
    with pytest.raises(SidemanError, match="encoder_attn"):
        proof.look(1.0, True)


def test_three_zeros_in_a_row_end_a_run():
    weights = parameters(A)
    give(weights, A)
    proof = Proof(weights)
    for norm in (0.0, 0.0, 1.0, 0.0, 0.0):
        proof.look(norm, True)
    with pytest.raises(SidemanError, match="3 times in a row"):
        proof.look(0.0, True)


def test_a_run_that_goes_on_has_not_forgotten():
    weights = parameters(A, B)
    first = Proof(weights)
    give(weights, B)
    first.look(0.0, True)
    second = Proof(weights)
    second.restore(first.state())
    assert second.seen == 1
    with pytest.raises(SidemanError, match="lora_A"):
        second.look(1.0, True)


def test_chance_is_what_a_guess_costs():
    assert chance(2048) == pytest.approx(math.log(2048)) == pytest.approx(7.6246, abs=1e-4)
    assert doubt(3.5, 2048) is None
    assert "no better than chance" in doubt(8.0, 2048)
