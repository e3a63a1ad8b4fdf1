"""A few steps of a training that leave nothing behind: how long it would take, and how much memory."""

import contextlib
import statistics
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from eavanet.sampling import plan_batches
from eavanet.train import Task, TrainState, peak_memory_mb, planned_batches, prepared, seed_epoch, train_step

STEPS = 10
WARM_UP = 2
VALIDATION_CLIPS = 3


class Stage(NamedTuple):
    """A stretch of the training in which a step costs the same. Times in seconds, of a step and a validation clip."""

    epochs: int
    step: float
    clip: float
    steps_measured: int


def rehearse(state: TrainState, task: Task, steps: int = STEPS) -> dict[str, Any]:
    """Take `steps` steps of each stage after two to warm up, and reckon from their median what all epochs take.

    The model of `state` is spoilt by it. Raises LossNotFinite as training would.
    """
    config, device = task.config, task.train.device
    parameters, trained, stages = list(state.model.parameters()), set(), []
    for epochs in config.stages:
        begun = sum(stage.epochs for stage in stages)
        state.epoch, state.optimizer = begun, task.system.optimizer(state.model, config, begun + 1)
        trained |= {id(parameter) for group in state.optimizer.param_groups for parameter in group["params"]}
        times = list(_step_times(state, task, steps))
        measured = times[WARM_UP:] or times
        stages.append(Stage(epochs, statistics.median(measured), _clip_time(state, task), len(measured)))
    per_epoch = len(planned_batches(task.sampler(task.train), task, 0))
    judged = len(task.validation.targets)
    in_all = sum(stage.epochs * (per_epoch * stage.step + judged * stage.clip) for stage in stages)
    return {
        "parameters": sum(p.numel() for p in parameters),
        "trained_parameters": sum(p.numel() for p in parameters if id(p) in trained),
        "steps_per_epoch": per_epoch,
        "steps_measured": sum(stage.steps_measured for stage in stages),
        "seconds_per_step": sum(stage.epochs * stage.step for stage in stages) / config.epochs,
        "seconds_per_epoch": in_all / config.epochs,
        "seconds_in_all": in_all,
        "memory_mb": peak_memory_mb(device),
        "device": task.manifest["environment"]["device"],
    }


def _step_times(state: TrainState, task: Task, steps: int) -> Iterator[float]:
    plan = planned_batches(task.sampler(task.train), task, 0)[: WARM_UP + steps]
    step, device = prepared(state.model, task), task.train.device
    seed_epoch(task.config.seed, 0, task.processes.rank)
    state.model.train()
    with contextlib.closing(task.train.batches(plan)) as batches:
        start = time.perf_counter()
        for batch in batches:
            train_step(step, state, batch, task.config, task.system)
            _wait_for(device)
            yield time.perf_counter() - start
            start = time.perf_counter()


@torch.no_grad()
def _clip_time(state: TrainState, task: Task) -> float:
    """Seconds that a validation clip takes; systems that speak frame by frame take longer for it than for a step."""
    pairs = task.sampler(task.validation).fixed(task.config.seed)[:VALIDATION_CLIPS]
    if not pairs:
        return 0.0
    state.model.eval()
    start = time.perf_counter()
    for batch in task.validation.batches(plan_batches(pairs, 1)):
        task.system.losses(state.model, batch, task.config, epoch=state.epoch)
    _wait_for(task.train.device)
    return (time.perf_counter() - start) / len(pairs)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def told(numbers: dict[str, Any]) -> str:
    """What `rehearse` found, in words."""
    return (
        f"{numbers['parameters']:,} parameters, of which {numbers['trained_parameters']:,} are trained; "
        f"{numbers['seconds_per_step']:.3f} s per step (median of {numbers['steps_measured']}), "
        f"{numbers['steps_per_epoch']} steps per epoch, about {numbers['seconds_per_epoch']:.0f} s per epoch and "
        f"{numbers['seconds_in_all'] / 3600:.2f} h in all; {numbers['memory_mb']:,.0f} MB on {numbers['device']}"
    )
