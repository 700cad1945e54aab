"""Each module keeps the mode that its author set, before and after evaluation mode."""

from __future__ import annotations

from torch import nn

from tui_trainer.models.modes import begin_training, evaluating, modes_of


class Still(nn.Module):
    """Keeps its batch norm in evaluation mode; like most such code, it returns None."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop = nn.BatchNorm2d(2), nn.Dropout()
        self.merged = False

    def train(self, mode: bool = True) -> None:  # type: ignore[override]
        super().train(mode)
        self.norm.eval()
        self.merged = not mode  # as LoRA merges its weights for evaluation


def test_train_and_eval_overrides_are_called() -> None:
    model = Still()
    begin_training(model)
    assert [m.training for m in (model, model.norm, model.drop)] == [True, False, True]
    with evaluating(model):
        assert not any(m.training for m in model.modules())
        assert model.merged
    assert [m.training for m in (model, model.norm, model.drop)] == [True, False, True]
    assert not model.merged


def test_a_mode_set_while_building_is_kept() -> None:
    model = nn.Sequential(nn.BatchNorm2d(2).eval(), nn.BatchNorm2d(2))
    begin_training(model)
    assert [m.training for m in model] == [False, True]
    with evaluating(model):
        pass
    assert [m.training for m in model] == [False, True]


def test_a_model_that_is_handed_over_in_evaluation_mode_trains() -> None:
    model = nn.Sequential(nn.BatchNorm2d(2), nn.Dropout()).eval()
    begin_training(model)
    assert all(modes_of(model).values())


def test_modes_come_back_after_an_error() -> None:
    model = nn.Sequential(nn.BatchNorm2d(2).eval(), nn.Dropout())
    before = modes_of(model)
    try:
        with evaluating(model):
            raise ValueError
    except ValueError:
        pass
    assert modes_of(model) == before
