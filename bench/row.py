"""What a row is, and how thawline is run for one."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or HERE.parent / "target")
THAWLINE = Path(os.environ.get("THAWLINE") or TARGET / "debug" / "thawline")
CORES = os.cpu_count() or 1


@dataclass
class Row:
    """`sides`: name to function of a [`Place`] that returns `{"seconds": ..., ...}`; one is "ours". `goals`: the least ratio
    wanted of each peer, `None` for those that are only shown. `prepare` runs once before."""

    title: str
    sides: dict[str, Callable[[Place], dict]]
    goals: dict[str, float | None]
    prepare: Callable[[Place], object] | None = None


@dataclass
class Place:
    """The cache's folder of the benchmarks (`root`, with data/ and weights/) and one for the row alone (`own`)."""

    root: Path
    own: Path

    def data(self, name: str) -> Path:
        return self.root / "data" / name

    def project(self, name: str = "project") -> Path:
        """A fresh thawline project with the recipes of project/, an empty store, and links to data and weights."""
        folder = self.own / name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(HERE / "project", folder)
        for shared in ("data", "weights"):
            (folder / shared).symlink_to(self.root / shared)
        return folder


def thawline(project: Path, *arguments: str) -> dict:
    """Seconds and peak memory (bytes, of the largest process) of one command, timed from outside."""
    with open(project / "bench.log", "a", encoding="utf-8") as log:
        start = time.perf_counter()
        done = subprocess.run([THAWLINE, *arguments], cwd=project, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        elapsed = time.perf_counter() - start
    if done.returncode != 0:
        raise SystemExit((project / "bench.log").read_text(encoding="utf-8")[-4000:])
    return {"seconds": elapsed, "memory": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024}


def val_accuracy(project: Path, experiment: str) -> float:
    """The mean over all trials."""
    command = [THAWLINE, "results", experiment, "--format", "json"]
    trials = json.loads(subprocess.run(command, cwd=project, check=True, stdout=subprocess.PIPE).stdout)
    found = [value for trial in trials for name, value in trial["metrics"].items() if name.endswith("val/accuracy")]
    return sum(found) / len(found)


def run(place: Place, experiment: str) -> dict:
    """A cold run of a committed experiment: everything from the image files on."""
    project = place.project()
    path = f"experiments/{experiment}.yaml"
    took = thawline(project, "run", path, "--quiet")
    return {"seconds": took["seconds"], "accuracy": val_accuracy(project, path)}


def scaled(trials: int, *command: str) -> Callable[[Place], dict]:
    """A command on the experiment of so many trials, where its project is or in a fresh one; seconds are scaled to 100,000."""

    def side(place: Place) -> dict:
        project = place.own / str(trials)
        if not project.exists():
            place.project(str(trials))
        took = thawline(project, command[0], f"experiments/plan_{trials}.yaml", *command[1:])
        memory = f"{took['memory'] / 2**30:.2f} GiB"
        return {"seconds": took["seconds"] * 100_000 / trials, "measured": took["seconds"], "memory": memory}

    return side


@contextlib.contextmanager
def stopwatch(found: dict):
    start = time.perf_counter()
    yield
    found["seconds"] = time.perf_counter() - start
