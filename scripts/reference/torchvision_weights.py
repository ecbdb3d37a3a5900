#!/usr/bin/env python3
"""Writes src/backbones/weights/torchvision.tsv: what torchvision publishes for the backbones of the project's list.

A row is a backbone, the weights' name, and the file below https://download.pytorch.org/models/, whose name holds the
beginning of its SHA-256. Written with torchvision 0.26.0. Usage: torchvision_weights.py [OUTPUT]
"""

import re
import sys
from pathlib import Path

import torchvision.models as models

LISTED = """
resnet18 resnet34 resnet50 resnet101 resnet152 wide_resnet50_2 resnext50_32x4d
vgg11 vgg13 vgg16 vgg19 vgg11_bn vgg13_bn vgg16_bn vgg19_bn alexnet squeezenet1_0 squeezenet1_1
densenet121 densenet169 densenet201 mobilenet_v2 mobilenet_v3_small mobilenet_v3_large shufflenet_v2_x1_0
efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_v2_s
convnext_tiny convnext_small convnext_base regnet_y_400mf vit_b_16 vit_b_32 swin_t
""".split()
FOLDER = "https://download.pytorch.org/models/"


def main(output: Path) -> None:
    rows = []
    for name in LISTED:
        for weights in models.get_model_weights(name):
            url = weights.url
            assert url.startswith(FOLDER), url
            file = url[len(FOLDER) :]
            assert re.search(r"-[0-9a-f]{8,}\.pth$", file), file
            rows.append(f"{name}\t{weights.name}\t{file}\n")
    output.write_text("".join(rows), encoding="utf-8")


if __name__ == "__main__":
    default = Path(__file__).resolve().parents[2] / "src" / "backbones" / "weights" / "torchvision.tsv"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
