"""What all views say alike of the images that they judge by."""

from __future__ import annotations

from tui_trainer.engine.inspecting.desk import TEST, Judgement
from tui_trainer.engine.inspecting.scene import Scene
from tui_trainer.run.exhibit import Control, Exhibit, Words
from tui_trainer.run.stats import wilson
from tui_trainer.run.text import count


def certainty(judged: Judgement) -> str:
    """Return on how many images a view rests, and how many were right."""
    total, right = len(judged.labels), int((judged.given == judged.labels).sum())
    low, high = wilson(right, total)
    look = f", look {judged.look} at the test set" if judged.look else ""
    return (
        f"{count(total)} {judged.images} images after step {count(judged.step)}{look}: "
        f"{100 * right / total:.2f} % right [{100 * low:.2f}, {100 * high:.2f}]."
    )


def sealed(scene: Scene, controls: tuple[Control, ...]) -> Exhibit:
    """Return what is shown in place of the test set before it was opened."""
    look = scene.bench.data.test.looks + 1
    return Exhibit(
        blocks=(
            Words(
                text="The test set is sealed: nothing is chosen by it, so that it can tell the "
                "truth once. Enter opens it; the look is counted, and told with the result."
            ),
        ),
        controls=controls,
        trains=f"read the {count(len(scene.test))} test images: look {look}, counted",
        figures={"images": TEST, "sealed": True},
    )
