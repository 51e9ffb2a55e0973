"""What a plan has to know of a model, counted on the model itself: built on torch's `meta` device, without memory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrostat.errors import require, require_count, require_finite, sentence

_EXPERT = re.compile(r"(^|\.)experts\.")
_ROUTERS = ("mlp.gate", "router", "shared_expert_gate")
_OUTPUTS = ("o_proj", "out_proj", "wo")


@dataclass(frozen=True, kw_only=True)
class Lora:
    """An adapter, as PEFT's `LoraConfig` describes it.

    Args:
        rank: rank of the adapters.
        targets: names of the linear layers that get one, or `all-linear`; empty for PEFT's choice.
        dropout: share of an adapter's inputs dropped.
    """

    rank: int = 16
    targets: tuple[str, ...] = ()
    dropout: float = 0.0

    def __post_init__(self) -> None:
        require_count("rank", self.rank, least=1)
        require(0 <= require_finite("dropout", self.dropout) < 1, "dropout", "lie in [0, 1)", self.dropout)


@dataclass(frozen=True, kw_only=True)
class Linear:
    """One linear layer of a block, outside experts and router."""

    owner: str
    """The module it belongs to: layers of one owner and one input width read the same tensor."""
    inputs: int
    output: bool
    """Whether it is attention's output projection."""
    adapted: bool


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """A model's sizes. Parameters are counted once where they are shared (tied embeddings)."""

    name: str
    parameters: int
    """All of them, without adapters."""
    trainable: int
    """Those that are trained: all, or the adapters."""
    active: int
    """Those one token passes through: without the experts it is not sent to."""
    block_parameters: int
    """Of the largest block, adapters included."""
    cast_parameters: int
    """Weights of matrix products in all blocks, without experts: what autocast copies."""
    embedding_parameters: int
    """Outside the blocks: embeddings, head, last norm."""
    layers: int
    hidden: int
    vocab: int
    """Rows of the head; may be more than the tokenizer knows."""
    heads: int
    kv_heads: int
    head_dim: int
    inner: int
    """Width of the feed-forward layer; with experts, of those every token passes through."""
    expert_inner: int
    """Width of one expert."""
    gated: bool
    norms: int
    """Norms of full width per block."""
    qk_norm: bool
    tied: bool
    softcap: bool
    experts: int
    experts_per_token: int
    linears: tuple[Linear, ...]
    """Of the largest block."""
    lora: Lora | None

    @property
    def queries(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_dim

    @property
    def keys(self) -> int:
        """Width of all key heads together; the values' is the same."""
        return self.kv_heads * self.head_dim

    @property
    def head_parameters(self) -> int:
        """Of the head's matrix."""
        return self.vocab * self.hidden


def read_shape(model: str, *, lora: Lora | None = None, trust_remote_code: bool = False) -> ModelShape:
    """Return the sizes of a model from its `config.json` alone; no weights are read.

    Args:
        model: directory with a `config.json`, or hub id.
        lora: the adapter it is trained with; None trains all of it.
        trust_remote_code: whether code that comes with the model may run, as for transformers.

    Raises:
        ValueError: there is no such config, or it is not one of a causal language model.
    """
    config = _config(model, trust_remote_code)
    return shape_of(config, name=model, lora=lora, trust_remote_code=trust_remote_code)


def meta_model(model: str, *, trust_remote_code: bool = False) -> Any:
    """Return the model on torch's `meta` device: every module, no weights.

    Raises:
        ValueError: as `read_shape`.
    """
    return _on_meta(_config(model, trust_remote_code), model, trust_remote_code)


def _config(model: str, trust_remote_code: bool) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(model, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        raise ValueError(_no_config(model, error)) from None


def _no_config(model: str, error: Exception) -> str:
    if Path(model).expanduser().is_dir():
        first = str(error).strip().splitlines()[0]
        return f"`model` must hold a readable config.json, got model={model!r}: {first}"
    return (
        f"`model` must be a directory with a config.json or a hub id whose config can be fetched, got model={model!r}, "
        "which could not be fetched here. Save its config.json into a directory and name that."
    )


def shape_of(config: Any, *, name: str = "", lora: Lora | None = None, trust_remote_code: bool = False) -> ModelShape:
    """Return the sizes of the model that a transformers config describes.

    Raises:
        ValueError: it is not a causal language model, or the adapter fits none of its layers.

    Example:
        >>> from transformers import LlamaConfig
        >>> tiny = LlamaConfig(
        ...     vocab_size=32, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
        ... )
        >>> shape_of(tiny).parameters == 2 * 32 * 8 + 4 * 8 * 8 + 3 * 8 * 16 + 3 * 8
        True
    """
    model = _on_meta(config, name, trust_remote_code)
    text = config.get_text_config()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    experts = sum(parameter.numel() for key, parameter in model.named_parameters() if _EXPERT.search(key))
    count, chosen = _experts(text) if experts else (0, 0)
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    trained = _adapted(model, lora) if lora is not None else model
    blocks = _blocks(trained, text.num_hidden_layers, name)
    everywhere = {id(parameter): parameter.numel() for parameter in trained.parameters()}
    inside = [_size(block) for block in blocks]
    block, heads = max(blocks, key=_size), text.num_attention_heads
    linears = _linears(block)
    return ModelShape(
        name=name or type(model).__name__,
        parameters=parameters,
        trainable=sum(parameter.numel() for parameter in trained.parameters() if parameter.requires_grad),
        active=parameters - (experts * (count - chosen) // count if count else 0),
        block_parameters=max(inside),
        cast_parameters=sum(map(_cast, blocks)),
        embedding_parameters=sum(everywhere.values()) - sum(inside),
        layers=len(blocks),
        hidden=text.hidden_size,
        vocab=model.get_output_embeddings().weight.shape[0],
        heads=heads,
        kv_heads=getattr(text, "num_key_value_heads", None) or heads,
        head_dim=getattr(text, "head_dim", None) or text.hidden_size // heads,
        inner=_inner(text, block, bool(experts)),
        expert_inner=int(getattr(text, "moe_intermediate_size", None) or text.intermediate_size) if experts else 0,
        gated=any("gate_proj" in key or "gate_up_proj" in key for key, _ in block.named_parameters()),
        norms=_norms(block, text.hidden_size),
        qk_norm=any("q_norm" in key for key, _ in block.named_parameters()),
        tied=tied,
        softcap=getattr(text, "final_logit_softcapping", None) is not None,
        experts=count,
        experts_per_token=chosen,
        linears=linears,
        lora=lora,
    )


def _on_meta(config: Any, name: str, trust_remote_code: bool) -> Any:
    import torch
    import transformers

    named = getattr(transformers, (config.architectures or [""])[0], None)
    try:
        with torch.device("meta"):
            if named is not None:
                return named._from_config(config)
            return transformers.AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    except (ValueError, AttributeError) as error:
        first = str(error).strip().splitlines()[0][:200]
        raise ValueError(
            f"`model` must be a causal language model, got {name or type(config).__name__!r}: {first}"
        ) from None


def _cast(block: Any) -> int:
    # Grouped products of experts are not on autocast's list.
    return sum(p.numel() for key, p in block.named_parameters() if p.dim() == 2 and not _EXPERT.search(key))


def _adapted(model: Any, lora: Lora) -> Any:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise ValueError("training with an adapter needs peft. Install it with: pip install peft.") from None
    targets = "all-linear" if lora.targets == ("all-linear",) else list(lora.targets) or None
    settings = LoraConfig(r=lora.rank, target_modules=targets, lora_dropout=lora.dropout)
    try:
        return get_peft_model(model, settings)
    except ValueError as error:
        raise ValueError(f"`targets` of the adapter fit no layer of this model: {str(error).splitlines()[0]}") from None


def _blocks(model: Any, layers: int, name: str) -> list[Any]:
    from torch.nn import ModuleList

    found = [list(one) for one in model.modules() if isinstance(one, ModuleList) and len(one) == layers]
    if not found:
        raise ValueError(sentence("model", f"have a list of {layers} blocks, as its config says", name))
    return max(found, key=lambda blocks: sum(map(_size, blocks)))


def _size(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _experts(text: Any) -> tuple[int, int]:
    for key in ("num_local_experts", "num_experts", "n_routed_experts"):
        if count := getattr(text, key, None):
            return int(count), int(getattr(text, "num_experts_per_tok", 1))
    return 0, 0


def _inner(text: Any, block: Any, experts: bool) -> int:
    if experts:
        modules = [(key.removesuffix(".base_layer"), module) for key, module in block.named_modules()]
        shared = [m for key, m in modules if key.endswith("down_proj") and not _EXPERT.search(key)]
        return sum(getattr(module, "in_features", 0) for module in dict.fromkeys(shared))
    inner = getattr(text, "intermediate_size", None) or getattr(text, "n_inner", None)
    return int(inner or 4 * text.hidden_size)


def _norms(block: Any, hidden: int) -> int:
    return sum(key.endswith("weight") and p.dim() == 1 and p.numel() == hidden for key, p in block.named_parameters())


def _linears(block: Any) -> tuple[Linear, ...]:
    from torch.nn import Linear as TorchLinear

    found: list[Linear] = []
    for path, module in block.named_modules():
        key = path.removesuffix(".base_layer")
        if not isinstance(module, TorchLinear) or "lora_" in path or _EXPERT.search(path) or key.endswith(_ROUTERS):
            continue
        owner, _, name = key.rpartition(".")
        output, adapted = name in _OUTPUTS, path != key
        found.append(Linear(owner=owner, inputs=module.in_features, output=output, adapted=adapted))
    return tuple(found)
