#!/usr/bin/env python3
"""Checks `thawline export` and `thawline predict` against PyTorch: trains a small resnet18, exports it in both formats, loads
the files into torchvision's with strict=True and compares the probabilities. The same for a TorchScript network with a head.

Run with Python, torch 2.11, torchvision, safetensors and Pillow:  python -P scripts/reference/export.py target/debug/thawline
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import torch
import torchvision
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

PIPELINE = """
stages:
  photos: { dataset: { image_folder: photos, split: { train: 0.5, val: 0.25, test: 0.25 } } }
  views: { augment: { images: photos, size: 64, eval: [{ resize: [64, 64] }] } }
  thaw: { freeze_schedule: { phases: [{ train: all, epochs: 2, lr: 0.02 }] } }
  tuned: { fine_tune: { images: views, backbone: resnet18, weights: none, batch_size: 8, schedule: thaw } }
  score: { evaluate: { model: tuned } }
"""


def main(thawline: str) -> None:
    def resnet18(root: pathlib.Path, classes: int) -> torch.nn.Module:
        return torchvision.models.resnet18(num_classes=classes)

    check(thawline, "resnet18, weights: none", resnet18)
    check(thawline, "{ torchscript: net.pt }", Scripted)


class Scripted(torch.nn.Module):
    def __init__(self, root: pathlib.Path, classes: int) -> None:
        super().__init__()
        self.network = torch.jit.load(root / "net.pt")
        self.head = torch.nn.Linear(512, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.network(x).mean((2, 3)))


def check(thawline: str, backbone: str, build) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        draws = numpy.random.default_rng(0)
        for label, tone in enumerate(["dark", "light"]):
            (root / "photos" / tone).mkdir(parents=True)
            for i in range(16):
                pixels = draws.integers(90 * label, 90 * label + 160, (64, 64, 3), dtype=numpy.uint8)
                Image.fromarray(pixels).save(root / "photos" / tone / f"{i}.png")
        (root / "pipeline.yaml").write_text(PIPELINE.replace("resnet18, weights: none", backbone))
        torch.manual_seed(0)
        features = torch.nn.Sequential(*list(torchvision.models.resnet18().children())[:-2])
        torch.jit.script(features).save(root / "net.pt")

        def run(*arguments: str) -> str:
            command = [str(pathlib.Path(thawline).resolve()), *arguments]
            return subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout

        run("run", "pipeline.yaml")
        trial = json.loads(run("results", "pipeline", "--format", "json"))[0]["trial"]
        run("export", trial, "-o", "model.safetensors")
        run("export", trial, "--format", "torch", "-o", "model.pth")
        expected = [json.loads(line) for line in run("predict", trial, "photos", "--format", "jsonl").splitlines()]

        state = torch.load(root / "model.pth", weights_only=True)
        metadata = json.loads(state.thawline)
        with safe_open(root / "model.safetensors", "pt") as file:
            assert json.loads(file.metadata()["thawline"]) == metadata
        classes, preprocessing = metadata["classes"], metadata["preprocessing"]
        mean, std = (torch.tensor(preprocessing[name]).view(3, 1, 1) for name in ("mean", "std"))
        for name, loaded in [("torch", state), ("safetensors", load_file(root / "model.safetensors"))]:
            model = build(root, len(classes)).eval()
            model.load_state_dict(loaded, strict=True)
            images = [numpy.asarray(Image.open(root / line["image"])) for line in expected]
            x = torch.stack([torch.from_numpy(image.copy()).permute(2, 0, 1) / 255 for image in images])
            with torch.no_grad():
                logits = model((x - mean) / std).double()
            found = logits.softmax(1)
            wanted = torch.zeros_like(found)
            for row, line in zip(wanted, expected):
                for top in line["top"]:
                    row[top["index"]] = top["score"]
            gap = (found - wanted).abs().max().item()
            log_gap = ((found[:, 0] / found[:, 1]).log() - (wanted[:, 0] / wanted[:, 1]).log()).abs().max().item()
            print(f"{backbone}, {name}: probabilities differ by at most {gap:.1e}, differences of logits by {log_gap:.1e}")
            assert gap < 1e-5 and log_gap < 1e-4


if __name__ == "__main__":
    main(sys.argv[1])
