"""Writes tests/reference/metrics/cases.json: random predictions with the metrics that scikit-learn 1.9 gives for them.

    python scripts/reference/metrics.py

Probabilities are multiples of 1/64, so that ties are common and the file says them exactly.
"""

import json
import pathlib
import warnings

import numpy as np
import sklearn.metrics as sk

BINS = 15


def probabilities(rng, n, classes, denominator=64):
    return rng.multinomial(denominator, rng.dirichlet(np.full(classes, 0.7), size=n)) / denominator


def top_k(labels, p, k):
    """scikit-learn takes the last of equal scores first, we the first: flip the classes."""
    classes = p.shape[1]
    return sk.top_k_accuracy_score(classes - 1 - labels, p[:, ::-1], k=k, labels=np.arange(classes))


def ece(labels, p):
    """As written in Guo et al. 2017."""
    confidence, hit = p.max(1), p.argmax(1) == labels
    total = 0.0
    for low, high in zip(np.arange(BINS) / BINS, np.arange(1, BINS + 1) / BINS):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.mean() * abs(hit[inside].mean() - confidence[inside].mean())
    return total


def auroc(labels, p):
    classes = p.shape[1]
    if classes == 2:
        return sk.roc_auc_score(labels, p[:, 1])
    return sk.roc_auc_score(labels, p, multi_class="ovr", average="macro", labels=np.arange(classes))


def case(name, labels, p):
    classes = p.shape[1]
    everything = np.arange(classes)
    predicted = p.argmax(1)
    metrics = {
        "accuracy": sk.accuracy_score(labels, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, predicted),
        "macro_f1": sk.f1_score(labels, predicted, average="macro", zero_division=0),
        "auroc": auroc(labels, p),
        "ece": ece(labels, p),
        "log_loss": sk.log_loss(labels, p, labels=everything),
    }
    if classes > 2:
        metrics |= {f"top_{k}": top_k(labels, p, k) for k in (2, 5) if k < classes}
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        labels, predicted, labels=everything, zero_division=0
    )
    return {
        "name": name,
        "classes": classes,
        "labels": labels.tolist(),
        "probabilities": p.ravel().tolist(),
        "metrics": {k: float(v) for k, v in metrics.items() if np.isfinite(v)},
        "precision": precision.tolist(),
        "recall": recall.tolist(),
        "f1": f1.tolist(),
        "support": support.tolist(),
        "confusion": sk.confusion_matrix(labels, predicted, labels=everything).tolist(),
    }


def main():
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    cases = []
    for classes in (2, 3, 7):
        n = 24 if classes == 2 else 42
        p = probabilities(rng, n, classes)
        # Half right, so that the metrics are not those of chance.
        labels = np.where(rng.random(n) < 0.5, p.argmax(1), rng.integers(0, classes, n))
        labels[:classes] = np.arange(classes)
        cases.append(case(f"{classes} classes", labels, p))
        cases.append(case(f"{classes} classes, coarse ties", labels, probabilities(rng, n, classes, 4)))
        cases.append(case(f"{classes} classes, the last one absent", np.minimum(labels, classes - 2), p))
    cases.append(case("one image", np.array([1]), np.array([[0.25, 0.5, 0.25]])))
    certain = np.eye(3)[rng.integers(0, 3, 12)]
    cases.append(case("certain, and sometimes wrong", np.arange(12) % 3, certain))
    path = pathlib.Path(__file__).parents[2] / "tests/reference/metrics/cases.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


main()
