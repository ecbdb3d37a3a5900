"""TorchScript files, and what training them gives: tests/reference/torchscript/{scripted,traced,frozen,restless}.pt and steps.json.

Run with PyTorch 2.11: python scripts/reference/torchscript.py
"""

import copy
import json
import math
from pathlib import Path

import torch
from torch import nn

OUT = Path(__file__).parents[2] / "tests/reference/torchscript"


class Net(nn.Module):
    """A convolution that is used twice under two names, normalisation of two kinds, dropout."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(6)
        self.mix = nn.Conv2d(6, 6, 1)
        self.again = nn.Conv2d(6, 6, 1)
        self.again.weight = self.mix.weight
        self.norm = nn.GroupNorm(2, 6)
        self.drop = nn.Dropout(0.5)
        self.out = nn.Linear(6, 5)
        self.scale = nn.Parameter(torch.ones(5))

    def forward(self, x):
        x = torch.relu(self.bn(self.stem(x)))
        x = self.norm(self.mix(x) + self.again(torch.relu(x)))
        return self.out(self.drop(x.mean((2, 3)))) * self.scale


def wave(shape, frequency, phase):
    n = math.prod(shape)
    return torch.tensor([math.sin(frequency * i + phase) for i in range(n)], dtype=torch.float32).reshape(shape)


def pixels(n, size):
    count = n * size * size * 3
    values = [(i * 37 + (i // 11) * 101 + (i // (size * size * 3)) * 59) % 256 for i in range(count)]
    return torch.tensor(values, dtype=torch.uint8).reshape(n, size, size, 3)


def steps(net, settings, batch_norm, norms_only=False):
    """Three steps on four images, as one block: everything but batch normalisation in evaluation mode."""
    net = copy.deepcopy(net).eval()
    if batch_norm:
        net.bn.train()
    head = nn.Linear(5, 2)
    with torch.no_grad():
        head.weight.copy_(wave((2, 5), 0.9, 0.3))
        head.bias.zero_()
    decayed, others = [], []
    for name, parameter in [*net.named_parameters(), *head.named_parameters(prefix="head")]:
        of_norm = name.startswith(("bn.", "norm."))
        if norms_only and not of_norm and not name.startswith("head."):
            parameter.requires_grad_(False)
        elif name.endswith("weight") and not of_norm:
            decayed.append(parameter)
        else:
            others.append(parameter)
    groups = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=0.05, momentum=0.9, weight_decay=settings["weight_decay"])
    x = (pixels(4, 12).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(head(net(x)), torch.tensor([0, 1, 0, 1]))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    state = {f"network.{name}": tensor.flatten().tolist() for name, tensor in net.state_dict().items()}
    state |= {f"head.0.{name}": tensor.flatten().tolist() for name, tensor in head.state_dict().items()}
    return {"batch_norm": batch_norm, "norms_only": norms_only, **settings, "losses": losses, "state": state}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    net = Net()
    with torch.no_grad():
        for i, parameter in enumerate(net.parameters()):
            parameter.copy_(0.5 * wave(parameter.shape, 0.7, i) + (parameter.dim() == 1))
    torch.jit.script(net).save(OUT / "scripted.pt")
    example = torch.rand(2, 3, 12, 12)
    torch.jit.trace(net.eval(), example).save(OUT / "traced.pt")
    torch.jit.freeze(torch.jit.script(net.eval())).save(OUT / "frozen.pt")
    # Traced as it trains: dropout draws, and statistics move, whatever mode it is set to.
    torch.jit.trace(copy.deepcopy(net).train(), example, check_trace=False).save(OUT / "restless.pt")
    cases = [
        steps(net, {"weight_decay": 0.01}, batch_norm=True),
        steps(net, {"weight_decay": 0.0}, batch_norm=False),
        steps(net, {"weight_decay": 0.0}, batch_norm=True, norms_only=True),
    ]
    (OUT / "steps.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
