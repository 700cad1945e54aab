"""A convolutional network for MNIST and the loop that trains it."""

from __future__ import annotations

import argparse

import torch
import torch.nn.functional as F
import tui_trainer
from torch import Tensor, nn, optim
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader

from digits import mnist


class Net(nn.Module):
    """Two convolutions, pooling, two linear layers; returns log-probabilities (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3)
        self.conv2 = nn.Conv2d(16, 32, 3)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(32 * 12 * 12, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return the log-probabilities of images (N, 1, 28, 28)."""
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = self.dropout1(F.max_pool2d(x, 2))
        x = F.relu(self.fc1(x.flatten(1)))
        return F.log_softmax(self.fc2(self.dropout2(x)), dim=1)


def train(args, model, device, loader, optimizer, epoch):
    """Train for an epoch."""
    model.train()
    for batch, (images, labels) in enumerate(loader):
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        output = model(images)
        loss = F.nll_loss(output, labels)
        loss.backward()
        optimizer.step()
        run.step(loss, output, labels)
        if batch % args.log_interval == 0:
            done = f"{batch * loader.batch_size:,} of {len(loader.dataset):,}"
            print(f"epoch {epoch}, {done} images: loss {loss.item():.4f}")
            if args.dry_run:
                break


def test(model, device, loader):
    """Print the mean loss and the accuracy on a loader."""
    model.eval()
    loss, correct, total = 0.0, 0, len(loader.dataset)
    with torch.no_grad():
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            output = model(images)
            loss += F.nll_loss(output, labels, reduction="sum").item() / total
            correct += int((output.argmax(dim=1) == labels).sum())
    print(f"test: mean loss {loss:.4f}, {correct:,} of {total:,} correct")
    run.log(val_loss=loss, val_correct=correct, val_total=total)


def parse_arguments() -> argparse.Namespace:
    """Return the settings on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-size", type=int, default=64, help="images per update (64)")
    parser.add_argument("--test-batch-size", type=int, default=1000, help="of the test (1000)")
    parser.add_argument("--epochs", type=int, default=14, help="passes over the images (14)")
    parser.add_argument("--lr", type=float, default=1.0, help="first learning rate (1.0)")
    parser.add_argument("--gamma", type=float, default=0.7, help="decay factor per epoch (0.7)")
    parser.add_argument("--seed", type=int, default=1, help="of all random numbers (1)")
    parser.add_argument("--log-interval", type=int, default=100, help="batches per line (100)")
    parser.add_argument("--data-dir", help="torchvision's folder; default: the packaged digits")
    parser.add_argument("--save-model", action="store_true", help="save the weights")
    parser.add_argument("--dry-run", action="store_true", help="train one batch per epoch")
    parser.add_argument("--no-accel", action="store_true", help="train on the CPU")
    return parser.parse_args()


def main() -> None:
    """Train and test."""
    global run
    args = parse_arguments()
    torch.manual_seed(args.seed)
    use_accelerator = not args.no_accel and torch.accelerator.is_available()
    device = torch.accelerator.current_accelerator() if use_accelerator else torch.device("cpu")
    data = mnist(args.data_dir, train=True)
    train_loader = DataLoader(data, args.batch_size, shuffle=True)
    test_loader = DataLoader(mnist(args.data_dir, train=False), args.test_batch_size)

    model = Net().to(device)
    optimizer = optim.Adadelta(model.parameters(), lr=args.lr)
    scheduler = StepLR(optimizer, step_size=1, gamma=args.gamma)
    run = tui_trainer.watch(model, optimizer, epochs=args.epochs, scheduler=scheduler)
    train_loader = run.batches(train_loader)
    for epoch in range(1, args.epochs + 1):
        train(args, model, device, train_loader, optimizer, epoch)
        test(model, device, test_loader)
        scheduler.step()
        if run.should_stop:
            break

    if args.save_model:
        torch.save(model.state_dict(), "mnist_cnn.pt")


if __name__ == "__main__":
    main()
