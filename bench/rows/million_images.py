"""1,000,000 small images: from an empty store to a dataset that is divided, beside the same with 100,000, ten times.

Linear means a ratio of 1. Wanted besides: at most 30 s, told on the lines of the rounds with the memory of the largest process. The
files are PNGs of 4 x 4 pixels in 100 folders: 1,000 contents under 1,000,000 names (hard links), so that they fit any disk."""

import os
import random
import struct
import zlib
from pathlib import Path

from row import Place, Row, thawline

CLASSES, CONTENTS = 100, 1000
PIPELINE = """stages:
  photos:   { dataset: { image_folder: data/%s, sample: 3000, split: { train: 0.6, val: 0.2, test: 0.2 } } }
  views:    { augment: { images: photos, size: 32 } }
  features: { extract_features: { images: views, backbone: efficientnet_lite0, weights: none } }
  probe:    { train_head: { features: features, epochs: 1, optimizer: { sgd: { lr: 0.1 } } } }
  score:    { evaluate: { model: probe } }
"""


def png(draws: random.Random) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + draws.randbytes(4) for _ in range(4))
    header = struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def make(folder: Path, count: int) -> None:
    done = folder / ".complete"
    if done.exists():
        return
    draws = random.Random(0)
    for name in range(CLASSES):
        (folder / f"class{name:03}").mkdir(parents=True, exist_ok=True)
    paths = [folder / f"class{i % CLASSES:03}" / f"{i:07}.png" for i in range(count)]
    for i, path in enumerate(paths):
        path.unlink(missing_ok=True)
        if i < CONTENTS:
            path.write_bytes(png(draws))
        else:
            os.link(paths[i % CONTENTS], path)
    done.touch()


def side(count: int):
    def measured(place: Place) -> dict:
        project = place.project(str(count))
        recipe = project / "pipelines" / "million_images.yaml"
        recipe.parent.mkdir(exist_ok=True)
        recipe.write_text(PIPELINE % f"small_{count}")
        # What a plan hashes, the run does not hash again: the index is both. What is trained of 3,000 images comes to a second.
        took = thawline(project, "run", "pipelines/million_images.yaml", "--quiet")
        again = thawline(project, "plan", "pipelines/million_images.yaml", "--quiet")
        return {
            "seconds": took["seconds"] * 1_000_000 / count,
            "measured": took["seconds"],
            "planned_again": again["seconds"],
            "memory": f"{took['memory'] / 2**30:.2f} GiB",
        }

    return measured


def prepare(place: Place) -> None:
    for count in (100_000, 1_000_000):
        make(place.data(f"small_{count}"), count)


ROW = Row(
    title="1,000,000 small images indexed: peer is 100,000, ten times",
    sides={"ours": side(1_000_000), "peer": side(100_000)},
    goals={"peer": 0.8},
    prepare=prepare,
)
