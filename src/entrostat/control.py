"""A recipe at work: the layer between a recipe and its host, be it TRL, verl or a loop of your own.

The stateless half are functions of one micro-batch, since some hosts compute the loss in one process and keep the
controller in another:

    apply_edits(edits, batch)      the inputs of the host's loss
    recipe_loss(recipe, batch)     the loss added to it
    step_sums(recipe, batch, ...)  the sums that become the step's means

The stateful half is `Control`: the controller, the open optimizer step and the open rollout batch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.controllers import needs_total
from entrostat.edits import Edit
from entrostat.errors import require, require_count, require_fields, sentence
from entrostat.losses import Tally, masked_sums, token_mean
from entrostat.ops import TokenStats, token_stats
from entrostat.recipes import HOST_OFFERS, Recipe
from entrostat.regulator import Reduce, Regulator

AllGather = Callable[[Tensor], Sequence[Tensor]]
"""Returns the tensors of all ranks, rank after rank; every rank gives one of the same shape."""

QUANTITIES = ("entropy", "clamped_entropy", "kept_mass")
"""Fields of a batch whose means over a step's tokens are always reported."""

_COUNTS = ("tokens", "bonus", "signal", "signal_tokens")
_FIELDS = ["recipe", "regulator", "rollout", "schema", "steps"]
_SCHEMA = 1


# --- one micro-batch, without state ----------------------------------------------------------------------------------


def apply_edits(edits: Sequence[Edit], batch: TokenBatch) -> TokenBatch:
    """Return the batch as the edits leave it, in their order."""
    for edit in edits:
        batch = edit(batch)
    return batch


def changed_fields(before: TokenBatch, after: TokenBatch, names: Sequence[str]) -> dict[str, Tensor]:
    """Return the named fields that edits replaced, without gradient, for a host to put where its loss reads."""
    replaced = [name for name in names if getattr(after, name) is not getattr(before, name)]
    return {name: getattr(after, name).detach() for name in replaced}


def recipe_loss(recipe: Recipe, batch: TokenBatch, *, world_size: int = 1) -> Tensor:
    """Return this micro-batch's share of the terms' mean over the tokens of the whole step, a scalar.

        world_size (1/N) sum_{b,t} term_{b,t}        N = response tokens of the step, all micro-batches, all ranks

    Args:
        recipe: the recipe; without terms the share is zero.
        batch: the edited micro-batch; its `num_tokens` is N.
        world_size: ranks whose gradients the host averages. Each rank's share then has to count that many times.
    """
    if not recipe.terms:
        return batch.logprobs.new_zeros(())
    per_token = torch.stack([term(batch, batch.coef) for term in recipe.terms]).sum(0)
    # A step without a single token gives zero, not NaN.
    return token_mean(per_token, batch.mask, num_tokens=batch.tokens_of_step().clamp(min=1) / world_size)


def signal_of(recipe: Recipe, batch: TokenBatch) -> tuple[Tensor, Tensor]:
    """Return the values that the recipe's controller is fed, and which of them count."""
    return (batch.clamped_entropy, batch.mask) if recipe.signal is None else recipe.signal.read(batch)


def step_sums(
    recipe: Recipe, batch: TokenBatch, loss: Tensor, also: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Return one micro-batch's contribution to its step: float64 scalars to be summed over micro-batches and ranks.

    Args:
        recipe: the recipe.
        batch: the micro-batch before its edits.
        loss: the result of `recipe_loss`.
        also: further quantities `[B, T]` whose means are wanted, by name.

    Returns:
        One sum over the tokens per quantity, `tokens`, `bonus` (the loss), `signal` and `signal_tokens`.

    Raises:
        ValueError: a name in `also` that is taken.
    """
    if taken := sorted(set(also or ()) & {*QUANTITIES, *_COUNTS, "gap", "coef", "band_low", "band_high"}):
        raise ValueError(f"`also` must not name {', '.join(taken)}: every step reports quantities of these names.")
    values = {name: getattr(batch, name) for name in QUANTITIES} | dict(also or {})
    *sums, tokens = masked_sums([*values.values()], batch.mask)
    signal = Tally.of(*signal_of(recipe, batch)).sums
    return {
        **dict(zip(values, sums, strict=True)),
        "tokens": tokens,
        "bonus": loss.detach().to(tokens.device).double(),
        "signal": signal[0],
        "signal_tokens": signal[1],
    }


def all_gather_ragged(values: Tensor, all_gather: AllGather) -> Tensor:
    """Join 1-d tensors of different lengths, rank after rank, with a collective that wants equal shapes."""
    # One wait for the device, however many ranks there are.
    lengths = torch.cat(list(all_gather(torch.tensor([values.numel()], device=values.device)))).tolist()
    padded = torch.nn.functional.pad(values, (0, max(lengths) - values.numel()))
    return torch.cat([part[:length] for part, length in zip(all_gather(padded), lengths, strict=True)])


def group_all_gather(group: Any = None) -> AllGather | None:
    """Return `torch.distributed`'s all-gather over a process group; None where there is one rank alone."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return None
    world_size = torch.distributed.get_world_size(group)

    def all_gather(value: Tensor) -> Sequence[Tensor]:
        parts = [torch.empty_like(value) for _ in range(world_size)]
        torch.distributed.all_gather(parts, value, group=group)
        return parts

    return all_gather if world_size > 1 else None


def measure_scale(recipe: Recipe, vocab: int, host: str) -> float:
    """Return the factor from the entropy by support, which a host computes without showing its logits, to the measure.

    Args:
        recipe: the recipe.
        vocab: tokens in the vocabulary.
        host: the part that computes the entropy, for the error.

    Raises:
        ValueError: the measure is no multiple of an entropy by support.
    """
    scale = recipe.measure.fused_scale(vocab)
    if scale is None:
        raise ValueError(
            f"recipe {recipe.name!r} measures {recipe.measure!r}, which {host} cannot compute. "
            "Use a measure by support (Shannon, Clamped, TopK, Nucleus, Normalized)."
        )
    return scale


# --- a run, with state -----------------------------------------------------------------------------------------------


class UnseenError(RuntimeError):
    """A recipe did not see an optimizer step, or the fresh rollouts that an update is made on.

    Args:
        problem: a sentence; hosts keep it.
        remedy: the remedy in a loop of one's own; hosts word their own.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}")
        self.problem = problem


class Applied(NamedTuple):
    """A micro-batch after the recipe's edits and terms."""

    batch: TokenBatch
    """Inputs of the host's policy loss: `logprobs`, `old_logprobs`, `advantages`, `clip_low`, `clip_high`."""
    loss: Tensor
    """Scalar to add to that loss, with gradient."""


class Control:
    """A recipe at work in any training loop: it measures, edits, adds its terms, and moves its coefficient.

        for every rollout batch:   fresh(batch) -> batch                   edits of whole rollout batches
          for every step:
            for every micro-batch: stats(logits, targets), micro_batch(batch) -> (edited batch, loss to add)
            after the update:      close_step() -> means                   the controller moves

    The loss added to the policy loss of one optimizer step is `(1/N) sum_{b,t} term_{b,t}` over all its N response
    tokens, whatever the split into micro-batches and ranks; the controller is fed the mean of the recipe's measure over
    the same tokens. A step that closes without a micro-batch is an error, and so is a micro-batch of rollouts that a
    recipe had to see fresh and did not. `close_step` is a collective, called on every rank; so are `fresh` and
    `micro_batch` where an edit gathers over ranks.

    `micro_batch` is for loops. A host that may ask for the edits several times, or that computes the loss in another
    process, calls `apply` (edits and terms, without counting) and `add` (the sums of `step_sums`) instead.

    Args:
        recipe: the recipe.
        total_steps: optimizer steps of the whole run, for recipes that need to know.
        total_rollouts: rollout batches of the whole run, for a schedule that counts those; `total_steps` if None.
        reduce: sums a float64 tensor over all ranks and returns the sum (an all-reduce).
        all_gather: returns the tensors of all ranks, which have one shape; for edits that compare all responses.
        world_size: number of ranks, whose gradients the host averages; 1 for a loop that is alone among others. None
            counts them when the first batch comes: by `reduce` where it is given, else by the default group of
            `torch.distributed`, whose collectives are then used.
        offers: which of `recipes.HOST_OFFERS` the loop provides; everything but a second draw of rollouts if None.

    Raises:
        TypeError: `recipe` is no recipe.
        ValueError: the recipe needs something that the loop does not offer, or adds terms under scaled logits; several
            ranks without `reduce`.

    Reference:
        None: it is the arithmetic that the TRL and verl integrations share.

    Example:
        >>> import torch
        >>> from entrostat import Control, TokenBatch, losses, recipes
        >>> control = Control(recipes.aent(keep=2, low=0.5, high=1.0, initial=0.005))
        >>> logits = torch.tensor([[[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]]], requires_grad=True)
        >>> stats = control.stats(logits, torch.tensor([[0, 2]]))
        >>> batch = TokenBatch.of(stats, torch.ones(1, 2), advantages=torch.tensor([1.0]))
        >>> edited, bonus = control.micro_batch(control.fresh(batch))
        >>> policy = losses.clipped_surrogate(edited.logprobs, edited.old_logprobs, edited.advantages)
        >>> loss = losses.token_mean(policy.loss, edited.mask, num_tokens=2) + bonus
        >>> loss.backward()
        >>> means = control.close_step()
        >>> round(means["clamped_entropy"], 4), round(means["bonus"], 4), means["coef"]
        (0.6377, -0.0032, 0.005)
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        total_steps: int | None = None,
        total_rollouts: int | None = None,
        reduce: Reduce | None = None,
        all_gather: AllGather | None = None,
        world_size: int | None = None,
        offers: frozenset[str] | None = None,
    ) -> None:
        require_recipe(recipe)
        if world_size is not None and require_count("world_size", world_size, least=1) > 1 and reduce is None:
            raise ValueError(f"`reduce` must be given for world_size={world_size}: means are over all ranks.")
        _refuse_missing(recipe, _OWN_LOOP if offers is None else offers)
        refuse_scaled_terms(recipe)
        self._recipe, self._reduce, self._all_gather = recipe, reduce, all_gather
        self._world_size = world_size
        self._regulator = Regulator(recipe.controller, window=recipe.window)
        self._total_steps: int | None = None
        self._steps = 0
        self._open: dict[str, Tensor] = {}
        self._names: tuple[str, ...] = (*QUANTITIES, *_COUNTS)
        self._whole = True
        self._seen = False
        self._rollout_ended = False
        self._evaluating = False
        if total_steps is not None:
            self.bind_total(total_steps, total_rollouts)
        elif offers is None and ("total_steps" in recipe.needs or needs_total(recipe.controller)):
            raise ValueError(f"recipe {recipe.name!r} needs the length of the run: pass `total_steps`.")

    @property
    def recipe(self) -> Recipe:
        """The recipe at work."""
        return self._recipe

    @property
    def regulator(self) -> Regulator:
        """The controller and its window."""
        return self._regulator

    @property
    def coefficient(self) -> float:
        """The coefficient in force in the open step."""
        # An evaluation before training starts meets a schedule that does not know the run's length yet.
        if self._evaluating and needs_total(self._regulator.controller):
            return 0.0
        return self._regulator.coefficient

    @property
    def steps(self) -> int:
        """Optimizer steps closed since the run began, those before a resume included."""
        return self._steps

    def bind_total(self, total_steps: int, total_rollouts: int | None = None) -> None:
        """Say how long the run is, or now is; counted from its start, also after a resume.

        Args:
            total_steps: optimizer steps.
            total_rollouts: rollout batches; as many as steps if None.

        Raises:
            ValueError: the controller counts rollout batches, and `total_rollouts` is not given.
        """
        self._total_steps = require_count("total_steps", total_steps, least=1)
        if total_rollouts is None and self._recipe.window != "step" and needs_total(self._recipe.controller):
            raise ValueError(
                f"recipe {self._recipe.name!r} moves once per rollout batch until the end of the run: pass "
                "`total_rollouts`, the number of rollout batches, beside `total_steps`."
            )
        windows = total_steps if self._recipe.window == "step" or total_rollouts is None else total_rollouts
        self._regulator.bind_total(windows)

    def stats(
        self, logits: Tensor, targets: Tensor, *, temperature: float = 1.0, logit_scale: Tensor | None = None
    ) -> TokenStats:
        """Return log-probs, entropy, the recipe's own measure and kept mass of every token.

        Args:
            logits: `[B, T, V]`.
            targets: `[B, T]`, the sampled tokens.
            temperature: divisor of the logits.
            logit_scale: `[B, T]`, set by a rollout edit (`batch.logit_scale`). The log-probs are then
                those of the scaled logits; the other three stay those of the policy that samples, without gradient.

        Returns:
            `ops.TokenStats` of `[B, T]`; `clamped_entropy` holds the recipe's measure.
        """
        if logit_scale is not None:
            with torch.no_grad():
                plain = self.stats(logits, targets, temperature=temperature)
            scaled = logits * logit_scale.to(logits.dtype).unsqueeze(-1)
            return plain._replace(logprobs=token_stats(scaled, targets, temperature=temperature).logprobs)
        measure = self._recipe.measure
        scale, support = measure.fused_scale(logits.shape[-1]), measure.support
        if scale is None:
            # No entropy by support: the measure itself is computed from the logits, which a loop of one's own has.
            stats = token_stats(logits, targets, temperature=temperature)
            return stats._replace(clamped_entropy=measure(logits, temperature=temperature))
        stats = token_stats(logits, targets, support=support, temperature=temperature)
        return stats if scale == 1 else stats._replace(clamped_entropy=stats.clamped_entropy * scale)

    def fresh(self, batch: TokenBatch) -> TokenBatch:
        """Show a whole batch of fresh rollouts, before any update on them; return it as the rollout edits leave it.

        The rollout batch before it is closed. Take the micro-batches from the returned batch (`TokenBatch.rows`,
        `TokenBatch.updated`), since the edits may have set advantages, weights and logit scales. Where they set a
        `logit_scale` (the recipe `era`), take the old log-probs again under it, so that the ratio starts at 1:

            old = control.stats(logits, targets, logit_scale=batch.logit_scale).logprobs
            batch = batch.replace(old_logprobs=old)

        Args:
            batch: the rollouts of this rank, whole groups; statistics of the policy that wrote them.
        """
        self.close_rollout()
        self._seen = True
        if "old_entropy" in self._recipe.needs and batch.old_entropy is None:
            batch = batch.replace(old_entropy=batch.entropy.detach())
        given, batch = batch.step, self._in_force(batch)
        if self._recipe.window == "fresh":
            self._regulator.observe_fresh(*signal_of(self._recipe, batch), self._reduce)
            batch = batch.replace(coef=self.coefficient)
        # The step of the rollouts is not that of later micro-batches taken from them.
        return apply_edits(self._recipe.rollout_edits, batch).replace(step=given)

    def micro_batch(self, batch: TokenBatch, *, also: Mapping[str, Tensor] | None = None) -> Applied:
        """Edit one micro-batch of the open step, compute the terms, and count it.

        Args:
            batch: statistics of the policy being trained, with gradient. In a step of several micro-batches or ranks,
                `num_tokens` is the number of response tokens of the whole step.
            also: further quantities `[B, T]` whose means `close_step` is to report, by name; the same in every
                micro-batch.

        Raises:
            UnseenError: the recipe had to see these rollouts fresh, or moves once per rollout batch, and `fresh` was
                not called.
            ValueError: the recipe has terms, and `num_tokens` is missing where this micro-batch is not the whole step;
                statistics that were measured without the batch's `logit_scale`.
        """
        if self._recipe.window != "step":
            self._require_seen()
        if batch.logit_scale is not None and batch.entropy.requires_grad:
            raise ValueError(
                f"recipe {self._recipe.name!r} scales the logits of this batch, and its statistics are those of the "
                "logits as they are: measure with `control.stats(..., logit_scale=batch.logit_scale)`."
            )
        whole = batch.num_tokens is None
        among_several = bool(self._open) and (whole or self._whole)
        # Without N each micro-batch would divide by its own tokens, and the terms would count several times.
        if self._recipe.terms and (among_several or (whole and self._ranks() > 1)):
            raise ValueError(
                "`num_tokens` must hold the response tokens of the whole step in every micro-batch of a step that has "
                f"several, or several ranks: recipe {self._recipe.name!r} divides its terms by it. If each is a step "
                "of its own, call `close_step` after every update."
            )
        applied = self.apply(batch)
        self.add(step_sums(self._recipe, batch, applied.loss, also))
        self._whole = whole
        return applied

    def apply(self, batch: TokenBatch) -> Applied:
        """Edit one micro-batch and compute the terms, without counting it: for hosts that may ask twice.

        Args:
            batch: as in `micro_batch`.

        Raises:
            UnseenError: the recipe had to see these rollouts fresh, and did not.
        """
        if self._recipe.rollout_edits or "old_entropy" in self._recipe.needs:
            self._require_seen()
        edited = apply_edits(self._recipe.edits, self._in_force(batch))
        return Applied(edited, recipe_loss(self._recipe, edited, world_size=self._ranks()))

    def _require_seen(self) -> None:
        if not self._seen and not self._evaluating:
            raise UnseenError(
                f"recipe {self._recipe.name!r} works on whole batches of fresh rollouts, and these never came by.",
                "Call `control.fresh(batch)` once per rollout batch, before the first update on it.",
            )

    def add(self, sums: Mapping[str, Tensor]) -> None:
        """Add the result of `step_sums`, computed here or in another process, to the open step.

        Raises:
            ValueError: other quantities than in the step's first micro-batch.
        """
        if self._open and self._open.keys() != sums.keys():
            odd = ", ".join(sorted(self._open.keys() ^ sums.keys()))
            raise ValueError(f"`also` must name the same quantities in every micro-batch of a step; not in all: {odd}.")
        self._open = {name: self._open[name] + value if self._open else value for name, value in sums.items()}
        self._names = tuple(self._open)

    def close_step(self) -> dict[str, float]:
        """End an optimizer step: return its means over all tokens of all ranks, and let the controller move.

        A collective: a rank that had no micro-batch in this step calls it like the others.

        Returns:
            `entropy`, `clamped_entropy`, `gap` (their difference) and `kept_mass`, nats and probability per token, and
            the quantities of `also`: left out where the step had no token; `bonus`, the terms' part of the loss;
            `coef`, in force in this step; `band_low` and `band_high` where the controller has a band.

        Raises:
            UnseenError: no micro-batch was seen since the last step.
        """
        ranks, seen = self._ranks(), bool(self._open)
        nothing = torch.zeros(len(self._names), dtype=torch.float64)
        sums = torch.stack(list(self._open.values())) if seen else nothing
        self._open = {}
        totals = dict(zip(self._names, (sums if self._reduce is None else self._reduce(sums)).tolist(), strict=True))
        signal = [totals.pop("signal"), totals.pop("signal_tokens")]
        tokens, bonus = totals.pop("tokens"), totals.pop("bonus")
        if not seen and not tokens:
            raise UnseenError(
                f"an optimizer step ended without recipe {self._recipe.name!r} having seen a micro-batch: it would "
                "train as if there were no recipe.",
                "Pass every micro-batch through `control.micro_batch`.",
            )
        means = {name: total / tokens for name, total in totals.items() if tokens}
        if tokens:
            means["gap"] = means["entropy"] - means["clamped_entropy"]
        # Every rank's share was multiplied by the number of ranks, because gradients are averaged over them.
        means |= {"bonus": bonus / ranks, "coef": self.coefficient}
        if band := self._regulator.band:
            means["band_low"], means["band_high"] = band
        if not self._evaluating:
            self._steps += 1
            # The sums are those of all ranks already, so the regulator reduces nothing, and its open window is global.
            self._regulator.add(Tally(torch.tensor(signal, dtype=torch.float64)))
            self._regulator.close_step()
            if self._rollout_ended:
                self._regulator.close_rollout()
                self._rollout_ended = False
        return means

    def close_rollout(self) -> None:
        """End a rollout batch: no further update is made on it. `fresh` calls it for the batch before.

        Within an open step the controller moves when that step closes, so that every step has one coefficient.
        """
        self._seen = False
        if self._open:
            self._rollout_ended = True
        else:
            self._regulator.close_rollout()

    def abandon_step(self) -> None:
        """Forget the open step, as after an interrupt: its update was never made."""
        self._open, self._rollout_ended = {}, False

    @contextmanager
    def evaluating(self) -> Generator[None]:
        """Inside the block nothing moves: fresh rollouts and steps are edited and measured, and do not count.

        Example:
            >>> import torch
            >>> from entrostat import Control, TokenBatch, recipes
            >>> control = Control(recipes.none())
            >>> with control.evaluating():
            ...     stats = control.stats(torch.zeros(1, 1, 4), torch.zeros(1, 1, dtype=torch.long))
            ...     _ = control.micro_batch(TokenBatch.of(stats, torch.ones(1, 1), advantages=torch.zeros(1)))
            ...     means = control.close_step()
            >>> round(means["entropy"], 4), control.steps
            (1.3863, 0)
        """
        before = self._open, self._names, self._whole, self._seen, self._rollout_ended, self._evaluating
        self._open, self._rollout_ended, self._evaluating = {}, False, True
        try:
            with self._regulator.evaluating():
                yield
        finally:
            self._open, self._names, self._whole, self._seen, self._rollout_ended, self._evaluating = before

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a resumed run, as a JSON-able dict that is the same on all ranks.

        Raises:
            RuntimeError: an optimizer step is open.
        """
        if self._open:
            raise RuntimeError("a step is open: save the state after `close_step`, not between two micro-batches.")
        return {
            "schema": _SCHEMA,
            "recipe": self._recipe.name,
            "steps": self._steps,
            "rollout": self._seen,
            "regulator": self._regulator.state_dict(),
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Continue from the dict that `state_dict` returned; nothing changes if it is rejected.

        Raises:
            ValueError: another recipe, controller or settings; a missing, unknown or damaged field.
        """
        require_fields("the saved control", _FIELDS, saved)
        for name, here in (("schema", _SCHEMA), ("recipe", self._recipe.name)):
            if saved[name] != here:
                raise ValueError(f"the saved control has {name} {saved[name]!r}, this one has {here!r}.")
        steps, seen = saved["steps"], saved["rollout"]
        require(isinstance(seen, bool), "rollout", "be true or false", seen)
        require_count("steps", steps)
        self._regulator.load_state_dict(saved["regulator"])
        self._steps, self._seen, self._open = steps, seen, {}

    def _in_force(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with coefficient, step and collectives of the open step; a step given by its maker stays."""
        changes: dict[str, Any] = {
            "coef": self.coefficient,
            "step": self._steps if batch.step is None else batch.step,
            "total_steps": batch.total_steps or self._total_steps,
        }
        if self._ranks() > 1:
            changes["gather"] = functools.partial(all_gather_ragged, all_gather=self._all_gather or _not_given)
        return batch.replace(**changes)

    def _ranks(self) -> int:
        """Return the number of ranks, counted when it is first asked for: process groups are often made late."""
        if self._world_size is None and self._reduce is not None:
            self._world_size = round(self._reduce(torch.ones(1, dtype=torch.float64)).item())
        if self._world_size is None:
            found = group_all_gather()
            self._world_size = 1
            if found is not None:
                self._world_size = torch.distributed.get_world_size()
                self._reduce, self._all_gather = _all_reduce, found
        return self._world_size


_OWN_LOOP = frozenset(HOST_OFFERS) - {"redraw"}


def _refuse_missing(recipe: Recipe, offers: frozenset[str]) -> None:
    if missing := sorted(recipe.needs - offers):
        wanted = "; ".join(f"`{name}` ({HOST_OFFERS[name]})" for name in missing)
        raise ValueError(
            f"recipe {recipe.name!r} needs {wanted}, which this loop does not offer. Choose another recipe."
        )


def require_recipe(recipe: object) -> None:
    """Raise `TypeError` unless `recipe` is a `Recipe`; a function that makes one is not."""
    if not isinstance(recipe, Recipe):
        raise TypeError(sentence("recipe", "be an entrostat Recipe, such as `entrostat.recipes.aent(...)`", recipe))


def refuse_scaled_terms(recipe: Recipe) -> None:
    """Raise `ValueError` if a recipe adds a term where it scales logits: the entropy there carries no gradient."""
    if "logit_scale" in recipe.needs and recipe.terms:
        raise ValueError(
            f"recipe {recipe.name!r} adds a term to edited logits, whose entropy carries no gradient. "
            "Drop the part with the term."
        )


def _not_given(value: Tensor) -> Sequence[Tensor]:
    raise ValueError("`all_gather` must be given to `Control`: an edit of this recipe compares all ranks' responses.")


def _all_reduce(value: Tensor) -> Tensor:
    # NCCL moves tensors of its own devices only; a rank without a micro-batch has its sums on the CPU.
    value = value.cuda() if torch.distributed.get_backend() == "nccl" else value
    torch.distributed.all_reduce(value)
    return value
