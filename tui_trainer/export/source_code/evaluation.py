"""The sections that evaluate, and the main function of a script."""

from __future__ import annotations

from tui_trainer.export.source_code.formatting import call, indented, joined
from tui_trainer.export.source_code.recipe import Recipe

EVAL_PIXELS = 128 * 28 * 28
"""Pixels a forward pass in the evaluation, as in the run: 128 images of MNIST's size."""


def evaluation_code(recipe: Recipe) -> str:
    """Return the definitions of the evaluation section."""
    size = max(1, EVAL_PIXELS // recipe.started.image_size**2)
    return joined(
        [
            f'''\
@torch.no_grad()
def evaluate(model, dataset):
    """Return the mean loss and the number of correct predictions on (images, labels)."""
    model.eval()
    loss = correct = 0
    for images, labels in zip(*(part.split({size}) for part in dataset)):
        logits = model(prepare(images)).float()
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        correct += (logits.argmax(dim=1) == labels).sum().item()
    return loss / len(dataset[1]), correct''',
            '''\
def report(name, model, dataset):
    """Print the accuracy of a model on (images, labels)."""
    loss, correct = evaluate(model, dataset)
    total = len(dataset[1])
    share = f"{correct:,} of {total:,} correct, {correct / total:.2%}"
    print(f"{name}: {share}, loss {loss:.4f}")''',
        ]
    )


def reports(recipe: Recipe, model: str = "model") -> list[str]:
    """Return the statements that report on the splits."""
    lines = []
    if recipe.started.val_size:
        lines.append(f'report("validation", {model}, val_set)')
    if recipe.uses_test:
        lines.append(f'report("test", {model}, test_set)')
    return lines or [f'report("training", {model}, train_set)']


def load_weights(file: str) -> str:
    """Return the statements that load weights from a file, an expression, into ``model``."""
    loaded = f"torch.load({file}, map_location=DEVICE, weights_only=True)"
    return f"weights = {loaded}\nmodel.load_state_dict(weights)"


def main_code(recipe: Recipe, build: str) -> str:
    """Return the main function, which reads the command line."""
    argument = ['"--evaluate"', 'metavar="WEIGHTS"', 'help="evaluate these weights"']
    reported = "\n".join(f"    {line}" for line in reports(recipe))
    load = indented(load_weights("args.evaluate"), 8)
    return f"""\
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=DATA_DIR, help="folder of the images")
{call("parser.add_argument", argument, indent=4)}
    args = parser.parse_args()
    torch.manual_seed(SEED)
    train_set, val_set, test_set = load_data(args.data)
    model = {build}.to(DEVICE)
    if args.evaluate:
{load}
    else:
        train(model, train_set, val_set)
        torch.save(model.state_dict(), "trained.pt")
{reported}


if __name__ == "__main__":
    main()"""
