"""``mnist-tui compare-runs``: runs and groups of runs side by side."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tui_trainer.cli import options as opt
from tui_trainer.cli.options import choice, option
from tui_trainer.cli.report_file import check_report, write_report
from tui_trainer.cli.runs import parsed
from tui_trainer.cli.same_images import Column, CorrectByCheckpoint, read_column, same_images
from tui_trainer.headless.streams import Console, standard_output
from tui_trainer.protocol.errors import InputError
from tui_trainer.recording.comparison import TESTED, RunComparison, compare
from tui_trainer.recording.folder import RUNS, ListedRun, find_run, is_group, list_runs
from tui_trainer.recording.run_groups import group_label
from tui_trainer.recording.run_query import RunGroup, group_runs, parse_fields, parse_filter
from tui_trainer.recording.seed_group import history_of
from tui_trainer.text.fmt import clip, plural, printable

if TYPE_CHECKING:
    pass


def compare_runs(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Runs and groups of runs (folders of mnist-tui seeds); the first is the baseline",
            metavar="RUN...",
            show_default=False,
        ),
    ] = None,
    query: Annotated[
        str | None,
        option(
            "Also compare the runs that a filter matches, as in runs", "--filter", metavar="EXPR"
        ),
    ] = None,
    group: Annotated[
        str | None,
        option("Compare groups: runs with equal values of these fields", metavar="FIELDS"),
    ] = None,
    checkpoint: Annotated[
        str, option(choice("Test the accuracies of the last or the best epoch (last)", (*TESTED,)))
    ] = "last",
    evaluate: Annotated[
        bool,
        option(
            "Evaluate single runs on the validation images, for McNemar's test (on)",
            "--evaluate/--no-evaluate",
        ),
    ] = True,
    as_json: opt.JsonObject = False,
    as_csv: Annotated[bool, option("Print a CSV table", "--csv")] = False,
    report: Annotated[
        Path | None,
        option("Write an HTML report with the curves to this file", "--report", metavar="FILE"),
    ] = None,
    debug: opt.Debug = False,
) -> None:
    """Compare runs: settings and results that differ, and whether the difference is chance.

    Groups of the same seeds are compared seed by seed (paired t test), single runs image by image
    (McNemar's test), on the validation images. The test set is never evaluated.
    """
    if checkpoint not in TESTED:
        choices = ", ".join(TESTED)
        raise InputError(f"--checkpoint {clip(printable(checkpoint), 40)}: choose {choices}")
    if as_json and as_csv:
        raise InputError("--json: cannot be used with --csv; choose one")
    if report is not None:
        check_report(report)
    columns = [*map(_named, names or []), *_queried(query, group)]
    if group is not None and len(columns) == 1:
        raise InputError(
            f"--group {printable(group)}: the same in all of these runs; name a field in which "
            "they differ, or a run as the baseline"
        )
    if len(columns) < 2:
        raise InputError(
            f"compare-runs needs two runs or groups, not {len(columns)}: "
            "mnist-tui compare-runs RUN RUN"
        )
    which: Literal["last", "best"] = "best" if checkpoint == "best" else "last"
    groups = [read_column(column) for column in columns]
    same = same_images(groups, columns, CorrectByCheckpoint(which)) if evaluate else {}
    found = compare(groups, checkpoint=which, same_images=same)

    from tui_trainer.headless import run_comparison_text as front

    out = standard_output()
    if as_json:
        out.record(front.as_record(found))
    elif as_csv:
        out.text(front.as_csv(found))
    elif report is None:
        front.print_comparison(found)
    if report is not None:
        written = _write(report, found, columns, _command(names, query, group, checkpoint, report))
        if as_json or as_csv:
            Console(sys.stderr, time.monotonic).print(written)
        else:
            out.line(written)


# --- which runs


def _named(name: str) -> Column:
    """Return the run or the group of a name or path.

    Raises:
        InputError: If there is none, or the group has no runs.
    """
    group = _group_folder(name)
    if group is not None:
        folders = tuple(run.folder for run in sorted(list_runs(group), key=_by_seed))
        if not folders:
            raise InputError(f"{printable(name)}: this group contains no runs yet")
        return Column(printable(group.resolve().name), folders)
    folder = find_run(name)
    return Column(folder.name, (folder,))


def _group_folder(name: str) -> Path | None:
    with suppress(OSError, RuntimeError, ValueError):  # as in find_run
        for path in (RUNS / name, Path(name).expanduser()):
            if name and is_group(path):
                return path
    return None


def _by_seed(run: ListedRun) -> tuple[int, str]:
    return (run.summary.seed if run.summary else -1, run.name)


def _queried(query: str | None, group: str | None) -> Iterator[Column]:
    """Yield the runs that a filter matches, or their groups.

    Raises:
        InputError: If the filter or a field is invalid, or no run matches.
    """
    if query is None and group is None:
        return
    wanted, fields = parsed("--filter", parse_filter, query or ""), None
    if group is not None:
        fields = parsed("--group", parse_fields, group)
    listed = [run for run in list_runs(RUNS) if run.summary is not None and wanted.matches(run)]
    if not listed:
        what = "contains no runs" if query is None else f"no run matches --filter {query}"
        raise InputError(f"{printable(RUNS)}: {printable(what)}")
    if fields is None:
        for run in listed:
            yield Column(run.name, (run.folder,))
        return
    groups = group_runs(listed, fields)
    for found in groups:
        members = sorted(found.runs, key=_by_seed)
        yield Column(_group_name(found, groups), tuple(run.folder for run in members))


def _group_name(group: RunGroup[ListedRun], groups: Sequence[RunGroup[ListedRun]]) -> str:
    """Return the values of the fields in which the groups differ: ``small, lr 0.1``."""
    columns = zip(group.fields, *(each.values for each in groups), strict=True)
    named = [len({*values}) > 1 or len(groups) == 1 for _, *values in columns]
    return group_label(
        replace(
            group,
            fields=tuple(compress(group.fields, named)),
            values=tuple(compress(group.values, named)),
        )
    )


# --- the report


def _write(path: Path, found: RunComparison, columns: Sequence[Column], command: str) -> str:
    """Write the report; return a line with its path and size."""
    from tui_trainer.headless.run_comparison_report import comparison_report

    histories = []
    for column, group in zip(columns, found.groups, strict=True):
        counted = {run.name for run in group.counted}
        histories.append([history_of(each) for each in column.folders if each.name in counted])
    content = comparison_report(found, histories, command)
    return write_report(path, content, f"{plural(len(columns), 'column')} compared")


def _command(
    names: Sequence[str] | None,
    query: str | None,
    group: str | None,
    checkpoint: str,
    report: Path,
) -> str:
    """Return the command that creates this report again."""
    words = ["mnist-tui", "compare-runs", *(names or [])]
    words += ["--filter", query] if query is not None else []
    words += ["--group", group] if group is not None else []
    words += ["--checkpoint", checkpoint] if checkpoint != "last" else []
    return shlex.join([*words, "--report", report.name])
