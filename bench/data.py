"""Makes what the rows work on, once: folders of images from the solar-cell photographs, and weights.

Usage: data.py FOLDER. Every set is a folder train/<class>/*, val/<class>/*, test/<class>/*. Licence of the photographs:
CC-BY-NC-SA-4.0, and so of what is made of them here; they stay in the cache folder.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(root: Path) -> None:
    make(root / "weights", weights)
    photos = labelled()
    make(root / "data" / "photos600", lambda into: split(photos, into, (400, 100, 100)))
    make(root / "data" / "photos200", lambda into: split(photos, into, (128, 64, 8)))
    make(root / "data" / "tiny", lambda into: tiny(photos, into))
    make(root / "data" / "large_jpeg", lambda into: large(photos, into, "jpg", 4000))
    make(root / "data" / "large_png", lambda into: large(photos, into, "png", 1000))


def make(target: Path, how) -> None:
    """`how` fills a folder beside the target, which counts once it has its name."""
    if target.exists():
        return
    print(f"bench: making {target}", flush=True)
    fresh = target.with_name(target.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    how(fresh)
    fresh.rename(target)


def labelled() -> list[tuple[Path, str]]:
    """The photographs whose label is sure, in an order drawn once."""
    subprocess.run([sys.executable, HERE.parent / "scripts" / "fetch.py", "data", "weights"], check=True)
    folder = HERE.parent / "data" / "elpv"
    classes = {0.0: "functional", 1.0: "defective"}
    lines = [line.split() for line in (folder / "labels.csv").read_text(encoding="utf-8").splitlines()]
    found = [(folder / path, classes[float(label)]) for path, label, _ in lines if float(label) in classes]
    random.Random(0).shuffle(found)
    return found


def each(photos, counts):
    """(split, class, path) of the first photographs, so many a split."""
    photos = iter(photos)
    for name, count in zip(("train", "val", "test"), counts):
        for _ in range(count):
            path, label = next(photos)
            yield name, label, path


def place_of(into: Path, split: str, label: str, name: str) -> Path:
    folder = into / split / label
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def split(photos, into: Path, counts) -> None:
    for name, label, path in each(photos, counts):
        shutil.copy(path, place_of(into, name, label, path.name))


def tiny(photos, into: Path) -> None:
    from PIL import Image

    for name, label, path in each(photos, (40, 10, 10)):
        Image.open(path).convert("RGB").resize((32, 32)).save(place_of(into, name, label, path.name))


def large(photos, into: Path, ending: str, count: int) -> None:
    """Pictures of 500 x 375 in colour, each pieced together from four photographs, with noise of its own."""
    import numpy
    from PIL import Image

    noise = numpy.random.default_rng(0)
    draws = random.Random(1)
    for number in range(count):
        picture = numpy.zeros((375, 500, 3), numpy.float32)
        for channel in range(3):
            path, label = photos[draws.randrange(len(photos))]
            grey = Image.open(path).convert("L").resize((500, 375), Image.BILINEAR)
            picture[:, :, channel] = numpy.asarray(grey)
        picture += noise.normal(0, 3, picture.shape)
        image = Image.fromarray(picture.clip(0, 255).astype(numpy.uint8))
        target = place_of(into, "train", label, f"{number:05}.{ending}")
        image.save(target, **({"quality": 90} if ending == "jpg" else {}))
    for name in ("val", "test"):
        for label in ("functional", "defective"):
            source = next((into / "train" / label).iterdir())
            shutil.copy(source, place_of(into, name, label, f"{name}-{source.name}"))


def weights(into: Path) -> None:
    """ResNet-18's published weights need their publisher's server, so these are seeded, with the statistics of its batch
    normalisation taken from photographs: features then tell images apart. `tiny.pt` makes 10 features of 32 x 32 pixels."""
    import torch
    import torchvision
    from torchvision import transforms

    from PIL import Image

    torch.manual_seed(0)
    model = torchvision.models.resnet18()
    prepare = transforms.Compose([
        transforms.Resize(224), transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ])
    images = [prepare(Image.open(path).convert("RGB")) for path, _ in labelled()[:64]]
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = None  # the mean over all batches
    with torch.no_grad():
        model(torch.stack(images))
    torch.save(model.state_dict(), into / "resnet18.pth")

    class Tiny(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.adaptive_avg_pool2d(x, [2, 5]).mean(1).flatten(1)

    torch.jit.save(torch.jit.script(Tiny().eval()), into / "tiny.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
