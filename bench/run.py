#!/usr/bin/env python3
"""Measures thawline beside its peers: `make bench [ONLY=name] [PAIRS=5]`.

A row (rows/*.py) is one piece of work, done by thawline and by one or more peers. Each round runs every side once, in a
process of its own, so that all sides see the same weather on a busy machine. A line a peer is printed:

    bench <row>[/<peer>] ratio=<median> goal=<goal> ours=<s> peer=<s> spread=<min..max>

A ratio is one of a round, and higher is better for thawline. Peers without a goal are shown for comparison.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "scripts")]

import fetch  # noqa: E402
import rows  # noqa: E402


def main(arguments: list[str]) -> None:
    names = sorted(module.name for module in pkgutil.iter_modules(rows.__path__))
    parser = argparse.ArgumentParser(description="Measure thawline beside its peers.")
    parser.add_argument("row", nargs="*", help=f"any of {', '.join(names)} (default: all)")
    parser.add_argument("--pairs", type=int, default=5, help="rounds a row (default: 5)")
    chosen = parser.parse_args(arguments)
    for name in chosen.row:
        if name not in names:
            parser.error(f"no row {name!r}; there are {', '.join(names)}")
    python = peers(fetch.cache_folder() / "peers")
    place = fetch.cache_folder() / "bench"
    place.mkdir(exist_ok=True)
    subprocess.run([python, str(HERE / "data.py"), str(place)], check=True)
    for name in chosen.row or names:
        measure(name, chosen.pairs, python, place)


def peers(folder: Path) -> str:
    """The Python that has the peers, installed if requirements.txt asks for others than are there."""
    python, stamp = folder / "venv" / "bin" / "python", folder / "requirements.txt"
    wanted = (HERE / "requirements.txt").read_text(encoding="utf-8")
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        print(f"bench: setting up the peers in {folder} (some gigabytes)", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "-r", str(HERE / "requirements.txt")]
        subprocess.run(install, check=True)
        stamp.write_text(wanted, encoding="utf-8")
    return str(python)


def measure(name: str, pairs: int, python: str, place: Path) -> None:
    row = importlib.import_module(f"rows.{name}").ROW
    print(f"# {name}: {row.title}", flush=True)
    folder = place / "rows" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if row.prepare:
        side(name, "prepare", python, place)
    found: dict[str, list[dict]] = {side: [] for side in row.sides}
    for number in range(pairs):
        for one in row.sides:
            found[one].append(side(name, one, python, place))
            print(f"#   {number + 1}/{pairs} {one}: {told(found[one][-1])}", flush=True)
    ours = found["ours"]
    for peer, goal in row.goals.items():
        ratios = [theirs["seconds"] / own["seconds"] for own, theirs in zip(ours, found[peer])]
        label = name if peer == "peer" else f"{name}/{peer}"
        print(
            f"bench {label} ratio={number_of(statistics.median(ratios))} goal={'-' if goal is None else goal}"
            f" ours={seconds(ours)} peer={seconds(found[peer])}"
            f" spread={number_of(min(ratios))}..{number_of(max(ratios))}{accuracy(ours, found[peer])}",
            flush=True,
        )
    shutil.rmtree(folder, ignore_errors=True)


def side(name: str, side: str, python: str, place: Path) -> dict:
    """What one side took, in a process of its own."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(os.cpu_count()), PYTHONDONTWRITEBYTECODE="1")
    command = [python, str(HERE / "side.py"), name, side, str(place)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"bench: {name} {side} failed")
    return json.loads(done.stdout.splitlines()[-1])


def seconds(sides: list[dict]) -> str:
    return number_of(statistics.median(side["seconds"] for side in sides))


def accuracy(ours: list[dict], theirs: list[dict]) -> str:
    """Validation accuracy of both, where both trained to the end."""
    both = [[side["accuracy"] for side in sides if "accuracy" in side] for sides in (ours, theirs)]
    if not all(both):
        return ""
    own, other = (statistics.median(values) for values in both)
    return f" accuracy={own:.4f}/{other:.4f}"


def told(found: dict) -> str:
    return ", ".join(f"{key} {number_of(value) if isinstance(value, float) else value}" for key, value in found.items())


def number_of(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main(sys.argv[1:])
