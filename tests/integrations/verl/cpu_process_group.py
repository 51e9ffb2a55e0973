"""The `external_lib` of the model: opens the worker's process group before verl would, which names a backend per device
("cpu:gloo,cpu:gloo" on a CPU, and torch refuses to have one device twice). verl keeps a group that is there."""

import os

import torch

if "WG_PREFIX" in os.environ and not torch.distributed.is_initialized():
    torch.distributed.init_process_group("gloo")
