"""PyTorch as people write it: torchvision's ImageFolder and DataLoader, a loop over batches, eager layers."""

from __future__ import annotations

import torch
from draws import batch_order, head
from row import CORES, Place
from torchvision import datasets, models, transforms

BATCH = 32
NORMALIZE = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
CENTRE = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(), NORMALIZE])
RANDOM = transforms.Compose([
    transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(), transforms.ToTensor(), NORMALIZE,
])


class Photos:
    """The splits of a set, and loaders that follow thawline's order of batches."""

    def __init__(self, place: Place, name: str, train: transforms.Compose = CENTRE):
        self.train = datasets.ImageFolder(str(place.data(name) / "train"), train)
        self.val = datasets.ImageFolder(str(place.data(name) / "val"), CENTRE)
        self.classes = len(self.train.classes)

    def train_loader(self, seed: int, epoch: int):
        order = batch_order(seed, epoch, len(self.train))
        return torch.utils.data.DataLoader(self.train, batch_size=BATCH, sampler=order, num_workers=CORES)

    def in_order(self, split):
        return torch.utils.data.DataLoader(split, batch_size=BATCH, num_workers=CORES)


def resnet18(place: Place) -> torch.nn.Module:
    """The backbone without its classifier: [n, 512] features."""
    model = models.resnet18()
    model.load_state_dict(torch.load(place.root / "weights" / "resnet18.pth", weights_only=True))
    model.fc = torch.nn.Identity()
    return model


def linear(inputs: int, outputs: int, seed: int) -> torch.nn.Linear:
    """A head as thawline starts it."""
    layer = torch.nn.Linear(inputs, outputs)
    weight, bias = head(inputs, outputs, seed)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.copy_(torch.tensor(bias))
    return layer


def accuracy(logits_and_labels) -> float:
    right = total = 0
    for logits, labels in logits_and_labels:
        right += (logits.argmax(1) == labels).sum().item()
        total += len(labels)
    return right / total
