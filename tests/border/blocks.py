"""Pieces of a model that map (N, channels, height, width) to another such map."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.border.writer import Writer

Block = Callable[[Writer], None]
Fixed = Mapping[str, int]
BLOCKS: dict[str, Block] = {}
"""The pieces by name; a piece that does not fit the map's size writes another one that does."""


def block(write: Block) -> Block:
    BLOCKS[write.__name__] = write
    return write


def slid(size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def convolved(w: Writer, /, wrapped: str = "{}", fixed: Fixed | None = None, **more: int) -> str:
    """Write a convolution that fits, wrapped in a call; return its module."""
    fixed = {**(fixed or {}), **more}
    kernel = fixed.get("kernel", w.rng.choice((1, 3, 3, 5)))
    dilation = fixed.get("dilation", w.rng.choice((1, 1, 2)) if w.height >= 10 else 1)
    padding = fixed.get("padding", w.rng.choice((0, dilation * (kernel - 1) // 2)))
    stride = fixed.get("stride", w.rng.choice((1, 1, 2)))
    if slid(w.height, kernel, stride, padding, dilation) < 5:
        kernel, stride, padding, dilation = 3, 1, 1, 1
    groups = w.rng.choice([g for g in (1, 1, 2, w.channels) if w.channels % g == 0])
    groups = fixed.get("groups", groups)
    out = fixed.get("out", groups * max(1, w.rng.choice((4, 6, 8)) // groups))
    bias = ", bias=False" if w.random_bool(0.3) else ""
    made = (
        f"nn.Conv2d({w.channels}, {out}, {kernel}, stride={stride}, padding={padding}, "
        f"dilation={dilation}, groups={groups}{bias})"
    )
    module = w.make("conv", wrapped.format(made))
    w.resized(slid(w.height, kernel, stride, padding, dilation), channels=out)
    return module


@block
def convolution(w: Writer) -> None:
    w.add(f"x = {convolved(w)}(x)")


@block
def separable(w: Writer) -> None:
    depth = convolved(w, groups=w.channels, out=2 * w.channels, kernel=3, padding=1)
    w.add(f"x = {depth}(x)", f"x = {convolved(w, kernel=1, groups=1, padding=0)}(x)")


@block
def reflected(w: Writer) -> None:
    mode = w.rng.choice(("reflect", "replicate", "zeros"))
    module = w.make("conv", f"nn.Conv2d({w.channels}, 6, 3, padding=1, padding_mode='{mode}')")
    w.channels = 6
    w.add(f"x = {module}(x)")


@block
def functional_convolution(w: Writer) -> None:
    shape = f"6, {w.channels}, 3, 3"
    weight = w.make("kernels", f"nn.Parameter(torch.randn({shape}) * 0.2)")
    w.channels = 6
    w.add(f"x = F.conv2d(x, {weight}, padding=1)")


@block
def transposed(w: Writer) -> None:
    if w.height > 12:
        module = w.make("up", f"nn.ConvTranspose2d({w.channels}, 5, 3, padding=1)")
    else:
        module = w.make("up", f"nn.ConvTranspose2d({w.channels}, 5, 2, stride=2)")
        w.resized(2 * w.height, 2 * w.width)
    w.channels = 5
    w.add(f"x = {module}(x)")


@block
def rows_convolution(w: Writer) -> None:
    count = w.channels * w.height
    module = w.make("rows", f"nn.Conv1d({count}, {4 * w.height}, 3, padding=1, groups=1)")
    w.add(f"x = {module}(x.flatten(1, 2)).unflatten(1, (4, {w.height}))")
    w.channels = 4


@block
def lazy(w: Writer) -> None:
    w.add(f"x = {w.make('lazy', 'nn.LazyConv2d(6, 3, padding=1)')}(x)")
    w.channels = 6


POOLS = (
    "nn.MaxPool2d(2)",
    "nn.AvgPool2d(2)",
    "nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)",
    "nn.LPPool2d(2, 2)",
    "nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)",
)


@block
def pool(w: Writer) -> None:
    if w.height < 10:
        w.add("x = F.avg_pool2d(x, 3, stride=1, padding=1)")
        return
    text = w.rng.choice(POOLS)
    size = (w.height + 1) // 2 if "padding" in text else w.height // 2
    if "ceil" in text:
        size = -(-(w.height - 1) // 2) + 1
        size -= (size - 1) * 2 >= w.height + 1
    w.add(f"x = {w.make('pool', text)}(x)")
    w.resized(size)


@block
def adaptive_pool(w: Writer) -> None:
    kind = w.rng.choice(("Avg", "Max"))
    size = w.rng.choice([s for s in (5, 6, 7, 8) if s <= w.height])
    w.add(f"x = {w.make('pool', f'nn.Adaptive{kind}Pool2d({size})')}(x)")
    w.resized(size)


@block
def pooled_places(w: Writer) -> None:
    size = w.height // 2 * 2
    w.is_counted = False  # the indices of the maxima pass no gradient
    w.add(
        f"x = x[..., :{size}, :{size}]",
        "pooled, places = F.max_pool2d(x, 2, return_indices=True)",
        "x = F.max_unpool2d(pooled, places, 2) + 0.5 * x",
    )
    w.resized(size)


@block
def resized(w: Writer) -> None:
    mode = w.rng.choice(("bilinear", "nearest"))
    extra = ", align_corners=False" if mode == "bilinear" else ""
    if w.height >= 10:
        w.add(f"x = F.interpolate(x, scale_factor=0.5, mode='{mode}'{extra})")
        w.resized(w.height // 2, w.width // 2)
    else:
        w.add(f"x = F.interpolate(x, size={w.height + 3}, mode='{mode}'{extra})")
        w.resized(w.height + 3)


@block
def shuffled(w: Writer) -> None:
    if w.height % 2 == 0 and w.height >= 10:
        w.add("x = F.pixel_unshuffle(x, 2)")
        w.resized(w.height // 2, channels=4 * w.channels)
    elif w.channels % 4 == 0 and w.height <= 8:
        w.add("x = F.pixel_shuffle(x, 2)")
        w.resized(2 * w.height, channels=w.channels // 4)
    else:
        w.add("x = F.pad(x, (1, 0, 1, 0))")
        w.resized(w.height + 1)


@block
def norm(w: Writer) -> None:
    c, h = w.channels, w.height
    choices = [
        f"nn.BatchNorm2d({c})",
        f"nn.BatchNorm2d({c}, affine=False)",
        f"nn.BatchNorm2d({c}, momentum=None)",
        f"nn.BatchNorm2d({c}).requires_grad_(False)",
        f"nn.GroupNorm(1, {c})",
        f"nn.GroupNorm({c}, {c}, affine=False)",
        f"nn.InstanceNorm2d({c})",
        f"nn.InstanceNorm2d({c}, affine=True, track_running_stats=True)",
        f"nn.LayerNorm([{c}, {h}, {w.width}])",
        f"nn.LayerNorm([{c}, {h}, {w.width}], elementwise_affine=False)",
        "nn.LocalResponseNorm(2)",
    ]
    w.add(f"x = {w.make('norm', w.rng.choice(choices))}(x)")


@block
def frozen_norm(w: Writer) -> None:
    w.add(f"x = {w.make('still', f'nn.BatchNorm2d({w.channels}).eval()')}(x)")


@block
def batch_statistics(w: Writer) -> None:
    text = f"nn.BatchNorm2d({w.channels}, track_running_stats=False)"
    w.add(f"x = {w.make('norm', text)}(x)")


@block
def last_norm(w: Writer) -> None:
    module = w.make("norm", f"nn.LayerNorm({w.channels})")
    w.add(f"x = {module}(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)")
    if w.random_bool(0.5):
        w.add("x = x.contiguous()")


MODULES = (
    *(
        "ReLU(inplace=True)",
        "ReLU6()",
        "LeakyReLU(0.1, inplace=True)",
        "PReLU()",
        "ELU()",
        "GELU()",
    ),
    *("SiLU(inplace=True)", "Mish()", "Hardswish()", "Softplus()", "Tanh()", "Sigmoid()", "CELU()"),
    *("RReLU()", "Softsign()", "LogSigmoid()", "Hardtanh()", "SELU()", "Tanhshrink()"),
)
CALLS = (
    *("x.relu()", "x.relu_()", "torch.relu_(x)", "F.gelu(x)", "x * x.sigmoid()", "x.tanh_()"),
    *("F.leaky_relu(x, 0.1, inplace=True)", "x.clamp(min=0)", "x.clamp_(-3, 3)", "x.abs()"),
    *("torch.where(x > 0, x, 0.1 * x)", "torch.maximum(x, 0.2 * x)", "x / (1 + x.abs())"),
    *("F.softmax(x, dim=1)", "x.square()", "torch.sin(x)", "x.mul_(1.5).add_(0.1)"),
)


@block
def activation(w: Writer) -> None:
    if w.random_bool(0.5):
        w.add(f"x = {w.make('act', f'nn.{w.rng.choice(MODULES)}')}(x)")
    else:
        w.add(f"x = {w.rng.choice(CALLS)}")


@block
def gated_units(w: Writer) -> None:
    if w.channels % 2:
        w.add("x = torch.cat([x.relu(), (-x).relu()], 1)")
        w.channels *= 2
    else:
        w.add("x = F.glu(x, dim=1)")
        w.channels //= 2


@block
def dropout(w: Writer) -> None:
    kind = w.rng.choice(("Dropout(0.2)", "Dropout2d(0.1)", "AlphaDropout(0.1)"))
    if w.random_bool(0.7):
        w.add(f"x = {w.make('drop', f'nn.{kind}')}(x)")
    else:
        w.add("x = F.dropout(x, 0.2, training=self.training)")


@block
def residual(w: Writer) -> None:
    way = w.rng.choice(("add", "in-place", "scaled"))
    module = convolved(w, kernel=3, padding=1, dilation=1, stride=1, groups=1, out=w.channels)
    w.add("kept = x", f"x = {module}(x)")
    if way == "scaled":
        scale = w.make("scale", "nn.Parameter(torch.zeros(()))")
        w.add(f"x = kept + {scale} * x")
    else:
        w.add("x = kept + x" if way == "add" else "x += kept")


@block
def concatenated(w: Writer) -> None:
    size, channels = w.height, w.channels
    one = convolved(w, kernel=3, padding=1, dilation=1, stride=1, groups=1, out=4)
    w.channels = channels
    other = convolved(w, kernel=5, padding=2, dilation=1, stride=1, groups=1, out=3)
    w.add(f"x = torch.cat([{one}(x), {other}(x), x], dim=1)")
    w.resized(size, channels=channels + 7)


@block
def branches(w: Writer) -> None:
    channels = w.channels
    names = []
    for kernel in (1, 3, 5):
        w.channels = channels
        fixed = {"kernel": kernel, "padding": kernel // 2, "dilation": 1, "stride": 1, "groups": 1}
        names.append(convolved(w, fixed=fixed, out=6))
    listed = w.make("ways", f"nn.ModuleList([{', '.join(names)}])")
    w.add(f"x = torch.stack([way(x) for way in {listed}]).mean(0)")


@block
def excited(w: Writer) -> None:
    inner = max(1, w.channels // 2)
    module = w.make(
        "gate",
        f"nn.Sequential(nn.Linear({w.channels}, {inner}), nn.ReLU(), "
        f"nn.Linear({inner}, {w.channels}), nn.Sigmoid())",
    )
    w.add(f"x = x * {module}(x.mean((2, 3)))[:, :, None, None]")


@block
def stochastic_depth(w: Writer) -> None:
    draw = w.rng.choice(("random.random()", "np.random.rand()", "float(torch.rand(()))"))
    module = convolved(w, kernel=3, padding=1, dilation=1, stride=1, groups=1, out=w.channels)
    w.add(f"if not self.training or {draw} < 0.7:", f"    x = x + {module}(x)")


@block
def views(w: Writer) -> None:
    c, h, v = w.channels, w.height, w.width
    choices = [
        "x = x.permute(0, 1, 3, 2).contiguous().transpose(2, 3)",
        f"x = x.reshape(len(x), {c}, {h * v}).unflatten(2, ({h}, {v}))",
        f"x = x.flatten(1).view(-1, {c}, {h}, {v})" if w.random_bool(0.5) else "x = x.flip(1)",
        "x = x.roll(1, dims=1)",
        "x = torch.cat(x.chunk(2, dim=1)[::-1], dim=1)",
        "x = x.unsqueeze(1).squeeze(1)",
        "x = x.clone(memory_format=torch.channels_last)",
        "x = x.movedim(1, -1).movedim(-1, 1)",
    ]
    w.add(w.rng.choice(choices))


@block
def einsum(w: Writer) -> None:
    weight = w.make("mix", f"nn.Parameter(torch.randn({w.channels}, 6) * 0.3)")
    form = w.rng.choice(
        (
            f"torch.einsum('nchw,co->nohw', x, {weight})",
            f"(x.movedim(1, -1) @ {weight}).movedim(-1, 1)",
            f"torch.tensordot(x, {weight}, dims=([1], [0])).permute(0, 3, 1, 2)",
            f"torch.matmul({weight}.t(), x.flatten(2)).view(-1, 6, {w.height}, {w.width})",
        )
    )
    w.add(f"x = {form}")
    w.channels = 6
