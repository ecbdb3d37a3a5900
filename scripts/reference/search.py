"""Optuna's samplers on Branin and Hartmann-6: the figures that `src/search/tests.rs` holds thawline's searches against.

    pip install optuna cmaes
    python scripts/reference/search.py          # writes tests/reference/search/optuna.json

For every function and sampler: the regret (best value found less the known minimum) after 60 trials asked one after
another, at seeds 0 to 9, sorted.
"""

import json
import math
import warnings
from pathlib import Path

import optuna

TRIALS, SEEDS = 60, 10


def branin(x):
    """Dixon and Szego 1978; both axes scaled to [0, 1], three equal minima of 0.397887."""
    a, b = 15 * x[0] - 5, 15 * x[1]
    square = b - 5.1 / (4 * math.pi**2) * a * a + 5 / math.pi * a - 6
    return square * square + 10 * (1 - 1 / (8 * math.pi)) * math.cos(a) + 10 - 0.39788735772973816


A = [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
P = [
    [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
    [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
    [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
    [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
]


def hartmann6(x):
    """Dixon and Szego 1978: six axes in [0, 1], one global minimum of -3.32237."""
    total = 0.0
    for alpha, a, p in zip([1.0, 1.2, 3.0, 3.2], A, P):
        total -= alpha * math.exp(-sum(ai * (xi - pi) ** 2 for ai, xi, pi in zip(a, x, p)))
    return total + 3.322368011415515


SAMPLERS = {
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "sobol": lambda seed: optuna.samplers.QMCSampler(qmc_type="sobol", scramble=True, seed=seed),
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "cma_es": lambda seed: optuna.samplers.CmaEsSampler(seed=seed),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
}


def regret(function, dimensions, sampler):
    study = optuna.create_study(sampler=sampler)
    study.optimize(lambda t: function([t.suggest_float(f"x{i}", 0, 1) for i in range(dimensions)]), n_trials=TRIALS)
    return study.best_value


def main():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    out = {"optuna": optuna.__version__, "trials": TRIALS, "regrets": {}}
    for name, function, dimensions in [("branin", branin, 2), ("hartmann6", hartmann6, 6)]:
        out["regrets"][name] = {}
        for method, sampler in SAMPLERS.items():
            found = sorted(regret(function, dimensions, sampler(seed)) for seed in range(SEEDS))
            out["regrets"][name][method] = [round(value, 6) for value in found]
            print(name, method, "median", (found[SEEDS // 2 - 1] + found[SEEDS // 2]) / 2, flush=True)
    path = Path(__file__).parents[2] / "tests/reference/search/optuna.json"
    path.write_text(json.dumps(out, indent=1).replace(",\n    ", ", ").replace("[\n    ", "[").replace("\n   ]", "]") + "\n")


if __name__ == "__main__":
    main()
