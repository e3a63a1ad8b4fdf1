"""Several GPUs: one process each, started by `torchrun`; alone, everything here does nothing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import distributed, nn


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this is."""

    rank: int = 0
    world: int = 1
    device: torch.device = torch.device("cpu")

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model, averaging its gradients over the processes."""
        if self.world == 1:
            return model
        ids = [self.device.index] if self.device.type == "cuda" else None
        # LayerDrop and SpecAugment leave out parameters in some steps.
        return nn.parallel.DistributedDataParallel(model, device_ids=ids, find_unused_parameters=True)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """The mean over the processes."""
        if self.world == 1:
            return values
        shared = torch.from_numpy(np.array(values, dtype=np.float32)).to(self.device)
        distributed.all_reduce(shared)
        return (shared / self.world).cpu().numpy()


@contextmanager
def joined(device: str | None) -> Iterator[Processes]:
    """Take part in what `torchrun` started, or be the only one. device None: a GPU if there is one."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank, local = int(os.environ.get("RANK", "0")), int(os.environ.get("LOCAL_RANK", "0"))
    chosen = chosen_device(device, local)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if world == 1:
        yield Processes(device=chosen)
        return
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Processes(rank, world, chosen)
    finally:
        distributed.destroy_process_group()


def chosen_device(name: str | None, local_rank: int = 0) -> torch.device:
    """The device called `name`, by default a GPU if there is one. Raises ValueError if it is not there."""
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device {name!r}: expected cpu, cuda or cuda:<number>") from error
    if device.type == "cuda":
        index = local_rank if device.index is None else device.index
        if index >= torch.cuda.device_count():
            raise ValueError(f"device {name}: this machine has {torch.cuda.device_count()} usable GPUs; try cpu")
        return torch.device("cuda", index)
    return device
