"""Writes the SciPy, statsmodels, scikit-learn and cleanlab values that the tests of src/report/ compare with.

    python scripts/reference/statistics.py

Needs scipy, statsmodels, scikit-learn and cleanlab.
"""

import json
import re
from itertools import product
from pathlib import Path

import numpy as np
import pandas
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from scipy import stats
from scipy.special import gammaln
from sklearn.metrics import precision_recall_curve, roc_curve
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

OUT = Path(__file__).resolve().parents[2] / "tests/reference/statistics"
generator = np.random.default_rng(20)


def numbers(values):
    return [float(value) for value in np.ravel(values)]


def quantiles():
    return [[float(df), float(stats.t.ppf(0.975, df))] for df in (1, 2, 3, 4, 9, 29, 99, 2.7, 1000)]


def t_tests():
    cases = []
    for a_count, b_count in ((5, 5), (3, 3), (2, 2), (5, 3), (30, 30), (10, 4)):
        a = generator.normal(0.87, 0.01, a_count).round(4)
        b = generator.normal(0.86, 0.02, b_count).round(4)
        welch = stats.ttest_ind(a, b, equal_var=False)
        case = {"a": numbers(a), "b": numbers(b), "welch": [*numbers(welch.confidence_interval(0.95)), float(welch.pvalue)]}
        if a_count == b_count:
            paired = stats.ttest_rel(a, b)
            case["paired"] = [*numbers(paired.confidence_interval(0.95)), float(paired.pvalue)]
            difference, train, test = a - b, 900, 100
            # Nadeau & Bengio's corrected variance, with SciPy's t distribution.
            error = np.sqrt((1 / a_count + test / train) * difference.var(ddof=1))
            low, high = stats.t.interval(0.95, a_count - 1, difference.mean(), error)
            p = 2 * stats.t.sf(abs(difference.mean() / error), a_count - 1)
            case["corrected"] = {"train": train, "test": test, "values": numbers([low, high, p])}
            n = a_count
            if n > 2:
                factor = np.exp(gammaln((n - 1) / 2) - gammaln((n - 2) / 2)) / np.sqrt((n - 1) / 2)
                case["hedges"] = float(factor * difference.mean() / difference.std(ddof=1))
        cases.append(case)
    return cases


def mcnemars():
    pairs = ((0, 0), (1, 0), (5, 5), (12, 3), (40, 61), (300, 251), (0, 9))
    return [[a, b, float(mcnemar([[7, a], [b, 9]], exact=True).pvalue)] for a, b in pairs]


def holms():
    lists = ([0.01, 0.04, 0.03, 0.005], [0.5], [0.9, 0.8, 0.0001], [0.02, 0.02, 0.02])
    return [{"p": p, "adjusted": numbers(multipletests(p, method="holm")[1])} for p in lists]


def ranks():
    cases = []
    for data_sets, arms, ties in ((5, 3, False), (12, 4, False), (8, 6, True), (30, 10, False), (4, 3, True)):
        scores = generator.uniform(0.6, 0.9, (data_sets, arms))
        scores += np.linspace(0, 0.1, arms)
        scores = scores.round(1 if ties else 6)
        test = stats.friedmanchisquare(*scores.T)
        mean = np.mean([stats.rankdata(-row) for row in scores], axis=0)
        q = stats.studentized_range.ppf(0.95, arms, np.inf) / np.sqrt(2)
        cases.append({
            "scores": scores.tolist(),
            "mean": numbers(mean),
            "chi_squared": float(test.statistic),
            "p": float(test.pvalue),
            "critical_difference": float(q * np.sqrt(arms * (arms + 1) / (6 * data_sets))),
        })
    return cases


def components():
    """Two-way random effects of correctness, by the mean squares of statsmodels' analysis of variance."""
    cases = []
    for images, repeats, spread in ((40, 3, 0.0), (60, 5, 0.1), (119, 4, 0.05)):
        ability = generator.normal(0.0, 1.0, (images, 1)) + generator.normal(0.0, spread, (1, repeats))
        a = (ability + generator.normal(0.9, 0.7, (images, repeats)) > 0).astype(int)
        b = (ability + generator.normal(0.5, 0.7, (images, repeats)) > 0).astype(int)
        frame = pandas.DataFrame([
            {"d": a[i, r] - b[i, r], "image": i, "repeat": r} for i in range(images) for r in range(repeats)
        ])
        table = anova_lm(ols("d ~ C(image) + C(repeat)", frame).fit())
        of_images, of_repeats, rest = table["mean_sq"][["C(image)", "C(repeat)", "Residual"]]
        n, r = images, repeats
        interaction = rest / (n * r)
        between = max(of_repeats / (n * r), interaction)
        image_part = max(of_images / (n * r) - interaction, 0.0)
        variance = image_part + between
        between_freedom = (r - 1) * (n - 1 if between == interaction else 1)
        freedom = variance**2 / (image_part**2 / (n - 1) + between**2 / between_freedom)
        low, high = stats.t.interval(0.95, freedom, frame["d"].mean(), np.sqrt(variance))
        cases.append({
            "a": a.T.tolist(), "b": b.T.tolist(), "images": float(image_part), "repeats": float(between - interaction),
            "interaction": float(interaction), "freedom": float(freedom), "interval": [float(low), float(high)],
        })
    return cases


def budgets():
    """Expected best of k draws with replacement, by enumeration of all of them."""
    scores = [0.71, 0.74, 0.74, 0.8, 0.65]
    best = lambda k, of: float(np.mean([of(draw) for draw in product(scores, repeat=k)]))
    return {"scores": scores, "max": [best(k, max) for k in range(1, 6)], "min": [best(k, min) for k in range(1, 6)]}


def predictions(images, classes, noise):
    labels = generator.integers(0, classes, images)
    logits = generator.normal(0, 1, (images, classes))
    logits[np.arange(images), labels] += 1.6
    flipped = generator.uniform(size=images) < noise
    given = np.where(flipped, generator.integers(0, classes, images), labels)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    probabilities = probabilities.round(4)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return given, probabilities


def curves():
    cases = []
    for images in (30, 80):
        labels, probabilities = predictions(images, 2, 0.1)
        scores = probabilities[:, 1].round(2)
        false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
        precision, recall, _ = precision_recall_curve(labels, scores)
        cases.append({
            "labels": labels.tolist(), "scores": numbers(scores), "false_positive_rate": numbers(false),
            "true_positive_rate": numbers(true), "precision": numbers(precision), "recall": numbers(recall),
        })
    return cases


def label_errors():
    cases = []
    for images, classes in ((120, 2), (200, 5)):
        labels, probabilities = predictions(images, classes, 0.15)
        issues = find_label_issues(labels, probabilities, filter_by="confident_learning", n_jobs=1)
        quality = get_label_quality_scores(labels, probabilities, method="normalized_margin")
        cases.append({
            "classes": classes, "labels": labels.tolist(), "probabilities": numbers(probabilities),
            "issues": np.flatnonzero(issues).tolist(), "quality": numbers(quality),
        })
    return cases


cases = {
    "t_quantiles": quantiles(), "t_tests": t_tests(), "mcnemar": mcnemars(), "holm": holms(), "ranks": ranks(),
    "components": components(), "expected_best": budgets(),
}
findings = {"curves": curves(), "label_errors": label_errors()}


def write(name, value):
    text = json.dumps(value, indent=1)
    # One line a list of numbers: short files that diff well.
    text = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text)
    (OUT / name).write_text(text + "\n")


write("tests.json", cases)
write("findings.json", findings)
