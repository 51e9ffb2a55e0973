"""Rollouts on a CPU, through verl's own registries: `actor_rollout_ref.rollout.name=scripted`.

One Ray actor holds a copy of the model, gets verl's weights after every step, and samples token by token. What it
answers depends on the weights, the step and the prompt alone, so a resumed run can be held against one that went on.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import ray
import torch
from verl.workers.rollout.base import _ROLLOUT_REGISTRY, BaseRollout
from verl.workers.rollout.replica import RolloutReplica, RolloutReplicaRegistry, TokenOutput

NAME = "scripted"


class Server:
    """Samples; the methods are those that verl calls on a rollout server."""

    def __init__(self, path: str, length: int) -> None:
        from transformers import AutoConfig, AutoModelForCausalLM

        torch.set_num_threads(1)
        config = AutoConfig.from_pretrained(path)
        self._model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
        self._end, self._length, self._step = config.eos_token_id, length, 0
        self._asked: Counter[tuple[int, ...]] = Counter()

    def load(self, weights: dict[str, torch.Tensor], step: int) -> None:
        self._model.load_state_dict(weights)
        self._step, self._asked = step, Counter()

    @torch.inference_mode()
    def generate(self, prompt_ids: list[int], sampling_params: dict[str, Any], **_: Any) -> TokenOutput:
        ids, logprobs = list(prompt_ids), []
        self._asked[tuple(ids)] += 1
        generator = torch.Generator().manual_seed(hash((self._step, self._asked[tuple(ids)], *ids)) % 2**31)
        while len(ids) < len(prompt_ids) + self._length and (not logprobs or ids[-1] != self._end):
            logits = self._model(torch.tensor([ids])).logits[0, -1] / max(sampling_params["temperature"], 1e-3)
            token = int(torch.multinomial(logits.softmax(-1), 1, generator=generator))
            ids.append(token)
            logprobs.append(float(logits.log_softmax(-1)[token]))
        facts = {"global_steps": self._step}
        answer = ids[len(prompt_ids) :]
        return TokenOutput(token_ids=answer, log_probs=logprobs, stop_reason="completed", extra_fields=facts)

    def sleep(self) -> None:
        pass

    wake_up = clear_kv_cache = release_kv_cache = resume_kv_cache = resume_generation = sleep


def _name(replica: int) -> str:
    return f"scripted_server_{replica}"


class ScriptedReplica(RolloutReplica):
    """Starts the server."""

    async def launch_servers(self) -> None:
        options = {"name": _name(self.replica_rank), "num_cpus": 0}
        server = ray.remote(Server).options(**options).remote(self.model_config.path, self.config.response_length)
        await server.sleep.remote()
        self.servers, self._server_handle, self._server_address = [server], server, _name(self.replica_rank)


class ScriptedRollout(BaseRollout):
    """The worker's end: hands the weights on, from the first rank of each replica."""

    async def resume(self, tags: list[str]) -> None:
        pass

    async def release(self) -> None:
        pass

    async def update_weights(self, weights: Any, global_steps: int = 0, **_: Any) -> None:
        held = {name: tensor.detach().clone() for name, tensor in weights}
        ranks = self.config.tensor_model_parallel_size
        replica, place = divmod(torch.distributed.get_rank(), ranks)
        if place == 0:
            await ray.get_actor(_name(replica)).load.remote(held, global_steps)


RolloutReplicaRegistry.register(NAME, lambda: ScriptedReplica)
_ROLLOUT_REGISTRY[NAME, "async"] = f"{__name__}.{ScriptedRollout.__name__}"
