"""The views of what a network has learned, one module each: all is measured, nothing made up.

A module's ``show`` gets a :class:`~tui_trainer.lab.context.Context`, the reader's choices, and
whether enter was pressed. It yields an exhibit when there is one to see and None after any other
part of its work, each part a few hundredths of a second: the run trains between two parts, on
weights of its own. The last exhibit stays.
"""
