"""Pieces of a model that keep state, draw random numbers, print, or compute in unusual ways."""

from __future__ import annotations

from tests.border.blocks import block, convolved
from tests.border.writer import Writer


@block
def kept_activations(w: Writer) -> None:
    w.init += ["self.kept = None", "self.shapes = []"]
    w.add("self.kept = x", "self.shapes = [*self.shapes[-3:], tuple(x.shape)]")


HOOKED = """
def keep_output(module, args, output):
    module.output = output


def double_input(module, args):
    return (args[0] * 2,)
"""


@block
def hooked(w: Writer) -> None:
    w.needs(HOOKED)
    module = convolved(w)
    w.init.append(f"{module}.register_forward_hook(keep_output)")
    if w.random_bool(0.5):
        w.init.append(f"{module}.register_forward_pre_hook(double_input)")
    if w.random_bool(0.3):
        w.init.append(f"{module}.weight.register_hook(lambda gradient: gradient.clamp(-1, 1))")
    if w.random_bool(0.3):
        w.init.append(f"{module}.register_full_backward_hook(lambda module, given, got: None)")
    w.add(f"x = {module}(x)")


@block
def counted(w: Writer) -> None:
    w.init.append("self.calls = 0")
    seen = w.buffer("seen", "torch.zeros((), dtype=torch.int64)")
    w.add("if self.training:", "    self.calls += 1", f"    {seen}.add_(1)")
    if w.random_bool(0.5):
        w.add("x = x * min(1.0, 0.5 + self.calls / 8)")


@block
def running_mean(w: Writer) -> None:
    mean = w.buffer("mean", f"torch.zeros({w.channels}, 1, 1)")
    w.add(
        "if self.training:",
        "    with torch.no_grad():",
        f"        {mean}.mul_(0.9).add_(x.mean((0, 2, 3))[:, None, None], alpha=0.1)",
        f"x = x - {mean}.clone()",
    )


@block
def custom_rng(w: Writer) -> None:
    way = w.rng.choice(
        (
            ("torch.Generator().manual_seed(3)", "torch.randn({}, generator={})"),
            ("np.random.default_rng(3)", "torch.from_numpy({1}.standard_normal({0})).float()"),
            ("random.Random(3)", "{1}.gauss(0, 1)"),
        )
    )
    rng = w.make("rng", way[0])
    noise = way[1].format(f"({w.channels}, 1, 1)", rng)
    w.add("if self.training:", f"    x = x + 0.1 * {noise}")


@block
def global_noise(w: Writer) -> None:
    noise = w.rng.choice(
        (
            "torch.randn_like(x)",
            "torch.from_numpy(np.random.randn(*x.shape)).float()",
            "random.gauss(0, 1)",
        )
    )
    if w.random_bool(0.25):
        w.is_random, w.is_counted = True, False
        w.add(f"x = x + 0.1 * {noise}")
    else:
        w.add("if self.training:", f"    x = x + 0.1 * {noise}")


@block
def printed(w: Writer) -> None:
    way = w.rng.choice(
        (
            "print('x:', tuple(x.shape))",
            "sys.stderr.write('forward\\n')",
            "os.write(2, b'forward\\n')",
            "os.write(1, b'forward\\n')",
            "warnings.warn('forward')",
        )
    )
    w.add(way)


@block
def cached(w: Writer) -> None:
    w.init.append("self.window = None")
    w.add(
        "if self.window is None or self.window.shape != x.shape:",
        "    line = torch.hann_window(x.shape[-1], periodic=False, device=x.device) + 0.1",
        "    self.window = (line[:, None] * line).expand_as(x).contiguous()"
        if w.height == w.width
        else "    self.window = torch.ones_like(x)",
        "x = x * self.window",
    )


@block
def cached_by_size(w: Writer) -> None:
    cache = w.make("cache", "{}")
    w.add(
        f"if x.shape[-1] not in {cache}:",
        f"    {cache}[x.shape[-1]] = torch.linspace(0.5, 1, x.shape[-1])",
        f"x = x * {cache}[x.shape[-1]]",
    )


CHECKPOINTED = "from torch.utils.checkpoint import checkpoint"


@block
def checkpointed(w: Writer) -> None:
    w.needs(CHECKPOINTED)
    module = convolved(w)
    w.add(f"x = checkpoint({module}, x, use_reentrant=False)")


STRAIGHT = """
class Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.sign()

    @staticmethod
    def backward(ctx, gradient):
        return gradient
"""


@block
def straight_through(w: Writer) -> None:
    w.needs(STRAIGHT)
    w.add("x = x + 0.1 * Straight.apply(x)")


@block
def attention(w: Writer) -> None:
    while w.height * w.width > 64:
        w.add("x = F.avg_pool2d(x, 2)")
        w.resized(w.height // 2, w.width // 2)
    c, h, v = w.channels, w.height, w.width
    way = w.rng.choice(("module", "function", "matmul", "encoder"))
    w.add("t = x.flatten(2).transpose(1, 2)")
    if way == "module":
        module = w.make("attend", f"nn.MultiheadAttention({c}, 1, batch_first=True)")
        w.add(f"t = t + {module}(t, t, t)[0]")
    elif way == "function":
        w.add("t = t + F.scaled_dot_product_attention(t, t, t)")
    elif way == "matmul":
        w.add("t = t + (t @ t.transpose(1, 2) / 4).softmax(-1) @ t")
    else:
        module = w.make(
            "encode", f"nn.TransformerEncoderLayer({c}, 1, 8, dropout=0.1, batch_first=True)"
        )
        w.add(f"t = {module}(t)")
    w.add(f"x = t.transpose(1, 2).unflatten(2, ({h}, {v}))")


@block
def recurrent(w: Writer) -> None:
    kind = w.rng.choice(("LSTM", "GRU", "RNN"))
    way = ", bidirectional=True" if w.random_bool(0.3) else ""
    size = 2 if way else 4
    module = w.make(
        "recur", f"nn.{kind}({w.channels * w.width}, {size * w.width}, batch_first=True{way})"
    )
    w.add(
        f"x = {module}(x.transpose(1, 2).flatten(2))[0]",
        f"x = x.unflatten(2, (4, {w.width})).transpose(1, 2)",
    )
    w.channels = 4


@block
def custom_kernels(w: Writer) -> None:
    listed = w.make(
        "kernels", "nn.ParameterList([nn.Parameter(torch.randn(1, 1, k, k) / k) for k in (1, 3)])"
    )
    w.add(
        f"x = sum(F.conv2d(x, k.expand({w.channels}, -1, -1, -1), padding=k.shape[-1] // 2, "
        f"groups={w.channels}) for k in {listed})"
    )


@block
def written_in_place(w: Writer) -> None:
    w.add(
        w.rng.choice(
            (
                "x = x.clone()\nx[:, :, 0] = 0",
                "x = x.contiguous()\nx.data.mul_(0.5)",
                "out = torch.empty_like(x)\nout.copy_(x)\nx = out",
                "x = torch.add(x, 1, out=None)",
            )
        ).replace("\n", "\n        ")
    )
