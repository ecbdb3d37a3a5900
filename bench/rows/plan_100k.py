"""The plan of 100,000 trials, nothing on record, beside that of 10,000, ten times.

Linear means a ratio of 1. Wanted besides: at most 10 s and 1 GB, told on the lines of the rounds."""

from row import Row, scaled


ROW = Row(
    title="the plan of 100,000 trials: peer is that of 10,000, ten times",
    sides={"ours": scaled(100_000, "plan"), "peer": scaled(10_000, "plan")},
    goals={"peer": 0.8},
)
