"""A few steps of a training that leave nothing behind: how long it would take, and how much memory."""

import contextlib
import statistics
import time
from typing import Any

import torch

from eavanet.sampling import IntercrossSampler
from eavanet.train import Task, TrainState, peak_memory_mb, planned_batches, prepared, seed_epoch, train_step

STEPS = 10
WARM_UP = 2
_FORWARD_SHARE = 1 / 3  # of a step's time, as a validation clip takes; forward, backward and update weigh about alike


def rehearse(state: TrainState, task: Task, steps: int = STEPS) -> dict[str, Any]:
    """Take `steps` steps after two to warm up, and reckon from their median what all epochs take.

    The model of `state` is spoilt by it. Raises LossNotFinite as training would.
    """
    config, device = task.config, task.train.device
    plan = planned_batches(IntercrossSampler(task.train.targets, task.train.pool), task, 0)
    step = prepared(state.model, task)
    seed_epoch(config.seed, 0, task.processes.rank)
    state.model.train()
    times = []
    with contextlib.closing(task.train.batches(plan[: WARM_UP + steps])) as batches:
        start = time.perf_counter()
        for batch in batches:
            train_step(step, state, batch, config)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - start)
            start = time.perf_counter()
    per_step = statistics.median(times[WARM_UP:] or times)
    validation = len(task.validation.targets) * per_step / config.batch_size * _FORWARD_SHARE
    per_epoch = len(plan) * per_step + validation
    parameters = list(state.model.parameters())
    return {
        "parameters": sum(p.numel() for p in parameters),
        "trained_parameters": sum(p.numel() for p in parameters if p.requires_grad),
        "steps_per_epoch": len(plan),
        "steps_measured": max(1, len(times) - WARM_UP),
        "seconds_per_step": per_step,
        "seconds_per_epoch": per_epoch,
        "seconds_in_all": per_epoch * config.epochs,
        "memory_mb": peak_memory_mb(device),
        "device": task.manifest["environment"]["device"],
    }


def told(numbers: dict[str, Any]) -> str:
    """What `rehearse` found, in words."""
    return (
        f"{numbers['parameters']:,} parameters, of which {numbers['trained_parameters']:,} are trained; "
        f"{numbers['seconds_per_step']:.3f} s per step (median of {numbers['steps_measured']}), "
        f"{numbers['steps_per_epoch']} steps per epoch, about {numbers['seconds_per_epoch']:.0f} s per epoch and "
        f"{numbers['seconds_in_all'] / 3600:.2f} h in all; {numbers['memory_mb']:,.0f} MB on {numbers['device']}"
    )
