"""`python -m eavanet.slurm`: the same training on a Slurm cluster, by submitit; a job that is requeued goes on.

    python -m eavanet.slurm --partition gpu --time 24:00:00 --gpus 4 -- --preset paper --name first --split paper

What stands behind `--` is for `python -m eavanet.train`. The data root must be on a disk that the nodes share. With
several GPUs there is one process for each. When the time is over, or the job is preempted, it is put into the queue
again and resumes from its last checkpoint. Needs the extra `slurm`.
"""

import argparse
import contextlib
import io
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from db import store
from eavanet.records import JOB_VARIABLE

ROOT = Path(__file__).resolve().parents[1]
REQUEUES = 50


class NotSubmitted(RuntimeError):
    """The cluster did not take the job; the message says why."""


@dataclass
class ResumableTraining:
    """A training as a job. Called, it begins, or goes on where there is a checkpoint; so a requeued job loses nothing.

    arguments: of `python -m eavanet.train`, with the run's name. data and database: as the submitting machine has them.
    """

    name: str
    arguments: list[str]
    data: str
    database: str

    def __call__(self) -> str:
        """Train until the end. Raises RuntimeError if it ends otherwise; the log says why."""
        from eavanet.train_command import main

        os.environ |= {"EAVANET_DATA": self.data, "EAVANET_DATABASE_URL": self.database}
        for inherited in (JOB_VARIABLE, "EAVANET_PROGRESS"):
            os.environ.pop(inherited, None)
        _join_tasks()
        status = main(arguments_now(self.name, self.arguments))
        if status:
            raise RuntimeError(f"run {self.name} ended with exit status {status}; see its log")
        return self.name

    def checkpoint(self) -> Any:
        """What submitit puts into the queue again when the job's time is over: this same training."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def arguments_now(name: str, arguments: list[str]) -> list[str]:
    """What to call `python -m eavanet.train` with: as given, or to resume if the run has a checkpoint by now."""
    from eavanet.run import Run
    from eavanet.train_command import parser

    given = parser().parse_args(arguments)
    if given.resume or not Run(name).exists:
        return arguments
    kept = [(f"--{key}", getattr(given, key)) for key in ("epochs", "device", "threads")]
    more = [str(part) for flag, value in kept if value is not None for part in (flag, value)]
    return ["--resume", "--name", name, *more]


def main(arguments: list[str] | None = None) -> int:
    """Submit a training; returns the exit status."""
    ours, theirs = _divided(sys.argv[1:] if arguments is None else arguments)
    given = _parser().parse_args(ours)
    try:
        training = _training(theirs)
        job = submit(training, given)
        told = {"job": job.job_id, "run": training.name, "log": str(job.paths.stdout)}
        print(json.dumps(told) if given.json else "job {job}: trains run {run}, log in {log}".format(**told))
        return _waited(job, training.name) if given.wait else 0
    except (ValueError, OSError, NotSubmitted) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def submit(training: ResumableTraining, given: argparse.Namespace) -> Any:
    """Hand the training to Slurm, or to a process on this machine (`--local`); the submitit job.

    Raises ValueError for resources that cannot be, NotSubmitted if submitit or Slurm is not there, or Slurm refuses.
    """
    resources = _resources(given, training.name)
    try:
        import submitit
    except ImportError as error:
        raise NotSubmitted("submitit is not installed; pip install 'eavanet-workbench[slurm]'") from error
    # Nodes start in another environment: they find this checkout, and nothing of the app that may have asked.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    folder = store.data_root() / "slurm" / "%j"
    cluster = "local" if given.local else "slurm"
    try:
        executor = submitit.AutoExecutor(folder, cluster=cluster, **{f"{cluster}_max_num_timeout": given.requeues})
        executor.update_parameters(**resources)
        return executor.submit(training)
    except (RuntimeError, submitit.core.utils.FailedSubmissionError, submitit.core.utils.FailedJobError) as error:
        raise NotSubmitted(f"Slurm did not take the job ({error}); is this machine part of a cluster?") from error


def minutes(text: str) -> int:
    """A time as Slurm writes it: minutes, H:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS. Raises ValueError."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text.strip())
    if not found:
        raise ValueError(f"time {text!r}: expected minutes, H:MM:SS or D-HH:MM:SS")
    days, first, second, third = (int(part) if part else None for part in found.groups())
    if days is not None:
        total = days * 1440 + first * 60 + (second or 0) + (third or 0) / 60
    elif third is not None:
        total = first * 60 + second + third / 60
    else:
        total = first + (second or 0) / 60
    if total < 1:
        raise ValueError(f"time {text!r}: is less than a minute")
    return int(total)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eavanet.slurm", usage="%(prog)s [options] -- arguments of python -m eavanet.train",
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--partition", help="default: the cluster's own")
    parser.add_argument("--time", default="24:00:00", help="until it is requeued, H:MM:SS or D-HH:MM:SS (a day)")
    parser.add_argument("--gpus", type=int, default=1, help="per node; 0 for the processor (default: 1)")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--cpus", type=int, default=4, help="per process (default: 4)")
    parser.add_argument("--memory-gb", type=int, default=32, help="per node (default: 32)")
    parser.add_argument("--requeues", type=int, default=REQUEUES, help=f"at most so often (default: {REQUEUES})")
    parser.add_argument("--sbatch", action="append", default=[], metavar="KEY=VALUE", help="such as account=lab; any "
                        "other option of sbatch")  # fmt: skip
    parser.add_argument("--local", action="store_true", help="as a process on this machine instead, to try it out")
    parser.add_argument("--wait", action="store_true", help="until it has ended")
    parser.add_argument("--json", action="store_true")
    return parser


def _divided(arguments: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def _training(arguments: list[str]) -> ResumableTraining:
    """Refuses here, not hours later in the queue, what the training would not understand."""
    from eavanet.settings import chosen_preset, read_settings
    from eavanet.train_command import free_name, parser

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            given = parser().parse_args(arguments)
    except SystemExit as error:
        raise ValueError(f"python -m eavanet.train: {said.getvalue().strip().splitlines()[-1]}") from error
    if not given.resume:
        read_settings(given)
    if given.name is None:
        if given.resume:
            raise ValueError("--resume needs --name, the run to go on with")
        given.name = free_name(chosen_preset(given))
        arguments = [*arguments, "--name", given.name]
    name = store.checked_name(given.name, "run")
    return ResumableTraining(name, arguments, str(store.data_root()), store.database_url())


def _resources(given: argparse.Namespace, name: str) -> dict[str, Any]:
    for option, least in (("gpus", 0), ("nodes", 1), ("cpus", 1), ("memory_gb", 1), ("requeues", 0)):
        if getattr(given, option) < least:
            raise ValueError(f"--{option.replace('_', '-')} {getattr(given, option)}: must be at least {least}")
    resources: dict[str, Any] = {
        "name": f"eavanet-{name}", "timeout_min": minutes(given.time), "nodes": given.nodes,
        "gpus_per_node": given.gpus, "tasks_per_node": max(1, given.gpus), "cpus_per_task": given.cpus,
        "mem_gb": given.memory_gb,
    }  # fmt: skip
    if given.partition:
        resources["slurm_partition"] = given.partition
    wrong = [pair for pair in given.sbatch if "=" not in pair]
    if wrong:
        raise ValueError(f"--sbatch {wrong[0]}: expected KEY=VALUE, such as account=lab")
    if given.sbatch:
        resources["slurm_additional_parameters"] = dict(pair.split("=", 1) for pair in given.sbatch)
    return resources


def _join_tasks() -> None:
    """Tell torch which of the job's processes this is, as `torchrun` does; alone, nothing."""
    from submitit import JobEnvironment
    from submitit.helpers import TorchDistributedEnvironment

    if JobEnvironment().num_tasks > 1:
        TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)


def _waited(job: Any, name: str) -> int:
    try:
        job.result()
        return 0
    except Exception:  # submitit hands on whatever the job ended with, as text
        printed = job.paths.stderr.read_text(errors="replace") if job.paths.stderr.exists() else ""
        errors = [line for line in printed.splitlines() if line.startswith("error:")]
        why = f" ({errors[-1].removeprefix('error:').strip()})" if errors else ""
        print(f"error: run {name} did not finish{why}; its log is {job.paths.stderr}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    # By its name, so that the nodes find the class again.
    from eavanet.slurm import main as submit_training

    raise SystemExit(submit_training())
