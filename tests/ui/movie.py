"""Make the pictures of the README and of the pages in ``docs/``: ``python -m tests.ui.movie``.

It opens the real window on a real run (the bundled MNIST, no recorded events), presses keys while
the run trains, and takes a screenshot at chosen moments. ``docs/images/run.svg`` is the moving
picture, the others are single screenshots of the same run. It takes about two minutes; look at
each frame before you commit it: ``python -m tests.ui.movie --png FOLDER`` writes them as PNG too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from tests.ui.animation import Frame, frame_of, picture
from tests.ui.png import to_png
from tui_trainer.cli.starts import Job, Start, recorder_of
from tui_trainer.protocol.config import RunConfig
from tui_trainer.ui.app import MnistTui
from tui_trainer.ui.pacing import Governor
from tui_trainer.ui.screens.inspect_screen import InspectScreen

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SIZE = (120, 40)
RUN = RunConfig(model="small", epochs=4, seed=0, threads=1)
LIMIT = 2_000_000
"""Bytes of the moving picture."""

SEVEN = (
    *["left"] * 6, *["up"] * 8, "space", *["right"] * 11,
    *["end", "down"] * 5, *["down"] * 5, "space",
)  # fmt: skip
"""The keys that draw a digit on the pad, from its middle."""


class Camera:
    """Takes the screenshots of a window.

    Attributes:
        frames: The moving picture.
        stills: Single screenshots by the name of their file.
        spent: Seconds of the window's thread that screenshots took: they are no cost of the app.
    """

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.stills: dict[str, Frame] = {}
        self.spent = 0.0
        self.app: MnistTui | None = None
        self.pilot: Pilot[None] | None = None

    def cpu_time(self) -> float:
        """Return the CPU time of the window's thread without that of the screenshots."""
        return time.thread_time() - self.spent

    def take(self, caption: str, seconds: float, key: str = "", still: str = "") -> None:
        """Take a screenshot."""
        assert self.app is not None
        began = time.thread_time()
        frame = frame_of(self.app.export_screenshot(), key, caption, seconds)
        self.spent += time.thread_time() - began
        print(f"{len(self.frames):3} {key:>6}  {caption}", flush=True)
        if seconds:
            self.frames.append(frame)
        if still:
            self.stills[still] = frame

    async def press(self, *keys: str) -> None:
        """Press keys, and wait until the screen shows the answers."""
        assert self.app is not None
        assert self.pilot is not None
        for key in keys:
            await self.pilot.press(key)
            await self.pilot.pause(0.05)
        run = self.app.live_run
        await self.until(lambda app: run.inspection.is_idle and run.experiment.is_idle)

    async def open(self, view: str) -> None:
        """Open a view of the Inspect screen, as its list does."""
        assert self.app is not None
        assert isinstance(self.app.front, InspectScreen)
        self.app.front.open(view)
        await self.press()

    async def until(self, holds: Callable[[MnistTui], bool], seconds: float = 600.0) -> None:
        """Wait until something holds.

        Raises:
            TimeoutError: If it does not.
        """
        assert self.app is not None
        assert self.pilot is not None
        end = time.monotonic() + seconds
        while not holds(self.app):
            if time.monotonic() > end:
                raise TimeoutError(f"after frame {len(self.frames)}")
            await asyncio.sleep(0.02)
        await self.pilot.pause(0.35)

    async def step(self, number: int) -> None:
        """Wait until the run has trained this many steps, or is over."""
        await self.until(
            lambda app: app.live_run.history.step >= number or app.live_run.history.is_over
        )


async def shoot(camera: Camera) -> None:
    """Play the story, and take the screenshots."""
    start = Start(Job(recorder_of(RUN)), records=True, interactive=True)
    app = MnistTui(start, RUN, theme="midnight", governor=Governor(cpu_time=camera.cpu_time))
    async with app.run_test(size=SIZE) as pilot:
        camera.app, camera.pilot = app, pilot
        await _train(camera)
        await _model(camera)
        await _inspect(camera)
        await _learn(camera)
        await camera.press("1")
        await camera.until(lambda app: app.live_run.history.is_over)
        camera.take("At the end: test accuracy with its 95 % interval", 4)
        app.exit()


async def _train(camera: Camera) -> None:
    await camera.step(12)
    camera.take("$ mnist-tui --model small --epochs 4", 1.5)
    for step in (60, 110, 170):
        await camera.step(step)
        camera.take("It trains at once: MNIST is in the package", 0.8)
    await camera.press(*"++++")
    await camera.step(440)
    camera.take("Raise the learning rate while it trains: 0.1 → 2", 2, "+")
    await camera.until(lambda app: bool(app.live_run.history.most_severe_first))
    await camera.step(600)
    camera.take("Too high. A finding says so, with its evidence and a fix", 4)
    await camera.press("f")
    await camera.step(720)
    camera.take("Apply the fix: learning rate ÷ 10, from the next batch on", 2, "f")
    await camera.step(1_010)
    camera.take("The loss recovers. Validation after each epoch, with its 95 % interval", 3)


async def _model(camera: Camera) -> None:
    await camera.press("2")
    await camera.until(lambda app: app.live_run.field.is_idle)
    camera.take("The network: layer table, design review, receptive field", 3, "2", "model")
    await camera.press("tab", "tab", *["pagedown"] * 5, "right")
    await camera.until(lambda app: app.live_run.field.is_idle)
    camera.take("The pixels that one feature sees of a digit", 2, "→")


async def _inspect(camera: Camera) -> None:
    await camera.press("3")
    camera.take("The confusion matrix, on the current weights", 3, "3", "inspect")
    await camera.press("enter")
    camera.take("The misclassified images of one cell", 3, "enter")
    for view, caption in (
        ("attribution", "Attribution: which pixels decide"),
        ("kernels", "What the kernels have learned"),
    ):
        await camera.open(view)
        camera.take(caption, 2.5, "n")
    await camera.open("draw")
    await camera.press(*SEVEN)
    camera.take("Draw a digit, and see what the network predicts", 3, "space", "pad")


async def _learn(camera: Camera) -> None:
    await camera.press("4", *["n"] * 7)
    camera.take("21 lessons, each with an experiment on your own run", 3, "4")
    await camera.press("enter", "enter")
    camera.take("One initialization, three learning rates, fifteen seconds", 4, "enter", "learn")


def main() -> None:
    """Shoot and write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--png", type=Path, help="write each frame into this folder as PNG")
    arguments = parser.parse_args()
    camera, png = Camera(), arguments.png and arguments.png.absolute()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        asyncio.run(shoot(camera))
        os.chdir(IMAGES.parent)
    IMAGES.mkdir(exist_ok=True)
    pictures = {"run": picture(camera.frames, poster=7)}
    pictures |= {name: picture([frame]) for name, frame in camera.stills.items()}
    for name, svg in pictures.items():
        (IMAGES / f"{name}.svg").write_text(svg, encoding="utf-8")
        print(f"{name}.svg {len(svg.encode()):,} bytes")
    assert len(pictures["run"].encode()) < LIMIT
    if png:
        png.mkdir(parents=True, exist_ok=True)
        for number, frame in enumerate(camera.frames):
            (png / f"{number:02}.png").write_bytes(to_png(picture([frame])))


if __name__ == "__main__":
    main()
