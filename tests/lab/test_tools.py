"""The exact tools against brute force, each other, and bad input."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from entrostat import lab
from entrostat.lab import END, MDP, PrefixTree


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=rng(seed), dtype=torch.float64)


def random_mdp(seed: int, *, states: int = 5, actions: int = 3, discount: float = 0.9) -> tuple[MDP, Tensor]:
    transitions = normal(states, actions, states, seed=seed).softmax(-1)
    mask = torch.rand(states, actions, generator=rng(seed)) < 0.7
    mask[:, 0] = True
    mdp = lab.dense_mdp(
        rewards=normal(states, actions, seed=seed + 1), transitions=transitions, mask=mask, discount=discount
    )
    return mdp, transitions


def random_tree(seed: int, *, actions: int = 3, horizon: int = 3, masked: bool = False) -> PrefixTree:
    answers = actions**horizon
    permitted = torch.rand(2, answers, generator=rng(seed)) < 0.5 if masked else None
    if permitted is not None:
        permitted[:, seed % answers] = True
    rewards = torch.rand(2, answers, generator=rng(seed + 1), dtype=torch.float64)
    return PrefixTree(rewards=rewards, horizon=horizon, permitted=permitted)


def levels(tree: PrefixTree, seed: int) -> tuple[Tensor, ...]:
    return tuple(normal(*tree.shape(h), seed=seed + h) for h in range(tree.horizon))


@pytest.mark.parametrize("seed", range(3))
def test_evaluation_and_occupancy_equal_summed_powers(seed: int) -> None:
    mdp, transitions = random_mdp(seed)
    policy = lab.softmax(normal(5, 3, seed=seed + 9), mdp.mask)
    step = torch.einsum("sa,sat->st", policy, transitions)
    reward = (policy * mdp.rewards).sum(-1) + 0.3 * lab.entropy(policy)
    values, visits = torch.zeros(5, dtype=torch.float64), torch.zeros(5, dtype=torch.float64)
    weight = mdp.start
    for _ in range(600):
        values = reward + 0.9 * step @ values
        visits, weight = visits + weight, 0.9 * weight @ step
    torch.testing.assert_close(lab.evaluate(mdp, policy, coef=0.3).values, values)
    torch.testing.assert_close(lab.occupancy(mdp, policy), visits)
    torch.testing.assert_close(lab.occupancy(mdp, policy) @ reward, mdp.start @ values)


def test_tree_evaluation_enumerates_every_answer() -> None:
    tree = random_tree(1)
    logprobs = lab.tree_logprobs(tree, levels(tree, 5))
    expected = torch.zeros(2, dtype=torch.float64)
    for index, answer in enumerate(itertools.product(range(3), repeat=3)):
        logp = torch.zeros(2, dtype=torch.float64)
        prefix = 0
        for h, token in enumerate(answer):
            logp = logp + logprobs[h][:, prefix, token]
            prefix = prefix * 3 + token
        # The entropy of the whole answer is -E log pi(answer): the chain rule.
        expected = expected + logp.exp() * (tree.rewards[:, index] - 0.2 * logp)
    found = lab.evaluate_tree(tree, logprobs, coef=0.2)
    torch.testing.assert_close(found.values[0].squeeze(-1), expected)
    plain = lab.evaluate_tree(tree, logprobs)
    torch.testing.assert_close(plain.values[0].squeeze(-1) + 0.2 * found.entropy, expected)


def test_tree_and_mdp_agree() -> None:
    tree = random_tree(2)
    mdp, logits = tree.mdp(), levels(tree, 3)
    flat = torch.cat([level.reshape(-1, 3) for level in logits])
    found = lab.evaluate_tree(tree, lab.tree_logprobs(tree, logits), coef=0.4)
    torch.testing.assert_close(found.values[0].mean(), lab.objective(mdp, flat, coef=0.4))
    reach = torch.cat([level.reshape(-1) for level in found.reach]) / 2
    torch.testing.assert_close(lab.occupancy(mdp, lab.softmax(flat)), reach)
    best, _ = lab.soft_tree_optimum(tree, coef=0.4)
    torch.testing.assert_close(best.values[0].squeeze(-1), lab.soft_value_iteration(mdp, coef=0.4).values[:2])


@pytest.mark.parametrize("masked", [False, True])
def test_soft_tree_optimum_is_gibbs_over_permitted_answers(masked: bool) -> None:
    tree = random_tree(4, masked=masked)
    rewards = tree.rewards if tree.permitted is None else tree.rewards.masked_fill(~tree.permitted, -torch.inf)
    best, _ = lab.soft_tree_optimum(tree, coef=0.25)
    torch.testing.assert_close(best.values[0].squeeze(-1), 0.25 * (rewards / 0.25).logsumexp(-1))


@pytest.mark.parametrize(
    ("solve", "regulariser"), [(lab.soft_value_iteration, "shannon"), (lab.tsallis_value_iteration, "tsallis")]
)
def test_regularised_optimum_is_stationary_and_beats_every_other_policy(solve, regulariser) -> None:
    mdp, _ = random_mdp(7)
    solution = solve(mdp, coef=0.5)
    evaluated = lab.evaluate(mdp, solution.policy, coef=0.5, regulariser=regulariser).values
    torch.testing.assert_close(evaluated, solution.values)
    for seed in range(200):
        other = lab.softmax(3 * normal(5, 3, seed=seed), mdp.mask)
        worth = lab.evaluate(mdp, other, coef=0.5, regulariser=regulariser).values
        assert bool((worth <= solution.values + 1e-9).all())


def test_value_iteration_equals_the_best_of_all_deterministic_policies() -> None:
    mdp, _ = random_mdp(8)
    allowed = [mdp.mask[s].nonzero().squeeze(-1).tolist() for s in range(5)]
    policies = (torch.eye(3, dtype=torch.float64)[list(choice)] for choice in itertools.product(*allowed))
    best = torch.stack([lab.evaluate(mdp, policy).values for policy in policies]).amax(0)
    torch.testing.assert_close(lab.value_iteration(mdp).values, best)


def test_exact_gradient_equals_finite_differences_and_respects_the_mask() -> None:
    mdp, _ = random_mdp(9)
    logits = normal(5, 3, seed=10)
    found = lab.exact_gradient(mdp, logits, coef=0.2)
    nudge = torch.zeros_like(logits)
    for s, a in itertools.product(range(5), range(3)):
        nudge.zero_()[s, a] = 1e-6
        slope = (lab.objective(mdp, logits + nudge, coef=0.2) - lab.objective(mdp, logits - nudge, coef=0.2)) / 2e-6
        assert float(found[s, a]) == pytest.approx(float(slope), abs=1e-8)
    assert bool((found[~mdp.mask] == 0).all())


@pytest.mark.parametrize("seed", range(20))
def test_sparsemax_is_the_projection_onto_the_simplex(seed: int) -> None:
    z = 2 * normal(6, seed=seed)
    p = lab.sparsemax(z)
    assert float(p.sum()) == pytest.approx(1)
    assert bool((p >= 0).all())
    # Optimality (KKT): z - p is the same number on the support and no greater elsewhere.
    slack = z - p
    level = slack[p > 0].mean()
    torch.testing.assert_close(slack[p > 0], level.expand(int((p > 0).sum())))
    assert bool((slack[p == 0] <= level + 1e-12).all())
    assert torch.autograd.gradcheck(lambda x: lab.sparsemax(x).square(), (z.requires_grad_(),))


def test_entropies_are_finite_at_the_edge() -> None:
    probs = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64, requires_grad=True)
    lab.entropy(probs).backward()
    assert probs.grad is not None
    assert bool(probs.grad.isfinite().all())
    assert float(lab.tsallis_entropy(probs.detach())) == pytest.approx(0.25)


def test_kept_set_is_the_librarys_clamp() -> None:
    from entrostat.measures import clamped

    logits = normal(4, 50, seed=11)
    kept = lab.kept_mask(logits, 0.33)
    torch.testing.assert_close(lab.entropy(lab.softmax(logits, kept)), clamped(logits, clamp=0.33))


def test_large_action_sets_stay_linear_in_memory() -> None:
    mdp = lab.optimal_tree(prompts=3, actions=100_000, optimal=2).mdp()
    gradient = lab.exact_gradient(mdp, torch.zeros(3, 100_000), coef=0.1)
    p = 1e-5
    assert float(gradient[0, 0]) == pytest.approx(p * (1 - 2 * p) / 3, rel=1e-6)
    wrong = float(lab.soft_value_iteration(mdp, coef=0.05).policy[0, 2:].sum())
    e = torch.tensor(20.0, dtype=torch.float64).exp()
    assert wrong == pytest.approx(float(99_998 / (99_998 + 2 * e)), rel=1e-9)


def two(**changes: object) -> MDP:
    given: dict[str, object] = {"rewards": torch.zeros(2, 2), "successors": torch.tensor([[1, END], [0, END]])}
    return lab.make_mdp(**(given | changes))  # pyright: ignore


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: two(rewards=torch.zeros(2, 1), successors=torch.zeros(2, 1)), "at least two actions"),
        (lambda: two(mask=torch.tensor([[True, True], [False, False]])), "allow an action in every state"),
        (lambda: two(start=torch.tensor([1.0, 0.0]), successors=torch.full((2, 2), END)), "unreachable states \\[1\\]"),
        (lambda: two(successors=torch.full((2, 2), 2)), "be END or a state below 2"),
        (lambda: two(discount=0.0), "lie in \\(0, 1\\]"),
        (lambda: two(rewards=torch.full((2, 2), float("nan"))), "be finite"),
        (lambda: two(start=torch.tensor([1.0, 1.0])), "sum to 1"),
        (lambda: lab.soft_value_iteration(two(), coef=0.0), "`coef` must be positive"),
        (lambda: lab.tsallis_value_iteration(two(), coef=-1.0), "`coef` must be positive"),
        (lambda: lab.evaluate(two(), torch.full((2, 2), 0.5), coef=-1.0), "`coef` must be at least 0"),
        (lambda: lab.evaluate(two(), torch.tensor([[1.0, 0.0], [1.0, 0.0]])), "never ends"),
        (lambda: lab.evaluate(two(), torch.ones(2, 2)), "sum to 1"),
        (lambda: lab.soft_value_iteration(two(rewards=-torch.ones(2, 2)), coef=9.0, max_sweeps=99), "did not converge"),
        (lambda: lab.softmax(torch.zeros(3, 1)), "at least two actions"),
        (lambda: lab.softmax(torch.zeros(2), torch.zeros(2, dtype=torch.bool)), "allow an action"),
        (lambda: lab.optimal_tree(prompts=1, actions=9, optimal=0), "`optimal` must be at least 1"),
        (lambda: lab.optimal_tree(prompts=1, actions=1, optimal=1), "`actions` must be at least 2"),
        (lambda: lab.optimal_tree(prompts=1, actions=2, optimal=3), "`optimal` must be at most"),
        (lambda: PrefixTree(rewards=torch.zeros(1, 5), horizon=2), "A\\*\\*2 answers"),
        (
            lambda: PrefixTree(rewards=torch.zeros(1, 4), permitted=torch.zeros(1, 4, dtype=torch.bool)),
            "permit an answer",
        ),
        (lambda: lab.soft_tree_optimum(random_tree(0), coef=0.0), "`coef` must be positive"),
        (lambda: lab.kept_mask(torch.zeros(4), 1.0), "lie in \\[0, 1\\)"),
    ],
)
def test_bad_input_is_explained(build, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build()
