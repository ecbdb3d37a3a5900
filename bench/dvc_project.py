"""DVC's side of the rows that are about what a tool costs a stage."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path


def pipeline(folder: Path, stages: int) -> Path:
    """A project whose stages each write a small file."""
    folder.mkdir(parents=True)
    dvc(folder, "init", "--no-scm", "--quiet")
    dvc(folder, "config", "core.analytics", "false")
    text = "stages:\n"
    for number in range(stages):
        text += f"  s{number}:\n    cmd: echo {number} > out{number}\n    outs:\n      - out{number}\n"
    (folder / "dvc.yaml").write_text(text, encoding="utf-8")
    return folder


def finish(folder: Path, stages: int) -> None:
    """Puts what the stages would have written on record, in one process: as if `dvc repro` had run."""
    for number in range(stages):
        (folder / f"out{number}").write_text(f"{number}\n", encoding="utf-8")
    dvc(folder, "commit", "--force", "--quiet")


def repro(folder: Path) -> dict:
    start = time.perf_counter()
    dvc(folder, "repro", "--quiet")
    return {"seconds": time.perf_counter() - start}


def dvc(folder: Path, *arguments: str) -> None:
    environment = dict(os.environ, DVC_NO_ANALYTICS="1")
    program = Path(sys.executable).parent / "dvc"
    subprocess.run([program, *arguments], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
