"""Looking at a view: it is begun, worked on part by part, and told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from importlib import import_module

from tui_trainer.engine.checkpoint_store import Keeper
from tui_trainer.engine.prepare import prepare
from tui_trainer.engine.resuming import Resumption, resume_from
from tui_trainer.engine.session import Session
from tui_trainer.engine.threads import one_thread
from tui_trainer.lab.context import SEED, open_bench
from tui_trainer.lab.views.desk import TEST, Parts
from tui_trainer.lab.views.scene import IMAGES, PATIENCE, Scene
from tui_trainer.models.build import own_faults_told
from tui_trainer.models.outside import preserve_globals
from tui_trainer.models.rng import preserve_rng_state, seed_all
from tui_trainer.protocol.answers import Inspected
from tui_trainer.protocol.commands import Inbox, Inspect
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.events import Event
from tui_trainer.protocol.exhibit import Choices
from tui_trainer.protocol.inspection import NAMES

Show = Callable[[Scene, Choices, bool], Parts]


def view_named(name: str) -> Show:
    """Return what shows a view.

    Raises:
        ValueError: If there is no such view.
    """
    if name not in NAMES:
        raise ValueError(f"there is no view {name}")
    show: Show = import_module(f"tui_trainer.lab.views.{name}").show
    return show


def set_scene(session: Session, *, follows: bool = False) -> Scene:
    """Take a copy of a session's network as it is now, and what a view needs beside it."""
    bench = open_bench(session)
    return Scene(
        bench=replace(bench, network=bench.copy().requires_grad_(False)),
        chronicle=session.chronicle,
        desk=session.desk,
        seed=session.config.seed,
        built_dropout=session.config.dropout,
        checkpoints=session.keeper.files(),
        test=session.data.test.shown(),
        began=session.watch.now,
        patience=PATIENCE if session.state == "training" else 0.0,
        follows=follows,
    )


def opens_test(session: Session, wish: Inspect) -> bool:
    """Return whether a view is to be answered by another look at the test set."""
    found = session.desk.judged.get(TEST)
    is_old = found is None or found.step != session.step
    return wish.goes and is_old and (IMAGES.name, TEST) in wish.choices


def begin_view(session: Session, wish: Inspect) -> Iterator[Event]:
    """Begin to work on a view; a look at the test set, if that is wished for, is told at once.

    Raises:
        ValueError: If there is no such view.
    """
    show, choices = view_named(wish.view), dict(wish.choices)
    if opens_test(session, wish):
        if session.state == "diverged":
            raise ValueError("the weights are lost: there is nothing to judge on the test set")
        yield session.look_at_test()
    scene = set_scene(session, follows=wish.follows)
    session.desk.begin(wish, show(scene, choices, wish.goes), session.step)


def view_events(
    config: RunConfig,
    wishes: Iterable[Inspect],
    *,
    resume: Resumption | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Event]:
    """Prepare a run, as ``train`` does up to its first batch, and show views of its network.

    Args:
        config: The run's settings.
        wishes: The views; each is taken when the one before has been answered.
        resume: From where a recorded run is shown; an untrained one if None.
        clock: Seconds that only go up.

    Raises:
        InputError: If the device, the data, the network, the checkpoint or the combination of
            settings cannot be used.
        NetworkError: If a network of one's own raises; it says where.
    """
    with own_faults_told(config.model):
        session = yield from prepare(config, Inbox(), Keeper(), clock)
        if resume is not None:
            resume_from(session, resume)
        yield session.started()
        for wish in wishes:
            yield from begin_view(session, wish)
            yield from go_on(session, waits=True)


def go_on(session: Session, *, waits: bool = False) -> Iterator[Inspected]:
    """Work on the view that was asked for, as far as there is time for it.

    Args:
        session: The session; its chance is left as it is.
        waits: Whether nothing else is to be done: it is worked on until a wish arrives.
    """
    desk, watch = session.desk, session.watch
    while desk.wish is not None and desk.parts is not None:
        if waits and not session.inbox.is_empty:
            return
        began = watch.now
        if not waits and not desk.may_work(began):
            return
        # A part is too small to be divided: several threads would wait for each other.
        with (
            preserve_rng_state(session.device),
            preserve_globals(session.network),
            one_thread(),
        ):
            seed_all(SEED + desk.turn)
            try:
                exhibit = next(desk.parts)
            except StopIteration:
                desk.clear()
                return
        desk.turn += 1
        if not waits:
            desk.spend(watch.now - began)
        # Who waits sees it grow; who follows keeps the last whole one in sight meanwhile.
        if exhibit is not None and (exhibit.progress is None or not desk.wish.follows):
            yield Inspected(wish=desk.wish, exhibit=exhibit, step=desk.step)
