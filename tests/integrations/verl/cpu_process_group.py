"""The `external_lib` of the model, imported in every worker: two things that verl does as only a GPU can.

It opens the process group before verl would, which names a backend per device ("cpu:gloo,cpu:gloo" on a CPU, and torch
refuses to have one device twice); verl keeps a group that is there. And it has a reference model offloaded to ordinary
memory, where verl asks for pinned memory, which torch has for GPUs alone.
"""

import os

import torch
from verl.workers.engine.fsdp import transformer_impl

if (policy := transformer_impl.CPUOffloadPolicy) is not None:
    transformer_impl.CPUOffloadPolicy = lambda pin_memory: policy(pin_memory=False)

if "WG_PREFIX" in os.environ and not torch.distributed.is_initialized():
    torch.distributed.init_process_group("gloo")
