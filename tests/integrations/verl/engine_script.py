# ruff: noqa: E402, B905, C408
"""Run by test_engine.py in 1 or 2 gloo processes: verl's FSDP2 engine on the CPU against the objective written out.

engine_script.py RANK RANKS PORT RECIPE ROWS DTYPE OUT     ROWS: padded, or packed (use_remove_padding)
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

rank, ranks, port, recipe_name, layout, dtype, out = sys.argv[1:]
rank, ranks, packed = int(rank), int(ranks), layout == "packed"
os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(ranks), "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1"}
os.environ |= {"MASTER_PORT": port, "VERL_PLATFORM": "cpu", "VERL_ENGINE_VENDOR": "entrostat"}

import cpu_platform  # noqa: F401
import torch
from tensordict import TensorDict
from transformers import AutoModelForCausalLM, Qwen2Config
from verl.trainer.config import CheckpointConfig
from verl.utils import tensordict_utils as tu
from verl.workers.config import FSDPActorConfig, FSDPEngineConfig, FSDPOptimizerConfig, HFModelConfig
from verl.workers.engine import EngineRegistry
from verl.workers.utils.padding import response_from_nested

from entrostat import measures, recipes
from entrostat.integrations.verl import EntropyLoss
from entrostat.integrations.verl._rollouts import measuring_request

torch.set_num_threads(1)
torch.distributed.init_process_group("gloo")
VOCAB, TEMPERATURE, COEF = 64, 0.7, 0.05
folder = Path(out) / "model"
if rank == 0:
    torch.manual_seed(0)
    settings = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2)
    tiny = Qwen2Config(vocab_size=VOCAB, num_key_value_heads=1, tie_word_embeddings=False, **settings)
    AutoModelForCausalLM.from_config(tiny).save_pretrained(folder)
torch.distributed.barrier()

# Four responses of uneven length, dealt out to the ranks; two micro-batches on each.
generator = torch.Generator().manual_seed(1)
PROMPTS, LENGTHS = [2, 3, 2, 4], [5, 1, 3, 4]
rows = [torch.randint(0, VOCAB, (p + n,), generator=generator) for p, n in zip(PROMPTS, LENGTHS)]
old = [-3.9 - 0.4 * torch.rand(n, generator=generator) for n in LENGTHS]
advantages = [torch.randn(n, generator=generator) for n in LENGTHS]
masks = [torch.ones(n) for n in LENGTHS]
masks[2][1] = 0  # a tool wrote it

scales = [1.0 + torch.rand(n, generator=generator) for n in LENGTHS] if recipe_name == "era" else None
if recipe_name == "era":
    recipe = recipes.era(clip=0.2)
elif recipe_name == "clip_higher":
    recipe = recipes.clip_higher(low=0.1, high=0.3)
else:
    recipe = recipes.aent(low=0.1, high=0.2, keep=20, initial=COEF, ceiling=1.0)


class Look:
    """An edit that changes nothing: what the engine sends along has arrived."""

    sets = frozenset()

    def __call__(self, batch):
        assert (batch.vocab, batch.temperature, batch.coef) == (VOCAB, TEMPERATURE, COEF)
        return batch


def nested(values):
    return torch.nested.as_nested_tensor(values, layout=torch.jagged)


def share(values):
    return [values[i] for i in range(len(rows)) if i % ranks == rank]


model_config = HFModelConfig(
    path=str(folder), load_tokenizer=False, use_remove_padding=packed, enable_gradient_checkpointing=False,
    override_config={"attn_implementation": "eager"},
)  # fmt: skip
engine = EngineRegistry.new(
    model_type="language_model", backend="fsdp2", model_config=model_config,
    engine_config=FSDPEngineConfig(
        strategy="fsdp2", use_torch_compile=False, use_remove_padding=packed, use_dynamic_bsz=False,
        micro_batch_size_per_gpu=1 if ranks > 1 else 2, use_orig_params=True,
        mixed_precision={"param_dtype": dtype, "reduce_dtype": "fp32", "buffer_dtype": "fp32"},
    ),
    optimizer_config=FSDPOptimizerConfig(lr=0.1, total_training_steps=10), checkpoint_config=CheckpointConfig(),
)  # fmt: skip
engine.initialize()
actor = FSDPActorConfig(strategy="fsdp2", rollout_n=1, ppo_micro_batch_size_per_gpu=1)
loss = EntropyLoss(config=actor, recipe=recipe.with_edits(Look()))
data = tu.get_tensordict(
    tensor_dict={
        "input_ids": nested(share(rows)),
        "position_ids": nested([torch.arange(len(row)) for row in share(rows)]),
        "prompts": nested([row[:p] for row, p in zip(share(rows), share(PROMPTS))]),
        "responses": nested([row[p:] for row, p in zip(share(rows), share(PROMPTS))]),
        "response_mask": nested(share(masks)), "loss_mask": nested(share(masks)),
        "old_log_probs": nested(share(old)), "advantages": nested(share(advantages)),
    },
    non_tensor_dict={
        "temperature": TEMPERATURE, "global_batch_size": 4, "use_remove_padding": packed, "use_dynamic_bsz": False,
        "micro_batch_size_per_gpu": 1 if ranks > 1 else 2, "use_fused_kernels": False, "entrostat_coef": COEF,
    },
)  # fmt: skip
assert isinstance(data, TensorDict)
tu.assign_non_tensor(data, entrostat_edited=True)
plain = data.copy()
if scales:
    data["entrostat_logit_scale"] = nested(share(scales))
with engine.train_mode():
    engine.optimizer_zero_grad()
    output = engine.forward_backward_batch(data, loss, forward_only=False)
    # Leaving the mode clears them.
    grads = {name: parameter.grad.full_tensor() for name, parameter in engine.module.named_parameters()}

# The pass over fresh rollouts: no loss; the driver's request goes along with the data.
tu.assign_non_tensor(plain, **measuring_request(recipes.ucas()) | measuring_request(recipes.siren(top_p=0.5)))
with engine.eval_mode():
    fresh = engine.infer_batch(plain)["model_output"]

# The objective written out, on the unsharded model and all four responses.
model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)
tokens = float(sum(mask.sum() for mask in masks))
total, entropy_sum = torch.zeros(()), 0.0
for i, (row, p, before, advantage, mask) in enumerate(zip(rows, PROMPTS, old, advantages, masks)):
    logits = model(row[None]).logits[0, p - 1 : -1] / TEMPERATURE
    logits = logits * scales[i][:, None] if scales else logits
    ratio = (logits.log_softmax(-1).gather(1, row[p:, None])[:, 0] - before).exp()
    low, high = (0.1, 0.3) if recipe_name == "clip_higher" else (0.2, 0.2)
    surrogate = torch.minimum(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)
    surrogate = torch.where(advantage < 0, torch.maximum(surrogate, 3.0 * advantage), surrogate)
    total = total - (surrogate * mask).sum() / tokens
    clamped = measures.top_k(logits, k=20) if recipe_name == "aent" else measures.shannon(logits)
    entropy_sum += float((clamped.detach() * mask).sum())
    if recipe_name == "aent":
        total = total - COEF * (clamped * mask).sum() / tokens
total.backward()
expected = {name: parameter.grad for name, parameter in model.named_parameters()}
asked = {
    "entrostat_entropy": [],
    "entrostat_clamped_entropy": [],
    "entrostat_mean_logit": [],
    "entrostat_target_logit": [],
}
with torch.no_grad():
    for row, p in zip(share(rows), share(PROMPTS)):
        raw = model(row[None]).logits[0, p - 1 : -1]
        asked["entrostat_entropy"].append(measures.shannon(raw, temperature=TEMPERATURE))
        asked["entrostat_clamped_entropy"].append(measures.nucleus(raw, top_p=0.5, temperature=TEMPERATURE))
        asked["entrostat_mean_logit"].append(raw.mean(-1))
        asked["entrostat_target_logit"].append(raw.gather(1, row[p:, None])[:, 0])
far = 0.0
for key, values in asked.items():
    ours = response_from_nested(fresh[key], data["response_mask"]).unbind()
    far = max(far, *[float((one - other).abs().max()) for one, other in zip(ours, values)])
scale = max(float(grad.abs().max()) for grad in expected.values())
difference = max(float((grads[name] - expected[name]).abs().max()) for name in expected)
sums = [m.aggregate() for m in [output["metrics"]["entrostat/sum/clamped_entropy"]]]
gathered = [None] * ranks
torch.distributed.all_gather_object(gathered, sums[0])
result = {
    "engine": type(engine).__name__, "names": sorted(grads) == sorted(expected), "difference": difference / scale,
    "fresh": far, "clamped": sum(gathered) / ranks / tokens, "expected_clamped": entropy_sum / tokens,
}  # fmt: skip
(Path(out) / f"rank{rank}.json").write_text(json.dumps(result))
torch.distributed.destroy_process_group()
