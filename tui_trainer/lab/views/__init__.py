"""The views of what a model has learned, one module each.

A module's ``show`` gets a :class:`~tui_trainer.lab.context.Context`, the reader's choices, and
whether enter was pressed. It yields an exhibit when one is ready and None after any other
slice of its work, each a few hundredths of a second. The run trains between two slices, on its own
weights; the view has a copy. The last exhibit stays.
"""
