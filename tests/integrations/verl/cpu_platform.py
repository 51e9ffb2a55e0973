"""verl ships no CPU platform; its registry takes one. VERL_USE_EXTERNAL_MODULES brings this into every process."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from verl.plugin.platform.platform_cuda import PlatformCUDA
from verl.plugin.platform.platform_manager import PlatformRegistry

# What verl asks of `torch.cuda`, for the one device that has no memory of its own to report.
DEVICE = SimpleNamespace(
    is_available=lambda: True,
    device_count=lambda: 1,
    current_device=lambda: 0,
    set_device=lambda index: None,
    synchronize=lambda *_: None,
    empty_cache=lambda: None,
    ipc_collect=lambda: None,
    memory_allocated=lambda *_: 0,
    memory_reserved=lambda *_: 0,
    max_memory_allocated=lambda *_: 0,
    max_memory_reserved=lambda *_: 0,
    mem_get_info=lambda *_: (0, 0),
    set_per_process_memory_fraction=lambda *_: None,
    get_device_name=lambda *_: "CPU",
    get_rng_state=torch.get_rng_state,
    set_rng_state=torch.set_rng_state,
)


@PlatformRegistry.register(platform="cpu")
class PlatformCPU(PlatformCUDA):
    """The CPU in place of a GPU: gloo, and Ray's GPU slots as mere numbers."""

    device_name = "cpu"
    device_module = DEVICE
    vendor_name = "none"

    def is_available(self):
        return True

    def current_device(self):
        return torch.device("cpu")

    def communication_backend_name(self):
        return "gloo"

    def set_device(self, device_index):
        pass

    def synchronize(self, device_index=None):
        pass

    def empty_cache(self):
        pass

    def set_allocator_settings(self, settings):
        pass

    def manual_seed(self, seed):
        torch.manual_seed(seed)

    manual_seed_all = manual_seed
