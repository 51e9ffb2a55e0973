"""Every public function rejects an impossible problem with one sentence."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from entrostat import lab
from entrostat.lab import END, MDP, PrefixTree
from entrostat.lab.classical.decoupled import decoupled_temperature
from entrostat.lab.classical.implicit_q import implicit_q_iteration
from entrostat.lab.classical.multilevel import Multilevel
from entrostat.lab.classical.natural_actor_critic import NaturalActorCritic
from entrostat.lab.classical.offline_ld import masked_target
from entrostat.lab.classical.sparse_actor_critic import SparseActorCritic
from entrostat.lab.classical.sparse_tsallis import sparse_value
from entrostat.lab.classical.state_entropy import robust_value
from entrostat.lab.theory.toy import Toy, run_toys

ONE = torch.zeros(3, 1)
NOTHING = torch.zeros(2, 2, dtype=torch.bool)
Given = Callable[[], object]


def loop(**changes: object) -> MDP:
    given: dict[str, object] = {"rewards": torch.zeros(2, 2), "successors": torch.tensor([[1, END], [0, END]])}
    return lab.make_mdp(**(given | changes))  # pyright: ignore


def tree() -> PrefixTree:
    return lab.optimal_tree(prompts=1, actions=3, optimal=1)


ONE_ACTION: dict[str, Given] = {
    "make_mdp": lambda: loop(rewards=torch.zeros(2, 1), successors=torch.zeros(2, 1)),
    "dense_mdp": lambda: lab.dense_mdp(rewards=torch.zeros(1, 1), transitions=torch.zeros(1, 1, 1)),
    "PrefixTree": lambda: PrefixTree(rewards=torch.zeros(4, 1)),
    "optimal_tree": lambda: lab.optimal_tree(prompts=1, actions=1, optimal=1),
    "softmax": lambda: lab.softmax(ONE),
    "log_softmax": lambda: lab.log_softmax(ONE),
    "sparsemax": lambda: lab.sparsemax(ONE),
    "sparse_value": lambda: sparse_value(ONE, temperature=1.0),
    "Toy": lambda: Toy(actions=1, optimal=1),
}
NO_OPTIMAL: dict[str, Given] = {
    "optimal_tree": lambda: lab.optimal_tree(prompts=1, actions=9, optimal=0),
    "Toy": lambda: Toy(actions=9, optimal=0),
}
FORBIDDEN: dict[str, Given] = {
    "make_mdp": lambda: loop(mask=NOTHING),
    "dense_mdp": lambda: lab.dense_mdp(rewards=torch.zeros(2, 2), transitions=torch.zeros(2, 2, 2), mask=NOTHING),
    "PrefixTree": lambda: PrefixTree(rewards=torch.zeros(2, 2), permitted=NOTHING),
    "softmax": lambda: lab.softmax(torch.zeros(2, 2), NOTHING),
    "log_softmax": lambda: lab.log_softmax(torch.zeros(2, 2), NOTHING),
    "sparsemax": lambda: lab.sparsemax(torch.zeros(2, 2), NOTHING),
    "masked_target": lambda: masked_target(torch.tensor([3, 0])),
}
NO_BONUS: dict[str, Given] = {
    f"{name} at {coef}": lambda check=check, coef=coef: check(coef)
    for coef in (0.0, -0.1, float("nan"))
    for name, check in {
        "soft_value_iteration": lambda coef: lab.soft_value_iteration(loop(), coef=coef),
        "tsallis_value_iteration": lambda coef: lab.tsallis_value_iteration(loop(), coef=coef),
        "soft_tree_optimum": lambda coef: lab.soft_tree_optimum(tree(), coef=torch.tensor([coef])),
        "Toy": lambda coef: Toy(actions=9, optimal=1, coef=coef),
        "decoupled_temperature": lambda coef: decoupled_temperature(torch.tensor([4]), coef),
        "sparse_value": lambda coef: sparse_value(torch.zeros(3), temperature=coef),
        "implicit_q_iteration": lambda coef: implicit_q_iteration(loop(discount=0.5), temperature=coef, munchausen=0.5),
        "robust_value": lambda coef: robust_value(
            torch.tensor([0.5, 0.5]), torch.zeros(2), temperature=coef, budget=0.1
        ),
        "Multilevel": lambda coef: Multilevel(levels=1, temperature=coef),
        "NaturalActorCritic": lambda coef: NaturalActorCritic(temperature=coef),
    }.items()
}
NEGATIVE_BONUS: dict[str, Given] = {
    "evaluate": lambda: lab.evaluate(loop(), torch.full((2, 2), 0.5), coef=-0.1),
    "evaluate_tree": lambda: lab.evaluate_tree(tree(), lab.tree_logprobs(tree(), [torch.zeros(1, 1, 3)]), coef=-0.1),
    "objective": lambda: lab.objective(loop(), torch.zeros(2, 2), coef=-0.1),
    "exact_gradient": lambda: lab.exact_gradient(loop(), torch.zeros(2, 2), coef=-0.1),
    "SparseActorCritic": lambda: SparseActorCritic(temperature=-0.1),
}


def sentence(given: Given) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the message is checked below
        given()
    message = str(caught.value)
    assert message.startswith("`")
    assert ", got " in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ONE_ACTION)
def test_one_action_leaves_nothing_to_choose(name: str) -> None:
    message = sentence(ONE_ACTION[name])
    assert "at least two" in message or "at least 2" in message


@pytest.mark.parametrize("name", NO_OPTIMAL)
def test_without_an_optimal_action_there_is_nothing_to_find(name: str) -> None:
    assert "`optimal` must be at least 1" in sentence(NO_OPTIMAL[name])


def test_unreachable_states_are_named() -> None:
    start = torch.tensor([1.0, 0.0])
    message = sentence(lambda: loop(start=start, successors=torch.full((2, 2), END)))
    assert "unreachable states [1]" in message
    blocked = torch.tensor([[False, True], [True, True]])
    assert "unreachable states [1]" in sentence(lambda: loop(start=start, mask=blocked))
    apart = torch.eye(2).unsqueeze(1).expand(2, 2, 2)
    assert "[1]" in sentence(lambda: lab.dense_mdp(rewards=torch.zeros(2, 2), transitions=apart, start=start))


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_mask_that_forbids_everything_is_rejected(name: str) -> None:
    message = sentence(FORBIDDEN[name])
    assert any(rule in message for rule in ("allow", "permit", "at least 1"))


@pytest.mark.parametrize("name", NO_BONUS)
def test_a_coefficient_of_zero_or_less_is_rejected(name: str) -> None:
    message = sentence(NO_BONUS[name])
    assert "`coef`" in message or "`temperature`" in message


@pytest.mark.parametrize("name", NEGATIVE_BONUS)
def test_zero_is_allowed_where_it_means_no_entropy_and_less_is_not(name: str) -> None:
    assert "at least 0" in sentence(NEGATIVE_BONUS[name])


def test_the_toy_wants_seeds_and_a_known_method() -> None:
    toy = Toy(actions=50, optimal=1, steps=1)
    assert "`seeds` must name at least one seed" in sentence(lambda: run_toys(toy, "none", []))
    with pytest.raises(ValueError, match="unknown method 'full'"):
        run_toys(toy, "full", [0])  # pyright: ignore
