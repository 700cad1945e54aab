"""Pieces of a model with unusual tensors: dtypes, sharing, frozen and computed weights."""

from __future__ import annotations

from tests.border.blocks import block, convolved
from tests.border.writer import Writer

SAME = {"kernel": 3, "padding": 1, "dilation": 1, "stride": 1, "groups": 1}


@block
def shared_layer(w: Writer) -> None:
    module = convolved(w, fixed=SAME, out=w.channels)
    w.add(f"x = {module}({module}(x).relu())")


@block
def tied_weights(w: Writer) -> None:
    channels = w.channels
    one = convolved(w, fixed=SAME, out=5)
    w.channels = channels
    other = convolved(w, fixed=SAME, out=5)
    w.init.append(f"{other}.weight = {one}.weight")
    w.add(f"x = {one}(x) + {other}(x.transpose(2, 3)).transpose(2, 3)")


@block
def tied_transposed(w: Writer) -> None:
    weight = w.make("code", f"nn.Parameter(torch.randn(4, {w.channels}, 3, 3) * 0.2)")
    w.add(
        f"code = F.conv2d(x, {weight}, padding=1).relu()",
        f"x = F.conv_transpose2d(code, {weight}, padding=1)",
    )


@block
def frozen_layer(w: Writer) -> None:
    if w.random_bool(0.5):
        w.add(f"x = {convolved(w, '{}.requires_grad_(False)')}(x)")
        return
    module = convolved(w, fixed=SAME, out=w.channels)
    w.add("with torch.no_grad():", f"    still = {module}(x)", "x = x + still")


@block
def detached_branch(w: Writer) -> None:
    module = convolved(w, fixed=SAME, out=w.channels)
    w.add(f"x = x + {module}(x.detach())")


@block
def wide(w: Writer) -> None:
    w.add(f"x = {convolved(w, '{}.double()')}(x.double()).float()")


@block
def rounded(w: Writer) -> None:
    dtype = w.rng.choice(("half", "bfloat16"))
    w.add(f"x = x.{dtype}().float()")


@block
def narrow_weights(w: Writer) -> None:
    weight = w.make("narrow", f"nn.Parameter(torch.ones({w.channels}, 1, 1, dtype=torch.bfloat16))")
    w.add(f"x = x * {weight}.float()")


@block
def autocast(w: Writer) -> None:
    module = convolved(w, groups=1)
    w.add('with torch.autocast("cpu", dtype=torch.bfloat16):', f"    x = {module}(x)")
    w.add("x = x.float()")


@block
def spectrum(w: Writer) -> None:
    shape = f"{w.channels}, {w.height}, {w.width // 2 + 1}"
    if w.random_bool(0.5):
        weight = w.make("spectrum", f"nn.Parameter(torch.randn({shape}, dtype=torch.complex64))")
        product = f"torch.fft.rfft2(x) * {weight}"
    else:
        weight = w.make("spectrum", f"nn.Parameter(torch.randn({shape}, 2))")
        product = f"torch.fft.rfft2(x) * torch.view_as_complex({weight})"
    w.add(f"x = torch.fft.irfft2({product}, s=x.shape[-2:])")


@block
def complex_product(w: Writer) -> None:
    weight = w.make("turn", f"nn.Parameter(torch.ones({w.channels}, 1, 1, dtype=torch.complex64))")
    w.add(f"x = (x.to(torch.complex64) * {weight}).abs()")


@block
def normed_weights(w: Writer) -> None:
    way = w.rng.choice(
        (
            "nn.utils.weight_norm({})",
            "nn.utils.parametrizations.weight_norm({})",
            "nn.utils.spectral_norm({})",
            "nn.utils.parametrizations.spectral_norm({})",
        )
    )
    w.add(f"x = {convolved(w, way, groups=1, kernel=3, padding=1, dilation=1, stride=1)}(x)")


PARAMETRIZATION = """
class Doubled(nn.Module):
    def forward(self, weight):
        return 2 * weight
"""


@block
def parametrized(w: Writer) -> None:
    w.needs("from torch.nn.utils import parametrize")
    w.needs(PARAMETRIZATION)
    module = convolved(w)
    w.init.append(f'parametrize.register_parametrization({module}, "weight", Doubled())')
    w.add(f"x = {module}(x)")


@block
def pruned(w: Writer) -> None:
    w.needs("from torch.nn.utils import prune")
    module = convolved(w, groups=1, out=8)
    way = w.rng.choice(("l1_unstructured", "random_unstructured"))
    w.init.append(f'prune.{way}({module}, "weight", amount=0.3)')
    w.add(f"x = {module}(x)")


@block
def plain_constant(w: Writer) -> None:
    drawn = w.rng.choice(("torch.rand", "torch.ones"))
    shape = f"{w.channels}, 1, 1"
    if w.random_bool(0.5):
        constant = w.make("constant", f"{drawn}({shape}) + 0.5")
    else:
        constant = w.buffer("constant", f"{drawn}({shape}) + 0.5", persistent=False)
    w.add(f"x = x * {constant}.to(x.device)")


@block
def listed_constants(w: Writer) -> None:
    constants = w.make("constants", "{'scale': [torch.rand(1) + 0.5, np.random.rand() + 0.5]}")
    w.add(f"x = x * {constants}['scale'][0] * {constants}['scale'][1]")


@block
def coordinates(w: Writer) -> None:
    line = w.buffer("grid", f"torch.linspace(-1, 1, {w.width}).expand({w.height}, {w.width})")
    w.add(f"x = torch.cat([x, {line}.expand(len(x), 1, -1, -1)], 1)")
    w.channels += 1


@block
def buffers_of_all_types(w: Writer) -> None:
    flag = w.buffer("flag", "torch.tensor(True)")
    number = w.buffer("number", "torch.tensor([2, 3], dtype=torch.int16)")
    narrow = w.buffer("narrow", "torch.ones(1, dtype=torch.float16)")
    empty = w.buffer("empty", "torch.zeros(0, 3)")
    w.init.append(f'self.register_buffer("{w.name("nothing")}", None)')
    w.add(f"if {flag}:", f"    x = x * {number}[0].item() / 2 * {narrow}.float() + {empty}.sum()")


@block
def integer_parameter(w: Writer) -> None:
    order = w.make("order", f"nn.Parameter(torch.randperm({w.channels}), requires_grad=False)")
    w.add(f"x = x[:, {order}]" if w.random_bool(0.5) else f"x = x.index_select(1, {order})")


@block
def empty_parameter(w: Writer) -> None:
    empty = w.make("registers", f"nn.Parameter(torch.zeros(0, {w.height}, {w.width}))")
    w.add(f"x = torch.cat([x, {empty}.expand(len(x), -1, -1, -1)], 1)")
