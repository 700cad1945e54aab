"""The accuracy of a preset over several seeds, on the test set after its last epoch.

    python tests/benchmarks/presets.py fast --seeds 5

Each seed is one run of ``mnist-tui --no-ui --preset NAME --seed N`` in its own process, with one
test evaluation at its end.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a file: Python searches next to it, not in the checkout
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.benchmarks.options import Parser, whole
from tests.benchmarks.processes import ROOT

# Student's t for a 95 % interval, by degrees of freedom (any table of the distribution).
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179)
NORMAL_95 = 1.96


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the preset with each seed, then print the mean and its interval."""
    parser = Parser(prog="presets.py", description=__doc__)
    parser.add_argument("preset", help="the preset's name")
    parser.add_argument("--seeds", type=whole, default=5, help="number of seeds, from 0 (5)")
    parser.add_argument("--threads", type=whole, default=None, help="CPU threads of each run")
    options = parser.parse_args(arguments)
    more = [] if options.threads is None else ["--threads", str(options.threads)]
    ends = []
    for seed in range(options.seeds):
        end = trained(options.preset, seed, more)
        if end is None:
            return 1
        ends.append(end)
        print(
            f"seed {seed}: test {end['test_accuracy']:.2%}, {end['seconds']:.1f} s of training",
            flush=True,
        )
    low, mean, high = interval([end["test_accuracy"] for end in ends])
    seconds = statistics.median(end["seconds"] for end in ends)
    print(
        f"{options.preset}: {ends[0]['parameters']:,} parameters, {ends[0]['epochs']} epochs, "
        f"mean test accuracy {mean:.3%} [{low:.3%}, {high:.3%}] over {len(ends)} seeds, "
        f"median {seconds:.1f} s of training"
    )
    return 0


def trained(preset: str, seed: int, more: Sequence[str]) -> dict[str, Any] | None:
    """Train once and return the run's last event, None if it failed; it has printed why."""
    command = [sys.executable, "-m", "tui_trainer", "--no-ui", "--json", "--preset", preset]
    done = subprocess.run(
        [*command, "--seed", str(seed), *more], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        return None
    last: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return last


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the lower end, mean and upper end of Student's 95 % interval of the mean."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return math.nan, mean, math.nan
    freedom = len(values) - 1
    t = T_95[freedom - 1] if freedom <= len(T_95) else NORMAL_95
    reach = t * statistics.stdev(values) / math.sqrt(len(values))
    return mean - reach, mean, mean + reach


if __name__ == "__main__":
    sys.exit(main())
