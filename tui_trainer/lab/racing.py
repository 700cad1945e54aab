"""The last race of a run, and going on from the end of one of its arms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tui_trainer.engine.process_commands import set_knob
from tui_trainer.engine.run import Run
from tui_trainer.engine.snapshots import restore
from tui_trainer.lab.arms import Arm
from tui_trainer.models.checkpoints import Checkpoint
from tui_trainer.protocol.commands import AdoptArm
from tui_trainer.protocol.events import Event, SettingChanged


@dataclass(frozen=True, slots=True, eq=False)
class FinishedRace:
    """A race whose arms are at their ends.

    Attributes:
        step: The step of the run from which they went on.
        knobs: The run's knobs there.
        arms: The arms, in the order of the table.
    """

    step: int
    knobs: Mapping[str, float]
    arms: Sequence[Arm]


@dataclass(eq=False)
class Racing:
    """A run and its last race, which is of use while the run stays where it is.

    Attributes:
        run: The run.
        finished: Its last race; None if there was none, or the run has gone on.
    """

    run: Run
    finished: FinishedRace | None = None

    def keep(self, arms: Sequence[Arm]) -> None:
        """Keep a race that has just ended."""
        self.finished = FinishedRace(self.run.progress.step, self.run.knobs(), arms)

    def forget_if_past(self) -> None:
        """Free the memory of the arms once the run has gone on."""
        if self.finished is not None and self.finished.step != self.run.progress.step:
            self.finished = None

    def adopt(self, command: AdoptArm) -> Iterator[Event]:
        """Give the run the state of an arm, and report the arm's events as the run's.

        Raises:
            ValueError: If the run is not where the race began, there is no such arm, or other
                processes train the run too.
        """
        if self.run.ranks.world_size > 1:
            raise ValueError("several processes train this run: set the knob instead")
        arm, run = self._chosen(command.arm), self.run
        assert arm.end is not None
        if not command.at_end:
            yield from (set_knob(run, replace(knob, by=command.by)) for knob in arm.knobs)
            return
        metadata, tensors = run.assistant.state()  # the arm has no history of the validation images
        restore(
            run,
            Checkpoint({**arm.end.metadata, **metadata}, {**arm.end.tensors, **tensors}),
        )
        run.probes.continue_from(arm.run.probes)
        run.batches.done = arm.run.batches.done
        run.stopwatch.resume_at(arm.end.metadata["seconds"])
        self.finished = None
        for event in arm.events:
            yield replace(event, by=command.by) if isinstance(event, SettingChanged) else event

    def _chosen(self, number: int) -> Arm:
        race, run = self.finished, self.run
        if race is None or (race.step, race.knobs) != (run.progress.step, run.knobs()):
            raise ValueError("the run is not where a race began: set the knob, or race again")
        arms = [arm for arm in race.arms if not arm.again]
        if not 0 < number <= len(arms):
            raise ValueError(f"there is no arm {number}: choose 1 to {len(arms)}")
        arm = arms[number - 1]
        if arm.end is None:
            raise ValueError(f"{arm.name} diverged at step {arm.diverged_at}: choose another arm")
        return arm
