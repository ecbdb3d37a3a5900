"""Reference values for training a head on features: tests/reference/optimizers/head.json.

Run with PyTorch 2.11: python scripts/reference/head.py
"""

import json
import math
from pathlib import Path

import torch

OUT = Path(__file__).parents[2] / "tests/reference/optimizers/head.json"
ROWS, INPUTS, BATCH, EPOCHS = 20, 6, 8, 3


def wave(n, frequency, phase):
    return torch.tensor([math.sin(frequency * i + phase) for i in range(n)], dtype=torch.float32)


def train(name, settings, weights, hidden=(), label_smoothing=0.0, clip_norm=None):
    classes = len(weights)
    widths = [INPUTS, *hidden, classes]
    layers = []
    for i, (a, b) in enumerate(zip(widths, widths[1:])):
        linear = torch.nn.Linear(a, b)
        linear.weight.data = wave(a * b, 0.37 + i, 0.5).reshape(b, a) * 0.3
        linear.bias.data = wave(b, 0.91 + i, 0.1) * 0.3
        layers += [linear, torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    features = wave(ROWS * INPUTS, 0.713, 0.2).reshape(ROWS, INPUTS)
    labels = torch.tensor([i * i % classes for i in range(ROWS)])
    loss_of = torch.nn.CrossEntropyLoss(torch.tensor(weights), label_smoothing=label_smoothing)
    rule = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    optimizer = rule(model.parameters(), **settings)
    for epoch in range(EPOCHS):
        order = [(7 * i + 3 * epoch) % ROWS for i in range(ROWS)]
        total = weight = 0.0
        for start in range(0, ROWS, BATCH):
            rows = order[start : start + BATCH]
            optimizer.zero_grad()
            loss = loss_of(model(features[rows]), labels[rows])
            loss.backward()
            if clip_norm:
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
            optimizer.step()
            batch_weight = sum(weights[i] for i in labels[rows])
            total, weight = total + loss.item() * batch_weight, weight + batch_weight
    return {
        "optimizer": {name: settings},
        "weights": weights,
        "hidden": list(hidden),
        "label_smoothing": label_smoothing,
        "clip_norm": clip_norm,
        "last_epoch_loss": total / weight,
        "result": [x for p in model.parameters() for x in p.flatten().tolist()],
    }


def main():
    cases = [
        train("sgd", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}, [1.0, 1.0]),
        train("sgd", {"lr": 0.05, "momentum": 0.8, "nesterov": True}, [0.5, 2.0, 1.5], label_smoothing=0.1, clip_norm=0.2),
        train("adam", {"lr": 0.01, "weight_decay": 0.01}, [0.5, 2.0, 1.5], hidden=(5, 4)),
        train("adamw", {"lr": 0.02, "weight_decay": 0.1}, [1.0, 1.0], hidden=(5,), clip_norm=0.3),
    ]
    OUT.write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
