"""Prints the SciPy values that the tests of src/report/statistics.rs compare with.

    python scripts/reference/statistics.py
"""

from scipy import stats

ARM = [0.871, 0.866, 0.88, 0.859, 0.874]
BASELINE = [0.861, 0.864, 0.869, 0.858, 0.855]

for freedom in (1, 2, 3, 4, 9, 29, 99, 2.7, 1000):
    print(f"({float(freedom)}, {float(stats.t.ppf(0.975, freedom))!r}),")
print("paired", tuple(float(x) for x in stats.ttest_rel(ARM, BASELINE).confidence_interval(0.95)))
print("Welch", tuple(float(x) for x in stats.ttest_ind(ARM, BASELINE, equal_var=False).confidence_interval(0.95)))
print("Welch, 5 and 3", tuple(float(x) for x in stats.ttest_ind(ARM, BASELINE[:3], equal_var=False).confidence_interval(0.95)))
