"""Makes tests/reference/backbones/*.json: what PyTorch computes with each backbone, for weights that a formula fills.

Run with Python, torch 2.11, torchvision and timm from the project's root:  python scripts/reference/backbones.py CHECKPOINT

CHECKPOINT is the published EfficientNet-Lite0 (`make fetch`): on its weights the network written here is checked against
timm's, and the classes of one drawn image become predict.json. Also writes src/backbones/imagenet_classes.txt.

The formula (src/nn/tests.rs fills the same tensors with it). All integers are 64-bit and wrap:
  hash(name)  FNV-1a of the name's bytes
  u(name, i)  splitmix64's output for the state hash + i * 0x9E3779B97F4A7C15, its top 24 bits as a fraction, in [-1, 1)
  tensors     convolution and classifier weights u * sqrt(3 / fan_in); running_var 1 + u / 2; norm weights 1 + u / 5;
              everything else u / 10; inputs 1.5 u. Computed in float64, stored in float32.
"""

import json
import pathlib
import sys

import numpy as np
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

OUT = pathlib.Path("tests/reference/backbones")


def u(name, count):
    with np.errstate(over="ignore"):
        h = np.uint64(0xCBF29CE484222325)
        for byte in name.encode():
            h = (h ^ np.uint64(byte)) * np.uint64(0x100000001B3)
        z = h + (np.arange(count, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2**23 - 1


def value(name, shape):
    x = u(name, int(np.prod(shape)))
    if name.startswith("input"):
        x = 1.5 * x
    elif name.endswith("running_var"):
        x = 1 + x / 2
    elif name.endswith("weight") and len(shape) > 1:
        x = x * np.sqrt(3 / np.prod(shape[1:]))
    elif name.endswith("weight"):
        x = 1 + x / 5
    else:
        x = x / 10
    return torch.from_numpy(x.astype(np.float32)).reshape(shape)


def fill(model):
    model.load_state_dict(
        {n: t if n.endswith("num_batches_tracked") else value(n, tuple(t.shape)) for n, t in model.state_dict().items()}
    )
    return model


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's "SAME" padding."""

    def forward(self, x):
        pads = []
        for size, k, s in zip(reversed(x.shape[2:]), reversed(self.kernel_size), reversed(self.stride)):
            total = max((-(-size // s) - 1) * s + k - size, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(F.pad(x, pads))


def conv(inputs, outputs, kernel, stride=1, groups=1):
    return SameConv(inputs, outputs, kernel, stride, groups=groups, bias=False)


def norm(channels):
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.1)


class MBConv(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride, expand):
        super().__init__()
        width = inputs * expand
        self.expand = expand != 1
        if self.expand:
            self._expand_conv, self._bn0 = conv(inputs, width, 1), norm(width)
        self._depthwise_conv, self._bn1 = conv(width, width, kernel, stride, width), norm(width)
        self._project_conv, self._bn2 = conv(width, outputs, 1), norm(outputs)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x):
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expand else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.shortcut else y


class Lite0(nn.Module):
    """EfficientNet-Lite0 in the names of the published checkpoint."""

    def __init__(self):
        super().__init__()
        self._conv_stem, self._bn0 = conv(3, 32, 3, 2), norm(32)
        blocks, inputs = [], 32
        for kernel, stride, expand, outputs, repeats in [
            (3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4), (3, 1, 6, 320, 1),
        ]:  # fmt: skip
            for i in range(repeats):
                blocks.append(MBConv(inputs, outputs, kernel, stride if i == 0 else 1, expand))
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = conv(320, 1280, 1), norm(1280)
        self._fc = nn.Linear(1280, 1000)

    def blocks(self):
        stem = lambda x: F.relu6(self._bn0(self._conv_stem(x)))
        top = lambda x: F.relu6(self._bn1(self._conv_head(x)))
        return [("stem", stem)] + [(f"blocks.{i}", b) for i, b in enumerate(self._blocks)] + [("top", top)]

    def classify(self, x):
        return self._fc(x)


class ResNet18(torchvision.models.ResNet):
    def __init__(self):
        super().__init__(torchvision.models.resnet.BasicBlock, [2, 2, 2, 2])

    def blocks(self):
        stem = lambda x: self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return [("stem", stem)] + [(f"layer{i}", getattr(self, f"layer{i}")) for i in (1, 2, 3, 4)]

    def classify(self, x):
        return self.fc(x)


def logits(model, x):
    for _, block in model.blocks():
        x = block(x)
    return model.classify(x.mean((2, 3)))


def numbers(t, count=None):
    return [float(f"{v:.8g}") for v in t.detach().flatten()[:count].tolist()]


def summary(t):
    return {"shape": list(t.shape), "mean": float(f"{t.double().mean():.8g}"), "first": numbers(t, 4), "last": numbers(t.flatten()[-4:])}


def describe(model, classifier, depth, watched):
    model = fill(model).eval()
    out = {"parameters": sum(p.numel() for n, p in model.named_parameters() if not n.startswith(classifier))}
    out["tensors"] = {
        n: list(t.shape) for n, t in model.state_dict().items() if not n.startswith(classifier) and not n.endswith("tracked")
    }
    with torch.no_grad():
        x = value("input", (2, 3, 64, 64))
        out["logits"] = [numbers(row) for row in logits(model, x)]
        out["blocks"] = {}
        for name, block in model.blocks():
            x = block(x)
            out["blocks"][name] = summary(x)
        x = value("input.odd", (1, 3, 65, 50))
        for _, block in model.blocks():
            x = block(x)
        out["odd"] = summary(x)
    # Three forwards in training mode. The gradients are those of the last one's mean times a fixed pattern, after `depth`
    # blocks: through all of EfficientNet's, rounding errors grow until they move activations across the kinks of ReLU6.
    model.train()
    for step in range(3):
        x = value(f"input.{step}", (4, 3, 64, 64))
        for i, (_, block) in enumerate(model.blocks()):
            x = block(x)
            if i == depth - 1:
                y = x
    (y * value("input.pattern", tuple(y.shape))).mean().backward()
    named = dict(model.named_parameters())
    out["gradients"] = {n: summary(named[n].grad) for n in watched}
    out["running"] = {
        n: summary(t) for n, t in model.state_dict().items() if n.rsplit(".", 1)[-1] in ("running_mean", "running_var")
    }
    return out


def published(checkpoint, classes):
    import timm

    ours = Lite0()
    ours.load_state_dict(torch.load(checkpoint, weights_only=True))
    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    # Both list their tensors in forward order.
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values())))
    ours, theirs = ours.eval(), theirs.eval()
    y, x = torch.meshgrid(torch.arange(224), torch.arange(224), indexing="ij")
    disc = ((y - 112) ** 2 + (x - 112) ** 2 < 70**2)[..., None]
    pixels = torch.where(disc, torch.tensor([200, 90, 20]), torch.tensor([235, 240, 245])).permute(2, 0, 1)[None]
    with torch.no_grad():
        odd = value("input", (2, 3, 65, 50))
        difference = (logits(ours, odd) - theirs(odd)).abs().max().item()
        print(f"largest difference to timm's logits on the published weights: {difference:.2g}")
        assert difference < 1e-4
        scores, indices = logits(ours, (pixels.float() - 127) / 128).softmax(1)[0].topk(5)
    return [{"index": i, "class": classes[i], "score": s} for i, s in zip(indices.tolist(), numbers(scores))]


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    resnet = describe(
        ResNet18(), "fc.", 5, ["conv1.weight", "bn1.bias", "layer2.0.downsample.0.weight", "layer3.1.bn2.weight", "layer4.1.conv2.weight"]
    )  # fmt: skip
    lite = describe(
        Lite0(), "_fc.", 3, ["_conv_stem.weight", "_blocks.0._bn1.bias", "_blocks.1._bn0.weight", "_blocks.1._depthwise_conv.weight"]
    )  # fmt: skip
    for name, content in [("resnet18", resnet), ("efficientnet_lite0", lite)]:
        (OUT / f"{name}.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")
        print(name, content["parameters"], "parameters, largest logit", np.abs(content["logits"]).max())
    classes = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    assert len(classes) == 1000
    pathlib.Path("src/backbones/imagenet_classes.txt").write_text("".join(f"{c}\n" for c in classes))
    (OUT / "predict.json").write_text(json.dumps(published(sys.argv[1], classes), indent=1) + "\n")


main()
