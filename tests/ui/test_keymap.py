from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest
from textual.binding import Binding
from textual.pilot import Pilot

from tests.ui.fakes import InspectFirst, LearnFirst, ModelFirst, recording, wait_for_events, window
from tests.ui.found import ALL, mid_run
from tui_trainer.cli import main
from tui_trainer.course.guided_tour import steps
from tui_trainer.protocol import commands
from tui_trainer.protocol.config import RunConfig
from tui_trainer.protocol.errors import InputError
from tui_trainer.ui.app import MnistTui, ReplayApp
from tui_trainer.ui.keys.binding import keys_of, use_keymap
from tui_trainer.ui.keys.contexts import contexts
from tui_trainer.ui.keys.keymap import BINDINGS, GROUPS, KEYMAP, with_keys
from tui_trainer.ui.keys.keys_file import keys_path, keys_toml, load_keymap
from tui_trainer.ui.runs.recorded_run import RecordedRun
from tui_trainer.ui.screens.help_screen import HelpScreen
from tui_trainer.ui.screens.run_screen import TrainScreen
from tui_trainer.ui.widgets.key_footer import KeyFooter

PAUSED, MODEL = recording("paused"), recording("network")
MODES = ("train", "model", "inspect", "learn", "runs")

TYPED = ("knobs.lr_down", "knobs.batch_size_up", *(f"screens.{mode}" for mode in MODES))
SHADOWED = {
    ("pad.pen", "run.pause"),
    *(("type_number", name) for name in TYPED),
    ("chart.zoom_in", "findings.previous"),
    ("chart.zoom_out", "findings.next"),
    ("chart.enlarge", "findings.open"),
    ("chart.enlarge", "sweep.open"),
    ("chart.leave", "replay.close"),
}
"""Actions that share a key by default: the focused panel has priority over the app."""


@pytest.fixture(autouse=True)
def _usual_keys() -> Iterator[None]:
    yield
    use_keymap({})


def custom_keys(text: str) -> None:
    """Write the keys.toml that the next window reads."""
    keys_path().parent.mkdir(parents=True, exist_ok=True)
    keys_path().write_text(text, encoding="utf-8")


def footer(app: MnistTui) -> str:
    return "".join(piece.text for piece in app.screen.query_one(KeyFooter).pieces)


async def press(pilot: Pilot[None], *keys: str) -> None:
    await pilot.press(*keys)
    await pilot.pause(0.1)


async def test_a_changed_key_acts_and_the_old_one_does_not() -> None:
    custom_keys('[run]\npause = "f5"\nstep = ["w", "ctrl+s"]\n')
    app, engine = window(PAUSED)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await press(pilot, "space", "s")
        assert engine.received == []
        await press(pilot, "f5")
        assert engine.received == [commands.Resume()]
        await press(pilot, "w", "ctrl+s")
        assert engine.received[1:] == [commands.RunStep(), commands.RunStep()]


async def test_keys_can_change_places() -> None:
    custom_keys('[run]\npause = "s"\nstep = "space"\n')
    app, engine = window(PAUSED)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await press(pilot, "s", "space")
        assert engine.received == [commands.Resume(), commands.RunStep()]


async def test_the_footer_keeps_its_order_and_shows_the_new_key() -> None:
    app, _ = window(PAUSED)
    async with app.run_test(size=(160, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        usual = footer(app)
    assert " space pause " in usual
    assert " +- lr " in usual
    custom_keys('[run]\npause = "p"\n[window]\nsave_picture = "P"\n[knobs]\nlr_up = "f6"\n')
    app, _ = window(PAUSED)
    async with app.run_test(size=(160, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        shown = footer(app).rstrip()
        assert shown == usual.replace("space pause", "p pause").replace("+- lr", "f6 - lr").rstrip()
        await pilot.click(KeyFooter, offset=(shown.index("p pause"), 0))
        await pilot.pause(0.1)
        assert app.live_run.history.state == "training"


async def test_the_help_shows_the_new_keys_and_closes_with_its_new_key() -> None:
    custom_keys('[window]\nhelp = ["h", "f1"]\n[run]\nevaluate_test = "Y"\n')
    app, _ = window(PAUSED)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await press(pilot, "question_mark")
        assert isinstance(app.screen, TrainScreen)
        await press(pilot, "h")
        assert isinstance(app.screen, HelpScreen)
        words = str(app.screen.text())
        assert "  h f1    List all keys and symbols" in words
        assert "  Y       Evaluate the test set now" in words
        assert "at the end or when you press Y" in words
        assert "mnist-tui keys" in words
        await press(pilot, "h")
        assert isinstance(app.screen, TrainScreen)


async def test_panels_and_tooltips_name_the_new_keys() -> None:
    custom_keys(
        '[findings]\napply_fix = "G"\nsnooze = "y"\n[screens]\nlesson = "["\n[knobs]\n'
        'dropout_down = "left_parenthesis"\n'
    )
    events = mid_run(*ALL)
    app, _ = window(events)
    async with app.run_test(size=(120, 50)) as pilot:
        await wait_for_events(pilot, app, events)
        panel = app.screen.query_one("#findings")
        assert str(panel.border_subtitle) == "↑↓ choose · enter causes · [ lesson · y snooze"
        shown = panel._border_subtitle
        assert shown is not None
        assert shown.plain.endswith("[ lesson · y snooze")
        offered = {command.title: command.help for command in app.get_system_commands(app.screen)}
        assert offered["Finding up"] == "Choose the finding above: G applies its advice"


def test_every_key_id_in_a_text_is_replaced() -> None:
    texts = [step.do for step in steps()]
    texts += [binding.tooltip for binding in BINDINGS.values()]
    assert sum("{" in text for text in texts) > 8
    assert not any("{" in with_keys(text) for text in texts)


async def test_no_file_is_no_change() -> None:
    assert not keys_path().exists()
    assert load_keymap() == {}
    app, engine = window(PAUSED)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_for_events(pilot, app, PAUSED)
        await press(pilot, "space")
        assert engine.received == [commands.Resume()]


async def test_the_keys_of_a_replay_can_be_changed_too() -> None:
    custom_keys('[replay]\nforward = "f"\nplay = "P"\n')
    run = RecordedRun("a-run", RunConfig(), PAUSED)
    app = ReplayApp(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await press(pilot, "space")
        assert run.is_playing
        await press(pilot, "P")
        assert not run.is_playing
        before = run.position
        await press(pilot, "right")
        assert run.position == before
        await press(pilot, "f")
        assert run.position > before


@pytest.mark.parametrize(
    ("text", "line", "name", "words"),
    [
        ("[run]\npause = p", 2, "pause", "invalid TOML: Invalid value"),
        ('[run]\npause = "p\n', 2, "pause", "a closing quote is missing"),
        ('[run]\npuase = "p"', 2, "run.puase", "unknown id (did you mean run.pause?); `mnist-tui"),
        ('pause = "p"', 1, "pause", "unknown id (did you mean run.pause?)"),
        ("[zzz]", 1, "zzz", "unknown id; `mnist-tui keys` lists all ids"),
        ('[qqq]\nxyz = "p"', 2, "qqq.xyz", "unknown id; `mnist-tui keys` lists all ids"),
        ("run = 3", 1, "run", "needs to be a table, [run], not an integer"),
        (
            "[run]\nstep = 5",
            2,
            "run.step",
            'must be a key in quotes, such as "p", or a list of keys',
        ),
        ('[run]\nstep = ["t", 5]', 2, "run.step", "must be a key in quotes"),
        ('[run.pause]\nkeys = "p"', 1, "run.pause", "must be a key in quotes"),
        ('[run]\nstep = ""', 2, "run.step", "names no key; delete the line to keep s"),
        ("[window]\nquit = []", 2, "window.quit", "names no key; delete the line to keep q"),
        ('[window]\nhelp = "h,"', 2, "window.help", "names no key"),
        ('[run]\npause = "spcae"', 2, "run.pause", "unknown key 'spcae' (did you mean space?)"),
        ('[run]\npause = "Esc"', 2, "run.pause", "unknown key 'Esc' (did you mean escape?)"),
        ('[run]\npause = "contrl+p"', 2, "run.pause", "unknown key 'contrl+p'"),
        ('[run]\npause = "ctrl+"', 2, "run.pause", "unknown key 'ctrl+'"),
        ('[run]\npause = "\\u0007"', 2, "run.pause", "unknown key '\\x07'"),
        ('[run]\npause = "shift+p"', 2, "run.pause", 'write the character, such as "A"'),
        ('[run]\npause = "ctrl+c"', 2, "run.pause", "ctrl+c always quits; choose another key"),
        ('[run]\npause = "ctrl+z"', 2, "run.pause", "ctrl+z always suspends the program"),
        ('[run]\npause = "up"', 2, "run.pause", "up is needed in lists, tables and dialogs"),
        ('[run]\npause = "ctrl+i"', 2, "run.pause", "tab is needed in lists"),
        ('# run.pause = "a"\nrun.pause = "e"', 2, "run.pause", "e is also the key of run.epoch"),
        ('[run]\npause = "e"', 2, "run.pause", "e is also the key of run.epoch (train); give one"),
        (
            '[run]\npause = "t"\n[window]\nhelp = "t"',
            2,
            "run.pause",
            "t is also the key of window.next_theme",
        ),
        ('[window]\nquit = "n"', 2, "window.quit", "n is also the key of inspect.next"),
        (
            '[learn]\nnext = "7"',
            2,
            "learn.next",
            "7 is also the key of typing a number (learn, exp",
        ),
        ('[runs]\nreplay = "down"', 2, "runs.replay", "down is also the key of moving the cursor"),
        ('[pad]\nundo = "c"\n[inspect]\nnext = "u"\nprevious = "c"', 5, "inspect.previous", "pad."),
    ],
)
def test_a_bad_file_is_reported_in_one_line(
    tmp_path: Path, text: str, line: int, name: str, words: str
) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_keymap(path)
    report = str(caught.value)
    assert report.startswith(f"{path}, line {line}: {name}: ")
    assert words in report
    assert report.isprintable()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[run]\npause = "p"\n[window]\nsave_picture = "f9"', {"run.pause": "p"}),
        ('"run.step" = "w"', {"run.step": "w"}),
        ('run.step = "w, ctrl+x"', {"run.step": "w,ctrl+x"}),
        (
            '[run]\nstep = [";", "@", "_", "|"]',
            {"run.step": "semicolon,at,underscore,vertical_line"},
        ),
        ('[run]\nstep = "slash"', {"run.step": "slash"}),
        ('[run]\nstep = "alt+ctrl+W"', {"run.step": "alt+ctrl+w"}),
        ('[run]\nstep = "ctrl++"', {"run.step": "ctrl+plus"}),
        ('[replay]\nplay = ","\nprevious_epoch = "b"', {"replay.play": "comma"}),
        ('[replay]\nplay = " "', {"replay.play": "space"}),
        # On the Model screen neither key steps or evaluates the test set.
        ('[model]\nnext_digit = "s"', {"model.next_digit": "s"}),
        ('[replay]\nplay = "x"', {"replay.play": "x"}),
        # As by default, the pad's key has priority over that of the run.
        ('[pad]\npen = "f8"\n[run]\npause = "f8"', {"pad.pen": "f8", "run.pause": "f8"}),
        ("", {}),
        ("[run]", {}),
    ],
)
def test_equivalent_spellings_are_accepted(
    tmp_path: Path, text: str, expected: dict[str, str]
) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text, encoding="utf-8")
    assert load_keymap(path).items() >= expected.items()


def test_the_printed_file_can_be_read_back(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(keys_toml(), encoding="utf-8")
    keymap = load_keymap(path)
    assert keymap == {name: ",".join(keys_of(binding)) for name, binding in BINDINGS.items()}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["mnist-tui", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def test_the_command_prints_custom_keys_and_their_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    custom_keys('[run]\npause = "p"\n[window]\nsave_picture = "P"')
    assert run(monkeypatch, "keys") == 0
    printed = capsys.readouterr().out
    assert str(keys_path()) in printed
    assert '\npause = "p"' in printed
    assert '\nlr_up = ["+", "="]' in printed
    for binding in KEYMAP:
        assert binding.system or with_keys(binding.tooltip) in printed


@pytest.mark.parametrize("arguments", [["keys"], [], ["--paused"], ["inspect"], ["replay"]])
def test_a_bad_file_keeps_the_window_closed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    custom_keys('[run]\npause = "e"')
    assert run(monkeypatch, *arguments) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"mnist-tui: error: {keys_path()}, line 2: run.pause: ")
    assert printed.count("\n") == 1


def test_the_ids_are_printed_even_if_the_file_is_bad(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    custom_keys('[run]\npausing = "p"')
    assert run(monkeypatch, "keys") == 2
    printed = capsys.readouterr()
    assert '\npause = "space"' in printed.out
    assert "run.pausing: unknown id" in printed.err


def test_a_run_without_a_window_does_not_read_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    custom_keys("what?")
    assert run(monkeypatch, "--no-ui", "--print-config") == 0


def test_ids_are_unique_and_have_two_parts() -> None:
    seen: dict[str, Binding] = {}
    for binding in (binding for group in GROUPS.values() for binding in group):
        if binding.id is not None:
            assert binding.id.count(".") == 1
            other = seen.setdefault(binding.id, binding)
            assert (other.key, other.action) == (binding.key, binding.action)


def test_by_default_only_a_panels_key_overrides_another() -> None:
    shared = {
        (f"{one.id or one.action}", f"{other.id or other.action}")
        for _, bindings in contexts()
        for one, other in combinations(bindings, 2)
        if {*keys_of(one)} & {*keys_of(other)} and one.id != other.id
    }
    assert shared == SHADOWED


@pytest.mark.parametrize("kind", [MnistTui, ModelFirst, InspectFirst, LearnFirst])
@pytest.mark.sampled(2)
async def test_the_contexts_have_the_keys_that_are_active_together(kind: type[MnistTui]) -> None:
    events = mid_run(*ALL) if kind is MnistTui else MODEL
    app, _ = window(events, kind=kind)
    known = [{binding.id for binding in bindings} for _, bindings in contexts()]
    async with app.run_test(size=(160, 50)) as pilot:
        await wait_for_events(pilot, app, events)
        for widget in app.screen.focus_chain:
            widget.focus()
            await pilot.pause()
            active = {key.binding.id for key in app.screen.active_bindings.values()} & {*BINDINGS}
            assert any(active <= ids for ids in known), (widget, active)
