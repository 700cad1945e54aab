"""The start of a composed model before its maps, its head, and its frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.border.writer import CLASSES, SIDE, Writer

Step = Callable[[Writer], None]


# --- the input


def as_it_is(w: Writer) -> None:
    """Take the image unchanged."""


def scaled_in_place(w: Writer) -> None:
    w.before.append(
        w.rng.choice(
            ("x.sub_(0.5).div_(0.5)", "x.clamp_(-2, 2)", "x[:, :, 0] = 0", "x.data.mul_(0.9)")
        )
    )


def embedded(w: Writer) -> None:
    sparse = w.rng.choice((True, False))
    table = w.make("embed", f"nn.Embedding(9, 4, sparse={sparse})")
    w.add(
        "pixels = ((x + 1) * 2).clamp(0, 8).long().squeeze(1)",
        f"x = {table}(pixels).permute(0, 3, 1, 2)",
    )
    w.channels = 4


def unfolded(w: Writer) -> None:
    w.add(f"x = F.unfold(x, 2, stride=2).unflatten(2, ({SIDE // 2}, {SIDE // 2}))")
    w.resized(SIDE // 2, channels=4)


INPUTS: dict[str, Step] = {
    "as it is": as_it_is,
    "in place": scaled_in_place,
    "embedded": embedded,
    "unfolded": unfolded,
}


# --- the head


def flattened(w: Writer) -> None:
    count = w.channels * w.height * w.width
    w.head.append(f"x = {w.make('head', f'nn.Linear({count}, classes)')}(x.flatten(1))")


def averaged(w: Writer) -> None:
    w.head.append(f"x = {w.make('head', f'nn.Linear({w.channels}, classes)')}(x.mean((2, 3)))")


def pooled(w: Writer) -> None:
    module = w.make("head", f"nn.Conv2d({w.channels}, classes, 1)")
    w.head.append(f"x = F.adaptive_avg_pool2d({module}(x), 1).squeeze(3).squeeze(2)")


def hidden(w: Writer) -> None:
    text = (
        f"nn.Sequential(nn.Flatten(), nn.Linear({w.channels * w.height * w.width}, 12), "
        "nn.BatchNorm1d(12), nn.ReLU(inplace=True), nn.Linear(12, classes))"
    )
    w.head.append(f"x = {w.make('head', text)}(x)")


def compared(w: Writer) -> None:
    prototypes = w.make("prototypes", f"nn.Parameter(torch.randn(classes, {w.channels}))")
    way = w.rng.choice(
        (
            f"-torch.cdist(x.mean((2, 3)), {prototypes})",
            f"5 * F.normalize(x.mean((2, 3)), dim=1) @ F.normalize({prototypes}, dim=1).t()",
        )
    )
    w.head.append(f"x = {way}")


def written_row_by_row(w: Writer) -> None:
    w.head += [
        "out = []",
        "for image in x.mean((2, 3)).unbind():"
        if w.random_bool(0.5)
        else "for image in x.mean((2, 3)):",
        f"    out.append({w.make('head', f'nn.Linear({w.channels}, classes)')}(image))",
        "x = torch.stack(out)",
    ]


HEADS: Mapping[str, Step] = {
    **{head.__name__: head for head in (flattened, averaged, pooled, hidden, compared)},
    "row by row": written_row_by_row,
}


# --- the logits


RESULTS = (
    *("x", "x", "x", "x.double()", "x.bfloat16().float()", "F.log_softmax(x, dim=1)"),
    *("x.half().float()", "x.contiguous()", "torch.tanh(x) * 5"),
)


# --- the whole


def plain(w: Writer) -> None:
    """Leave the model unchanged."""


def custom_train(w: Writer) -> None:
    still = w.make("still", f"nn.BatchNorm2d({w.channels})")
    w.add(f"x = {still}(x)")
    answer = w.rng.choice(("", "\n    return self"))
    w.methods.append(
        f"def train(self, mode=True):\n    super().train(mode)\n    {still}.eval(){answer}"
    )


def merged(w: Writer) -> None:
    w.init.append("self.merged = False")
    w.methods.append(
        "def train(self, mode=True):\n    self.merged = not mode\n    return super().train(mode)"
    )
    w.add("x = x * 1.0 if self.merged else x + 0.0")


def warmed(w: Writer) -> None:
    w.init.append("self.temperature = 1.0")
    w.methods.append("def eval(self):\n    self.temperature = 1.0\n    return super().eval()")
    w.add("if self.training:", "    self.temperature *= 1.05", "x = x / self.temperature")


def extra_state(w: Writer) -> None:
    w.init.append("self.note = 'note'")
    w.methods.append("def get_extra_state(self):\n    return {'note': self.note}")
    w.methods.append("def set_extra_state(self, state):\n    self.note = state['note']")


def closed_over(w: Writer) -> None:
    module = w.make("bend", f"nn.Conv2d({w.channels}, {w.channels}, 1)")
    function = w.make("apply_bend", f"lambda x: {module}(x).relu()")
    w.add(f"x = {function}(x)")


def unused(w: Writer) -> None:
    w.make("unused", "nn.Linear(3, 3)")


def locked(w: Writer) -> None:
    w.needs("import threading")
    w.make("lock", "threading.Lock()")


WHOLES: dict[str, Step] = {
    step.__name__: step
    for step in (
        plain,
        plain,
        custom_train,
        merged,
        warmed,
        extra_state,
        closed_over,
        unused,
        locked,
    )
}

SIGNATURES = (
    ", classes=10",
    ", in_channels=1, num_classes=10, *, image_size=16",
    ", n_classes=10, width=4, **kwargs",
)


def signature(w: Writer) -> str:
    """Return the arguments of ``__init__``; ``classes`` is the number of classes in it."""
    text = w.rng.choice(SIGNATURES)
    for name in ("num_classes", "n_classes"):
        if name in text:
            w.init.insert(0, f"classes = {name}")
    assert CLASSES == 10
    return text
