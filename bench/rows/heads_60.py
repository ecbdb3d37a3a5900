"""60 head trials (20 learning rates x 3 seeds), 25 epochs, ResNet-18, 600 photographs."""

from row import Place, Row, run, stopwatch

LRS = [round(0.001 * step, 3) for step in range(1, 21)]
SEEDS = [0, 1, 2]
EPOCHS = 25


def ours(place: Place) -> dict:
    return run(place, "heads_60")


def eager(place: Place) -> dict:
    """The frozen backbone runs in every epoch of every trial. One epoch is timed, the rest multiplied."""
    import torch
    from eager import Photos, accuracy, linear, resnet18

    photos, backbone, head = Photos(place, "photos600"), resnet18(place).eval(), linear(512, 2, seed=0)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.01, momentum=0.9)
    loader = photos.train_loader(seed=0, epoch=0)
    found = {}
    with stopwatch(found):
        for images, labels in loader:
            with torch.no_grad():
                features = backbone(images)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(head(features), labels).backward()
            optimizer.step()
        with torch.no_grad():
            accuracy((head(backbone(images)), labels) for images, labels in photos.in_order(photos.val))
    return {"epoch": found["seconds"], "seconds": found["seconds"] * EPOCHS * len(LRS) * len(SEEDS)}


def once(place: Place, channels_last: bool = False) -> dict:
    """Features computed once by a DataLoader, then one head after another."""
    import torch
    from draws import batch_order
    from eager import BATCH, Photos, accuracy, linear, resnet18

    photos, backbone = Photos(place, "photos600"), resnet18(place).eval()
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    backbone = backbone.to(memory_format=memory_format)
    orders = {seed: [torch.tensor(batch_order(seed, e, 400)) for e in range(EPOCHS)] for seed in SEEDS}
    starts = {seed: linear(512, 2, seed).state_dict() for seed in SEEDS}
    found, accuracies = {}, []
    with stopwatch(found):
        with torch.no_grad():
            made = {}
            for split in ("train", "val"):
                parts = [
                    (backbone(images.to(memory_format=memory_format)), labels)
                    for images, labels in photos.in_order(getattr(photos, split))
                ]
                made[split] = [torch.cat(part) for part in zip(*parts)]
        (x, y), (val_x, val_y) = made["train"], made["val"]
        for seed in SEEDS:
            for lr in LRS:
                head = torch.nn.Linear(512, 2)
                head.load_state_dict(starts[seed])
                optimizer = torch.optim.SGD(head.parameters(), lr=lr, momentum=0.9)
                for order in orders[seed]:
                    for rows in order.split(BATCH):
                        optimizer.zero_grad()
                        torch.nn.functional.cross_entropy(head(x[rows]), y[rows]).backward()
                        optimizer.step()
                    with torch.no_grad():
                        reached = accuracy([(head(val_x), val_y)])
                accuracies.append(reached)
    found["accuracy"] = sum(accuracies) / len(accuracies)
    return found


def once_channels_last(place: Place) -> dict:
    return once(place, channels_last=True)


def limit(place: Place) -> dict:
    """Decoding, and one forward in the fastest form that PyTorch has: folded batch normalisation, channels-last."""
    import torch
    from eager import Photos, resnet18

    photos = Photos(place, "photos600")
    backbone = torch.jit.freeze(torch.jit.script(resnet18(place).eval().to(memory_format=torch.channels_last)))
    found = {}
    with stopwatch(found), torch.inference_mode():
        for split in (photos.train, photos.val):
            for images, _ in photos.in_order(split):
                backbone(images.to(memory_format=torch.channels_last))
    return found


ROW = Row(
    title="60 head trials of 25 epochs on ResNet-18 features of 600 photographs",
    sides={"ours": ours, "peer": eager, "features_once": once, "features_once_best": once_channels_last, "limit": limit},
    goals={"peer": 1500, "features_once": 2, "features_once_best": None, "limit": 0.8},
)
