"""``mnist-tui keys``: all keys, in the format of the user's keys file."""

from __future__ import annotations

from tui_trainer.headless.streams import standard_output
from tui_trainer.protocol.errors import InputError
from tui_trainer.text.fmt import printable

HEAD = """\
# The keys of mnist-tui. To change some, keep their lines in {place}
# A key is a character or a name such as "space", "f5" or "ctrl+s"; ["p", "f5"] binds two
"""


def keys() -> None:
    """Print all keys as TOML, and the path of your keys.toml."""
    # Print the ids even if the keys file is invalid: they are needed to fix it.
    from tui_trainer.ui.keys.binding import use_keymap
    from tui_trainer.ui.keys.keys_file import keys_path, keys_toml, load_keymap

    error = None
    try:
        use_keymap(load_keymap())
    except InputError as refused:
        error = refused
    place = printable(keys_path())
    standard_output().text(f"{HEAD.format(place=place)}\n{keys_toml()}")
    if error is not None:
        raise error
