"""A short run with one of each element that an export shows."""

from __future__ import annotations

from tests.protocol.facts import BATCH, TRAIN, changed, epoch_done, finished, started, step
from tui_trainer.protocol.events import Event, TestEvaluated

CLASSES = (0.5, None, 1 / 3)
STEPS = 3 * TRAIN // BATCH

TEST = TestEvaluated(
    evaluation=1,
    step=STEPS,
    images=3 * TRAIN,
    test_loss=0.03,
    test_accuracy=0.99,
    test_correct=198,
    test_total=200,
    test_interval=(0.96, 0.998),
)


def short_run() -> list[Event]:
    """Three epochs of ten batches, a halved learning rate in the second, one test evaluation."""
    events: list[Event] = [started(classes=3)]
    for number in range(1, STEPS + 1):
        if number == 15:
            events.append(changed("base_lr", 0.1, 0.05, images=1_400))
        events.append(step(number, loss=1 / (3 * number), accuracy=1 - 1 / (1 + number)))
        if number % (TRAIN // BATCH) == 0:
            epoch = number // (TRAIN // BATCH)
            events.append(epoch_done(epoch, val_loss=0.4 / epoch, val_class_accuracy=CLASSES))
    return [*events, TEST, finished()]
