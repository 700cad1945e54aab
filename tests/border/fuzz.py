"""Compose custom models at random and try each: ``python -m tests.border.fuzz``.

Prints the refusals with their reasons, then tracebacks and differences; exit code 1 if there are
any of those.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from tests.border.generator import compose
from tests.border.trial import Outcome, try_model, write_images


def trials(
    indices: Iterable[int], seed: int, folder: Path, exported: Container[int] | None = None
) -> Iterator[Outcome]:
    """Try the models with these indices, in one thread; export all of them, or only some."""
    images = write_images(folder / "images")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for index in indices:
            composed = compose(index, seed)
            exports = exported is None or index in exported
            yield try_model(composed, images, folder / composed.name, exports=exports)
    finally:
        torch.set_num_threads(threads)


def summary(outcomes: list[Outcome]) -> list[str]:
    """Return the number of successes, and each refusal or limit with its reason, one per line."""
    lines = [f"{len(outcomes)} models"]
    for what in ("train", "table", "resume", "rebuild", "export"):
        done = sum(what in outcome.done for outcome in outcomes)
        refused = sum(what in outcome.refused for outcome in outcomes)
        lines.append(f"{what}: {done} held, {refused} refused")
    reasons = Counter(
        f"{what}: {re.sub(r'^.*[.]py:[0-9]+: ', '', words)[:160]}"
        for outcome in outcomes
        for what, words in (*outcome.refused.items(), *outcome.limits.items())
    )
    lines += [f"  {number} × {reason}" for reason, number in reasons.most_common()]
    problems = [
        f"{o.composed.name} ({', '.join(o.composed.parts)}): {problem}"
        for o in outcomes
        for problem in o.problems
    ]
    return [*lines, f"{len(problems)} problems", *problems]


@contextmanager
def quiet() -> Iterator[None]:
    """Discard the models' output to file descriptors 1 and 2."""
    sys.stdout.flush()
    kept = [os.dup(number) for number in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in (1, 2):
            os.dup2(nowhere, number)
        yield
    finally:
        sys.stdout.flush()
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)
        os.close(nowhere)


def main() -> int:
    """Read the arguments, try the models and print the summary."""
    parser = argparse.ArgumentParser(prog="python -m tests.border.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="number of models (200)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the models (0)")
    parser.add_argument("--only", type=int, nargs="+", help="only the models with these indices")
    parser.add_argument("--keep", type=Path, help="write models and runs to this folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        with quiet():
            outcomes = list(
                trials(arguments.only or range(arguments.count), arguments.seed, folder)
            )
    print("\n".join(summary(outcomes)))
    return 1 if any(outcome.problems for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
