"""Reference values for the optimisers and learning-rate schedules: tests/reference/optimizers/{steps,schedules}.json.

Run with PyTorch 2.11: python scripts/reference/optimizers.py
"""

import json
import math
import warnings
from pathlib import Path

import torch

OUT = Path(__file__).parents[2] / "tests/reference/optimizers"


def wave(shape, frequency, phase):
    n = math.prod(shape)
    return torch.tensor([math.sin(frequency * i + phase) for i in range(n)], dtype=torch.float32).reshape(shape)


def steps(name, settings):
    shapes = {"matrix": ((3, 4), 0.3, 1.0), "kernel": ((2, 3, 2, 2), 0.7, 2.0), "bias": ((5,), 1.1, 3.0)}
    parameters = {k: torch.nn.Parameter(wave(*v)) for k, v in shapes.items()}
    groups = [
        {"params": [parameters["matrix"], parameters["kernel"]]},
        {"params": [parameters["bias"]], "lr": settings["lr"] * 0.2, "weight_decay": 0.0},
    ]
    rule = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    optimizer = rule(groups, **settings)
    for t in range(20):
        for i, p in enumerate(parameters.values()):
            p.grad = wave(p.shape, 0.5 + i, 0.37 * t)
        optimizer.step()
    return {"optimizer": {name: settings}, "result": {k: p.flatten().tolist() for k, p in parameters.items()}}


def schedule(spec, steps, per_epoch, make):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    factors = []
    for step in range(steps):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step + 1 < steps:
            scheduler.step()
    return {"schedule": spec, "steps": steps, "steps_per_epoch": per_epoch, "factors": factors}


def main():
    warnings.simplefilter("ignore")
    lr = torch.optim.lr_scheduler
    OUT.mkdir(parents=True, exist_ok=True)
    cases = [
        steps("sgd", {"lr": 0.1}),
        steps("sgd", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
        steps("sgd", {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1}),
        steps("adam", {"lr": 0.01}),
        steps("adam", {"lr": 0.02, "betas": [0.8, 0.99], "eps": 1e-6, "weight_decay": 0.1}),
        steps("adamw", {"lr": 0.02, "weight_decay": 0.1}),
    ]
    (OUT / "steps.json").write_text(json.dumps(cases, indent=1) + "\n")

    def warm_cosine(o):
        first = lr.LinearLR(o, start_factor=1 / 7, total_iters=6)
        return lr.SequentialLR(o, [first, lr.CosineAnnealingLR(o, T_max=14, eta_min=0.1)], milestones=[6])

    def one_cycle(steps, **kw):
        return lambda o: lr.OneCycleLR(o, max_lr=1.0, total_steps=steps, cycle_momentum=False, **kw)

    schedules = [
        schedule({"step": {"every": 2, "gamma": 0.5}}, 20, 4, lambda o: lr.StepLR(o, step_size=8, gamma=0.5)),
        schedule({"cosine": {"final_fraction": 0.1}}, 20, 4, lambda o: lr.CosineAnnealingLR(o, T_max=20, eta_min=0.1)),
        schedule({"cosine": {"warmup": 1.5, "final_fraction": 0.1}}, 20, 4, warm_cosine),
        schedule({"warmup": {"epochs": 1.5}}, 20, 4, lambda o: lr.LinearLR(o, start_factor=1 / 7, total_iters=6)),
        schedule({"one_cycle": {}}, 20, 4, one_cycle(20)),
        schedule({"one_cycle": {"pct_start": 0.95, "div_factor": 10.0}}, 10, 2, one_cycle(10, pct_start=0.95, div_factor=10.0)),
        schedule({"one_cycle": {"pct_start": 0.05, "final_div_factor": 100.0}}, 10, 2, one_cycle(10, pct_start=0.05, final_div_factor=100.0)),
    ]
    (OUT / "schedules.json").write_text(json.dumps(schedules, indent=1) + "\n")


if __name__ == "__main__":
    main()
