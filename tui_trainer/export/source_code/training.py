"""The section that trains, and its settings."""

from __future__ import annotations

from tui_trainer.export.source_code.augmentation import augmentation_of
from tui_trainer.export.source_code.formatting import call, joined, literal
from tui_trainer.export.source_code.recipe import Recipe
from tui_trainer.protocol.schedules import ONE_CYCLE_END, ONE_CYCLE_START, WARM_UP

_KNOBS = {
    "base_lr": "lr",
    "batch_size": "batch_size",
    "augmentation": "augmenting",
    "epochs": "epochs",
}
"""The variables of the knobs in ``train``; dropout is set in the model."""

_COSINE = """\
def cosine(start, end, progress):
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2"""


def settings_code(recipe: Recipe) -> list[str]:
    """Return the constants of the training."""
    config, initial = recipe.config, recipe.initial
    lines = [
        f"SEED = {literal(config.seed)}",
        f"EPOCHS = {literal(int(initial['epochs']))}",
        f"BATCH_SIZE = {literal(int(initial['batch_size']))}",
        f"LR = {initial['base_lr']!r}",
    ]
    if config.optimizer == "sgd":
        lines.append(f"MOMENTUM = {config.momentum!r}")
    lines.append(f"WEIGHT_DECAY = {config.weight_decay!r}")
    if config.label_smoothing:
        lines.append(f"LABEL_SMOOTHING = {config.label_smoothing!r}")
    if config.schedule == "step":
        lines.append(f"STEP_SIZE, GAMMA = {config.step_size}, {config.gamma!r}  # epochs, factor")
    if _ends_augmentation(recipe):
        lines.append(f"AUGMENT_UNTIL = {config.augment_until!r}  # share of the training")
    if config.resize_until:
        lines.append(f"RESIZE_UNTIL = {config.resize_until!r}  # share of the training")
        lines.append(f"RESIZE_TO = {config.resize_to}  # pixels, until then")
    return [*lines, *_changes(recipe)]


def _ends_augmentation(recipe: Recipe) -> bool:
    return augmentation_of(recipe) is not None and recipe.config.augment_until < 1


def _changes(recipe: Recipe) -> list[str]:
    """Return the table of the settings that were changed during the training."""
    if not recipe.later:
        return []
    lines = [
        "# Changed during the run: after so many training images, a setting and its new value.",
        "CHANGES = [",
    ]
    for change in recipe.later:
        name = _KNOBS.get(change.setting, change.setting)
        value: object = change.new
        if name == "augmenting":
            value = bool(change.new)
        elif name in ("batch_size", "epochs"):
            value = int(change.new)
        lines.append(f'    ({literal(change.images)}, "{name}", {literal(value)}),')
    return [*lines, "]"]


# --- the functions


def training_code(recipe: Recipe) -> str:
    """Return the definitions of the training section."""
    return joined([*_schedule(recipe), _set_dropout(recipe), _train(recipe)])


def _schedule(recipe: Recipe) -> list[str]:
    config = recipe.config
    head = 'def lr_factor(epochs_seen, epochs):\n    """Return the factor of the learning rate: '
    if config.schedule == "step":
        return [
            f'{head}GAMMA for every STEP_SIZE epochs."""\n'
            "    return GAMMA ** int(epochs_seen / STEP_SIZE + 1e-9)"
        ]
    if config.schedule == "cosine":
        return [
            _COSINE,
            f'{head}half a cosine, from 1 to 0."""\n'
            "    return cosine(1, 0, min(1, epochs_seen / epochs))",
        ]
    if config.schedule == "one-cycle":
        start, end = round(1 / ONE_CYCLE_START), round(1 / ONE_CYCLE_END)
        return [
            _COSINE,
            f'{head}it rises once, and falls."""\n'
            "    progress = min(1, epochs_seen / epochs)\n"
            f"    if progress < {WARM_UP}:\n"
            f"        return cosine(1 / {start}, 1, progress / {WARM_UP})\n"
            f"    return cosine(1, 1 / {end:_}, (progress - {WARM_UP}) / {1 - WARM_UP:g})",
        ]
    return []


def _set_dropout(recipe: Recipe) -> str:
    if not recipe.is_changed("dropout"):
        return ""
    return '''\
def set_dropout(model, p):
    """Set the probability of all dropout layers."""
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = p'''


def _optimizer(recipe: Recipe) -> str:
    config = recipe.config
    arguments = ["model.parameters()", "lr=LR"]
    if config.optimizer == "sgd":
        arguments.append("momentum=MOMENTUM")
        if config.nesterov and config.momentum:
            arguments.append("nesterov=True")
    name = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}[config.optimizer]
    arguments.append("weight_decay=WEIGHT_DECAY")
    return call(f"optimizer = torch.optim.{name}", arguments, indent=4)


def _train(recipe: Recipe) -> str:
    is_steered = bool(recipe.later)
    epochs, lr = ("epochs", "lr") if is_steered else ("EPOCHS", "LR")
    lines = [
        "def train(model, train_set, val_set=None):",
        '    """Train a model; print its loss and accuracy after each epoch."""',
        "    images, labels = train_set",
        _optimizer(recipe),
    ]
    if is_steered:
        lines += _variables(recipe)
    lines.append("    seen = 0  # training images so far")
    lines += (
        ["    epoch = 0", "    while epoch < epochs:", "        epoch += 1"]
        if is_steered
        else ["    for epoch in range(1, EPOCHS + 1):"]
    )
    lines += ["        model.train()", "        loss_sum = correct = 0"]
    lines += _batches(recipe, is_steered)
    lines += _step(recipe, epochs, lr)
    if is_steered:
        lines += _apply_changes(recipe)
    lines += _report_epoch(recipe)
    return "\n".join(lines)


def _variables(recipe: Recipe) -> list[str]:
    lines = ["    lr, batch_size, epochs = LR, BATCH_SIZE, EPOCHS", "    changes = list(CHANGES)"]
    if recipe.is_changed("augmentation"):
        lines.insert(1, f"    augmenting = {bool(recipe.initial['augmentation'])}")
    return lines


def _batches(recipe: Recipe, is_steered: bool) -> list[str]:
    size = int(recipe.initial["batch_size"])
    has_single = size > 1 and recipe.started.train_size % size == 1
    if not is_steered and not has_single:
        return ["        for batch in torch.randperm(len(images)).split(BATCH_SIZE):"]
    name = "batch_size" if is_steered else "BATCH_SIZE"
    return [
        "        order = torch.randperm(len(images))",
        "        while len(order):",
        "            # A single last image joins the batch: batch norm needs two.",
        f"            is_last = len(order) == {name} + 1 > 2",
        f"            size = len(order) if is_last else {name}",
        "            batch, order = order[:size], order[size:]",
    ]


def _step(recipe: Recipe, epochs: str, lr: str) -> list[str]:
    config = recipe.config
    lines = []
    if config.schedule == "constant":
        if recipe.is_changed("base_lr"):
            lines += [
                "            for group in optimizer.param_groups:",
                f'                group["lr"] = {lr}',
            ]
    else:
        lines += [
            f"            factor = lr_factor(seen / len(images), {epochs})",
            "            for group in optimizer.param_groups:",
            f'                group["lr"] = {lr} * factor',
        ]
    options = _options(recipe)
    if _ends_augmentation(recipe) or config.resize_until:
        lines.append(f"            done = seen / (len(images) * {epochs})")
    if config.resize_until:
        lines.append("            size = RESIZE_TO if done < RESIZE_UNTIL else None")
    lines.append(call("inputs = prepare", ["images[batch]", *options], indent=12))
    lines.append("            targets = labels[batch]")
    if config.precision == "bf16":
        lines += [
            "            with torch.autocast(DEVICE, torch.bfloat16):",
            "                logits = model(inputs)",
            "            logits = logits.float()",
        ]
    else:
        lines.append("            logits = model(inputs)")
    smoothing = ["label_smoothing=LABEL_SMOOTHING"] if config.label_smoothing else []
    lines.append(call("loss = F.cross_entropy", ["logits", "targets", *smoothing], indent=12))
    return [
        *lines,
        "            optimizer.zero_grad()",
        "            loss.backward()",
        "            optimizer.step()",
        "            seen += len(batch)",
        "            loss_sum += loss.item() * len(batch)",
        "            correct += (logits.argmax(dim=1) == targets).sum().item()",
    ]


def _options(recipe: Recipe) -> list[str]:
    """Return the arguments of ``prepare`` in a training step, without the images."""
    options = []
    if augmentation_of(recipe) is not None:
        conditions = []
        if recipe.is_changed("augmentation"):
            conditions.append("augmenting")
        if _ends_augmentation(recipe):
            conditions.append("done < AUGMENT_UNTIL")
        options.append(f"augmented={' and '.join(conditions) or 'True'}")
    if recipe.config.resize_until:
        options.append("size=size")
    return options


def _apply_changes(recipe: Recipe) -> list[str]:
    lines = [
        "            while changes and changes[0][0] <= seen:",
        "                _, setting, value = changes.pop(0)",
    ]
    branches = [
        (name, f"{name} = value") for knob, name in _KNOBS.items() if recipe.is_changed(knob)
    ]
    if recipe.is_changed("dropout"):
        branches.append(("dropout", "set_dropout(model, value)"))
    for number, (name, statement) in enumerate(branches):
        word = "elif" if number else "if"
        lines.append(f'                {word} setting == "{name}":')
        lines.append(f"                    {statement}")
    return lines


def _report_epoch(recipe: Recipe) -> list[str]:
    loss = "loss" if not recipe.config.label_smoothing else "smoothed loss"
    lines = [
        "        loss, accuracy = loss_sum / len(images), correct / len(images)",
        f'        print(f"epoch {{epoch}}: {loss} {{loss:.4f}}, accuracy {{accuracy:.2%}}")',
    ]
    if recipe.started.val_size:
        lines.append('        report("validation", model, val_set)')
    return lines
