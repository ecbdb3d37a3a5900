"""A run of 100,000 trials with nothing to do, beside one of 10,000, ten times. Making the 100,000 first takes its time.

Linear means a ratio of 1. Wanted besides: at most 10 s and 1 GB, told on the lines of the rounds."""

from row import Place, Row, scaled, thawline


def prepare(place: Place) -> None:
    for trials in (10_000, 100_000):
        thawline(place.project(str(trials)), "run", f"experiments/plan_{trials}.yaml", "--quiet")


ROW = Row(
    title="a run of 100,000 trials with nothing to do: peer is one of 10,000, ten times",
    sides={"ours": scaled(100_000, "run", "--quiet"), "peer": scaled(10_000, "run", "--quiet")},
    goals={"peer": 0.8},
    prepare=prepare,
)
