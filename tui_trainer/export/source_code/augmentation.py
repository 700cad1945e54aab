"""The code that augments and normalizes images."""

from __future__ import annotations

from tui_trainer.export.source_code.formatting import joined, literal
from tui_trainer.export.source_code.recipe import Recipe
from tui_trainer.protocol.config import NAMED_AUGMENTATIONS, Augmentation

MNIST_SIDE = 28
"""The image size, in pixels, to which ``Augmentation.crop`` refers."""


def augmentation_of(recipe: Recipe) -> Augmentation | None:
    """Return the augmentation that the run uses at any time; None if it never augments."""
    configured = recipe.config.augmentation
    if recipe.initial["augmentation"] or recipe.is_changed("augmentation"):
        # Switched on in a run without: see Batches.augmentation of the engine.
        return NAMED_AUGMENTATIONS["light"] if configured.is_none else configured
    return None


def strengths(augmentation: Augmentation) -> list[str]:
    """Return the constants of an augmentation."""
    lines = _affine_strengths(augmentation) if augmentation.is_affine else []
    if augmentation.flip:
        lines.append(f"FLIP = {augmentation.flip!r}  # probability")
    if augmentation.pad_shift:
        lines.append(f"PAD_SHIFT = {augmentation.pad_shift!r}  # pixels")
    if augmentation.jitter:
        lines.append(f"JITTER = {augmentation.jitter!r}  # of brightness, contrast, saturation")
    if augmentation.cutout:
        lines.append(f"CUTOUT = {augmentation.cutout!r}  # pixels")
    return lines


def _affine_strengths(augmentation: Augmentation) -> list[str]:
    lines = [f"ROTATE = {augmentation.rotate!r}  # degrees"]
    if augmentation.shear:
        lines.append(f"SHEAR = {augmentation.shear!r}  # degrees")
    if augmentation.scale:
        lines.append(f"SCALE = {augmentation.scale!r}  # from {1 - augmentation.scale:g} to")
        lines[-1] = f"{lines[-1]} {1 + augmentation.scale:g} times the size"
    if augmentation.shift:
        lines.append(f"SHIFT = {augmentation.shift!r}  # pixels")
    if augmentation.crop_probability:
        lines.append(f"CROP, CROP_PROBABILITY = {augmentation.crop}, ")
        lines[-1] += f"{augmentation.crop_probability!r}  # of {MNIST_SIDE} pixels"
    return lines


_UNIFORM = '''\
def uniform(count, limit):
    """Return random numbers between -limit and limit."""
    return limit * (2 * torch.rand(count) - 1)'''

_FLIP = '''\
def random_flip(pixels):
    """Mirror each image (N, C, H, W) from left to right with the probability FLIP."""
    is_flipped = (torch.rand(len(pixels)) < FLIP).to(pixels.device)
    return torch.where(is_flipped.view(-1, 1, 1, 1), pixels.flip(3), pixels)'''

_SHIFT = '''\
def random_shift(pixels):
    """Shift each image by up to PAD_SHIFT pixels; what comes in is mirrored."""
    count, _, height, width = pixels.shape
    padded = F.pad(pixels, [PAD_SHIFT] * 4, mode="reflect")
    down, along = ((torch.rand(count) * (2 * PAD_SHIFT + 1)).long() for _ in range(2))
    rows = (down.view(-1, 1) + torch.arange(height)).unsqueeze(2)
    columns = (along.view(-1, 1) + torch.arange(width)).unsqueeze(1)
    moved = padded[torch.arange(count).view(-1, 1, 1), :, rows, columns]
    return moved.permute(0, 3, 1, 2)'''

_COLOR_JITTER = '''\
def color_jitter(pixels):
    """Change brightness, contrast and saturation of each image (N, 3, H, W)."""
    brightness, contrast, saturation = (
        (1 + uniform(len(pixels), JITTER)).view(-1, 1, 1, 1).to(pixels.device)
        for _ in range(3)
    )
    weights = torch.tensor((0.299, 0.587, 0.114), device=pixels.device).view(3, 1, 1)
    pixels = pixels * brightness
    gray = (pixels * weights).sum(dim=1, keepdim=True)
    middle = gray.mean(dim=(2, 3), keepdim=True)
    pixels = middle + contrast * (pixels - middle)
    gray = (pixels * weights).sum(dim=1, keepdim=True)
    return (gray + saturation * (pixels - gray)).clamp(0, 255)'''

_GRAY_JITTER = '''\
def gray_jitter(pixels):
    """Change brightness and contrast of each image (N, 1, H, W)."""
    brightness, contrast = (
        (1 + uniform(len(pixels), JITTER)).view(-1, 1, 1, 1).to(pixels.device)
        for _ in range(2)
    )
    pixels = pixels * brightness
    middle = pixels.mean(dim=(2, 3), keepdim=True)
    return (middle + contrast * (pixels - middle)).clamp(0, 255)'''


def _cutout(channels: int, image_size: int, resizes: bool) -> str:
    mean = "255 * MEAN"
    if channels > 1:
        mean = "255 * torch.tensor(MEAN, device=pixels.device).view(-1, 1, 1)"
    reach = f"CUTOUT / 2 * height / {image_size}" if resizes else "CUTOUT / 2"
    return f'''\
def cut_out(pixels):
    """Fill a square of each image with the mean color."""
    count, _, height, width = pixels.shape
    reach = {reach}
    down, along = torch.rand(count).view(-1, 1), torch.rand(count).view(-1, 1)
    is_row = (torch.arange(height) + 0.5 - down * height).abs() < reach
    is_column = (torch.arange(width) + 0.5 - along * width).abs() < reach
    inside = (is_row.unsqueeze(2) & is_column.unsqueeze(1)).unsqueeze(1)
    mean = {mean}
    return torch.where(inside.to(pixels.device), mean, pixels)'''


def augment_code(recipe: Recipe, augmentation: Augmentation) -> str:
    """Return the functions that augment a batch of images, ``augment`` at the end."""
    resizes, started = bool(recipe.config.resize_until), recipe.started
    is_gray, is_affine = started.channels == 1, augmentation.is_affine
    parts, steps = [], []
    if is_affine or augmentation.jitter:
        parts.append(_UNIFORM)
    if augmentation.flip:
        parts.append(_FLIP)
        steps.append("random_flip(pixels)")
    if augmentation.pad_shift:
        parts.append(_SHIFT)
        steps.append("random_shift(pixels)")
    is_alone = not (steps or augmentation.jitter or augmentation.cutout)
    if is_affine:
        name = "augment" if is_alone else "random_affine"
        parts.append(_affine(augmentation, name, started.channels, resizes))
        steps.append(f"random_affine(pixels{', size' if resizes else ''})")
    elif resizes:
        parts.append(_resized(literal(augmentation.interpolation)))
        steps.append("resized(pixels, size)")
    if augmentation.jitter:
        parts.append(_GRAY_JITTER if is_gray else _COLOR_JITTER)
        steps.append("gray_jitter(pixels)" if is_gray else "color_jitter(pixels)")
    if augmentation.cutout:
        parts.append(_cutout(started.channels, started.image_size, resizes))
        steps.append("cut_out(pixels)")
    if not is_alone:
        parts.append(_all_of(steps, resizes))
    return joined(parts)


def _all_of(steps: list[str], resizes: bool) -> str:
    lines = [
        f"def augment(pixels{', size' if resizes else ''}):",
        '    """Transform each image (N, C, H, W), 0 to 255, by its own random values."""',
        *(f"    pixels = {step}" for step in steps[:-1]),
        f"    return {steps[-1]}",
    ]
    return "\n".join(lines)


def _resized(mode: str) -> str:
    return f'''\
def resized(pixels, size):
    """Resize images (N, C, H, W) to a square, as their augmentation by an affine map does."""
    if size == pixels.shape[-1]:
        return pixels
    theta = torch.eye(2, 3, device=pixels.device).repeat(len(pixels), 1, 1)
    grid = F.affine_grid(theta, [len(pixels), 1, size, size], align_corners=False)
    return F.grid_sample(pixels, grid, mode={mode}, align_corners=False)'''


def _affine(augmentation: Augmentation, name: str, channels: int, resizes: bool) -> str:
    mode = literal(augmentation.interpolation)
    has_zoom = bool(augmentation.scale or augmentation.crop_probability)
    lines = [
        f"def {name}(pixels{', size' if resizes else ''}):",
        f'    """Transform each image (N, {channels}, H, W) by its own random affine map."""',
        "    count, side = len(pixels), pixels.shape[-1]",
        "    angle = torch.deg2rad(uniform(count, ROTATE))",
        "    cos, sin = torch.cos(angle), torch.sin(angle)",
    ]
    rows = ["cos", "-sin", "sin", "cos"]
    if augmentation.shear:
        lines.append("    shear = torch.tan(torch.deg2rad(uniform(count, SHEAR)))")
        rows = ["cos", "cos * shear - sin", "sin", "sin * shear + cos"]
    lines.append("    # The map leads from a pixel of the result to its place in the image.")
    lines.append(f"    rows = {', '.join(rows)}")
    lines.append("    matrix = torch.stack(rows, dim=1).view(-1, 2, 2)")
    if has_zoom:
        zoom = "1 / (1 + uniform(count, SCALE))" if augmentation.scale else "torch.ones(count)"
        lines.append(f"    zoom = {zoom}")
        if augmentation.crop_probability:
            lines += [
                "    is_cropped = torch.rand(count) < CROP_PROBABILITY",
                f"    zoom = torch.where(is_cropped, zoom * CROP / {MNIST_SIDE}, zoom)",
            ]
        lines.append("    matrix = matrix * zoom.view(-1, 1, 1)")
    if augmentation.shift:
        lines += [
            "    shift = torch.stack((uniform(count, SHIFT), uniform(count, SHIFT)), dim=1)",
            "    shift = matrix @ (shift * -2 / side).unsqueeze(2)",
        ]
    else:
        lines.append("    shift = torch.zeros(count, 2, 1)")
    side = "size" if resizes else "side"
    lines += [
        "    theta = torch.cat((matrix, shift), dim=2).to(pixels.device)",
        f"    grid = F.affine_grid(theta, [count, 1, {side}, {side}], align_corners=False)",
        f"    return F.grid_sample(pixels, grid, mode={mode}, align_corners=False)",
    ]
    return "\n".join(lines)


def prepare_code(recipe: Recipe) -> str:
    """Return the function that turns images into the input of the model."""
    has_augmentation = augmentation_of(recipe) is not None
    resizes, is_gray = bool(recipe.config.resize_until), recipe.started.channels == 1
    options = ", augmented=False" * has_augmentation + ", size=None" * resizes
    lines = [f"def prepare(images{options}):"]
    if is_gray:
        about = "Turn images (N, H, W) into the input of the model (N, 1, H, W), normalized."
        lines += [f'    """{about}"""', "    pixels = images.unsqueeze(1).float()"]
    else:
        about = "Turn images (N, 3, H, W), 0 to 255, into the input of the model, normalized."
        lines += [f'    """{about}"""', "    pixels = images.float()"]
    if has_augmentation:
        size = ", size or pixels.shape[-1]" if resizes else ""
        lines += ["    if augmented:", f"        pixels = augment(pixels{size})"]
    if resizes:
        lines += [
            f"    {'elif' if has_augmentation else 'if'} size is not None:",
            "        pixels = F.interpolate(",
            '            pixels, size=(size, size), mode="bilinear", antialias=True',
            "        )",
        ]
    if is_gray:
        return "\n".join([*lines, "    return (pixels / 255 - MEAN) / STD"])
    return "\n".join(
        [
            *lines,
            "    mean, std = torch.tensor((MEAN, STD), device=pixels.device).view(2, 3, 1, 1)",
            "    return (pixels / 255 - mean) / std",
        ]
    )
