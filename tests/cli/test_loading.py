from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from tui_trainer.cli import loading


def printed_by(code: str) -> str:
    """Return what ``code`` prints in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


@pytest.mark.slow
def test_what_is_imported_is_not_collected_again() -> None:
    code = (
        "import gc\n"
        "from tui_trainer.cli.loading import finish_loading\n"
        "gc.disable()\n"
        "with finish_loading():\n"
        "    import torch\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 100_000)"
    )

    assert printed_by(code) == "True True"


def test_a_second_run_freezes_nothing() -> None:
    import torch  # noqa: F401

    frozen = gc.get_freeze_count()

    with loading.finish_loading():
        assert not gc.isenabled()

    assert (gc.isenabled(), gc.get_freeze_count()) == (True, frozen)


def test_a_failed_import_enables_collection_again() -> None:
    with pytest.raises(ImportError), loading.finish_loading():
        raise ImportError

    assert gc.isenabled()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a Linux library")
@pytest.mark.parametrize("then", ["", pytest.param("import torch", marks=pytest.mark.slow)])
def test_the_libraries_are_loaded_without_importing_torch(then: str) -> None:
    code = (
        "import sys\n"
        "from tui_trainer.cli import loading\n"
        "loading._load_libraries()\n"
        "with open('/proc/self/maps', encoding='utf-8') as maps:\n"
        "    print('libtorch_python.so' in maps.read(), 'torch' in sys.modules)\n"
        f"{then}\n"
        "if 'torch' in sys.modules:\n"
        "    print(int(torch.ones(2).sum()))"
    )

    assert printed_by(code).split() == ["True", "False", *(["2"] if then else [])]


def test_a_missing_library_is_left_to_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    loading._load_libraries()
