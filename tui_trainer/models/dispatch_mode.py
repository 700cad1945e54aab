"""A mode that sees the operations of ATen, without ``torch._dynamo``."""

from __future__ import annotations

from torch.utils._python_dispatch import TorchDispatchMode


class DispatchMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The base of our dispatch modes; they also see what happens inside a scripted module."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Do not skip ``torch._dynamo``: torch would import it first, which takes a second."""
        return False
