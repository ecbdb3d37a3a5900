#!/usr/bin/env python3
"""Writes tests/reference/transforms/: what torchvision v2, Pillow, scipy and Keras make of parts of photographs.

Run with torch, torchvision, scipy, Pillow, Keras (its legacy ImageDataGenerator)
and imagecorruptions: python -P scripts/reference/transforms.py PHOTOGRAPHS
where PHOTOGRAPHS is the folder `testdata/photos` of the cache, which `make fetch` fills.

exact.json: cases [{name, transforms, within}]; <name>.png holds the expected pixels of all parts, one below the other.
part_*.png: the parts.
keras.json: cases [{name, parameters, drawn}], of the first part's first 48 columns.
conditions.json, conditions_random.json: the same of `imagecorruptions`.
mixing.json: what CutMix leaves of an image's own label.
random.json: cases [{name, transforms, within, mean, deviation}]: over 1,000 draws, mean and standard deviation of the statistics
that `statistics` lists.
"""

import functools
import json
import os
import sys
import types
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

OUT = Path(__file__).resolve().parents[2] / "tests/reference/transforms"
PHOTOS = Path(sys.argv[1])
# (photograph, left, top): what the parts show is an eye, a spoon on a saucer, and a rocket's flame.
PARTS = [("chelsea.png", 120, 80), ("coffee.png", 260, 160), ("rocket.jpg", 290, 250)]
WIDTH, HEIGHT = 64, 48
DRAWS = 1000
BILINEAR, NEAREST = InterpolationMode.BILINEAR, InterpolationMode.NEAREST
torch.set_num_threads(1)

def part(name, left, top):
    return Image.open(PHOTOS / name).convert("RGB").crop((left, top, left + WIDTH, top + HEIGHT))


IMAGES = [part(*p) for p in PARTS]


def tensor(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def array(pixels):
    if isinstance(pixels, torch.Tensor):
        return pixels.permute(1, 2, 0).numpy()
    return np.asarray(pixels)


exact = []


def sheet(name, function, of=tensor):
    """For tests that call the function itself."""
    made = np.concatenate([array(function(of(image))) for image in IMAGES])
    Image.fromarray(made.astype(np.uint8)).save(OUT / f"{name}.png", optimize=True)


def case(name, transforms, function, within=1, of=tensor):
    sheet(name, function, of)
    exact.append({"name": name, "transforms": transforms, "within": within})


def geometry():
    for angle, fill in [(27.0, 0), (-160.0, [10, 200, 30]), (90.0, 0)]:
        case(
            f"rotate_{angle:.0f}",
            [{"rotate": {"degrees": [angle, angle], "fill": fill if fill else "constant"}}],
            lambda x: F.rotate(x, angle, interpolation=BILINEAR, fill=fill),
        )
    case(
        "rotate_nearest",
        [{"rotate": {"degrees": [33, 33], "interpolation": "nearest"}}],
        lambda x: F.rotate(x, 33, interpolation=NEAREST, fill=0),
    )
    none = {"angle": 0, "translate": [0, 0], "scale": 1.0, "shear": [0, 0]}
    bilinear = {"interpolation": BILINEAR, "fill": 0}
    case("shear", [{"shear": [20, 20, -12, -12]}], lambda x: F.affine(x, **{**none, "shear": [20, -12]}, **bilinear))
    case("zoom_in", [{"zoom": [1.7, 1.7]}], lambda x: F.affine(x, **{**none, "scale": 1.7}, **bilinear))
    case("zoom_out", [{"zoom": [0.6, 0.6]}], lambda x: F.affine(x, **{**none, "scale": 0.6}, **bilinear))
    case(
        "affine",
        [{"affine": {"degrees": [35, 35], "scale": [0.8, 0.8], "shear": [10, 10, 5, 5], "fill": 77}}],
        lambda x: F.affine(x, 35, [0, 0], 0.8, [10, 5], interpolation=BILINEAR, fill=77),
    )
    corners = [[0, 0], [63, 0], [63, 47], [0, 47]], [[5, 7], [58, 3], [60, 40], [9, 44]]
    sheet("perspective", lambda x: F.perspective(x, *corners, interpolation=BILINEAR, fill=50))
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    pixels = torch.stack([3 * torch.sin(y / 5), 2 * torch.cos(x / 4)], -1)
    displacement = (pixels * 2 / torch.tensor([WIDTH, HEIGHT]))[None]
    sheet("elastic", lambda x: F.elastic(x, displacement, interpolation=BILINEAR, fill=0))
    case("vertical_flip", [{"vertical_flip": {"p": 1}}], F.vertical_flip, 0)
    case("horizontal_flip", [{"horizontal_flip": {"p": 1}}], F.horizontal_flip, 0)


def scipy_borders():
    from scipy import ndimage

    def rotated(mode):
        # What `affine` reads, as (row, column) matrices; `grid-wrap` is what scipy calls abcd|abcd.
        angle = np.deg2rad(40.0)
        matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / 0.7
        centre = np.array([(HEIGHT - 1) / 2, (WIDTH - 1) / 2])

        def function(image):
            pixels = np.asarray(image).astype(np.float64)
            channels = [
                ndimage.affine_transform(pixels[..., c], matrix, centre - matrix @ centre, order=1, mode=mode)
                for c in range(3)
            ]
            return np.stack(channels, -1).round()

        return function

    for fill, mode in [("nearest", "nearest"), ("reflect", "reflect"), ("wrap", "grid-wrap")]:
        affine = {"affine": {"degrees": [-40, -40], "scale": [0.7, 0.7], "fill": fill}}
        case(f"fill_{fill}", [affine], rotated(mode), of=lambda image: image)


def colour():
    for factor in [0.4, 1.6]:
        name = str(factor).replace(".", "_")
        case(f"brightness_{name}", [{"brightness": [factor, factor]}], lambda x: F.adjust_brightness(x, factor))
        case(f"contrast_{name}", [{"contrast": [factor, factor]}], lambda x: F.adjust_contrast(x, factor))
        case(f"saturation_{name}", [{"saturation": [factor, factor]}], lambda x: F.adjust_saturation(x, factor))
        case(f"sharpness_{name}", [{"sharpness": {"factor": factor, "p": 1}}], lambda x: F.adjust_sharpness(x, factor))
    for turn in [0.2, -0.35]:
        name = str(turn).replace(".", "_").replace("-", "minus_")
        case(f"hue_{name}", [{"hue": [turn, turn]}], lambda x: F.adjust_hue(x, turn))
    case("grayscale", [{"grayscale": {"p": 1}}], lambda x: F.rgb_to_grayscale(x, 3))
    case("invert", [{"invert": {"p": 1}}], F.invert, 0)
    case("equalize", [{"equalize": {"p": 1}}], F.equalize, 0)
    case("autocontrast", [{"autocontrast": {"p": 1}}], F.autocontrast)
    case("posterize", [{"posterize": {"bits": 3, "p": 1}}], lambda x: F.posterize(x, 3), 0)
    case("solarize", [{"solarize": {"threshold": 100, "p": 1}}], lambda x: F.solarize(x, 100), 0)
    case(
        "gaussian_blur",
        [{"gaussian_blur": {"kernel_size": 7, "sigma": 1.5}}],
        lambda x: F.gaussian_blur(x, [7, 7], [1.5, 1.5]),
    )
    # Two encoders, whose coefficients may round either way: a step of the table apart, which is large at low quality.
    for quality in [20, 75]:
        case(f"jpeg_{quality}", [{"jpeg": quality}], lambda x: F.jpeg(x, quality), 25)


def keras():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    nothing = {
        "theta": 0, "tx": 0, "ty": 0, "shear": 0, "zx": 1, "zy": 1, "flip_horizontal": False, "flip_vertical": False,
        "channel_shift_intensity": 0, "brightness": None,
    }
    geometry = {"theta": 33.0, "tx": 5.5, "ty": -3.25, "shear": 12.0, "zx": 1.3, "zy": 0.8}
    cases = []
    for name, parameters, drawn in [
        ("keras_rotation", {}, {"theta": -25.0}),
        ("keras_shift", {}, {"tx": 4.5, "ty": -7.25}),
        ("keras_shear", {}, {"shear": 20.0}),
        ("keras_zoom", {}, {"zx": 0.7, "zy": 1.4}),
        ("keras_nearest", {}, geometry),
        ("keras_reflect", {"fill_mode": "reflect"}, geometry),
        ("keras_wrap", {"fill_mode": "wrap"}, geometry),
        ("keras_constant", {"fill_mode": "constant", "cval": 90}, geometry),
        ("keras_channel_shift", {}, {"channel_shift_intensity": 37.5}),
        ("keras_all", {}, {**geometry, "flip_horizontal": True, "flip_vertical": True, "channel_shift_intensity": -20.0,
                           "brightness": 1.3}),
    ]:
        drawn = {**nothing, **drawn}
        image = np.asarray(IMAGES[0])[:48, :48].astype(np.float32)
        made = ImageDataGenerator(**parameters).apply_transform(image, drawn)
        Image.fromarray(made.clip(0, 255).round().astype(np.uint8)).save(OUT / f"{name}.png", optimize=True)
        cases.append({"name": name, "parameters": parameters, "drawn": drawn})
    return cases


def imagenet_c():
    """`imagecorruptions` wants `pkg_resources` and an old numpy; neither matters for what is called here."""
    sys.modules.setdefault("pkg_resources", types.SimpleNamespace(resource_filename=None))
    np.float_ = np.float64
    from imagecorruptions import corruptions

    # scikit-image draws its salt and pepper from a generator of its own.
    corruptions.sk.util.random_noise = functools.partial(corruptions.sk.util.random_noise, rng=np.random.default_rng(0))

    names = {"defocus": "defocus_blur", "over_exposure": "brightness", "contrast": "contrast", "pixelate": "pixelate",
             "jpeg": "jpeg_compression"}
    fixed = []
    for condition, function in names.items():
        for severity in [1, 3, 5]:
            made = [np.uint8(getattr(corruptions, function)(image, severity)) for image in IMAGES]
            name = f"condition_{condition}_{severity}"
            Image.fromarray(np.concatenate(made)).save(OUT / f"{name}.png", optimize=True)
            within = 45 if condition == "jpeg" else 1
            fixed.append({"name": name, "condition": condition, "severity": severity, "within": within})
    drawn = []
    np.random.seed(0)
    for condition in ["gaussian_noise", "shot_noise", "impulse_noise", "motion_blur", "fog", "snow"]:
        for severity in [1, 3, 5]:
            count = 300
            made = [np.uint8(getattr(corruptions, condition)(IMAGES[0], severity)) for _ in range(count)]
            values = np.array([statistics(m) for m in made])
            drawn.append({"condition": condition, "severity": severity, "draws": count,
                          "mean": values.mean(0).round(4).tolist(), "deviation": values.std(0).round(4).tolist()})
    return fixed, drawn


def statistics(pixels):
    """Mean of each channel, deviation of all values, mean step between neighbours in a row."""
    x = array(pixels).astype(np.float64)
    return [*x.mean((0, 1)), x.std(), np.abs(np.diff(x, axis=1)).mean()]


random = []


def distribution(name, transforms, transform, within=0.05):
    """Of the first part; `within` levels beside what chance allows."""
    torch.manual_seed(0)
    image = tensor(IMAGES[0])
    drawn = np.array([statistics(transform(image)) for _ in range(DRAWS)])
    random.append(
        {
            "name": name,
            "transforms": transforms,
            "within": within,
            "mean": drawn.mean(0).round(4).tolist(),
            "deviation": drawn.std(0).round(4).tolist(),
        }
    )


def draws():
    b = {"interpolation": BILINEAR}
    distribution("rotate", [{"rotate": 40}], v2.RandomRotation(40, **b))
    distribution("translate", [{"translate": [0.3, 0.2]}], v2.RandomAffine(0, translate=(0.3, 0.2), **b))
    distribution("shear", [{"shear": 25}], v2.RandomAffine(0, shear=25, **b))
    distribution("zoom", [{"zoom": [0.5, 1.5]}], v2.RandomAffine(0, scale=(0.5, 1.5), **b))
    distribution(
        "affine",
        [{"affine": {"degrees": 30, "translate": [0.2, 0.2], "scale": [0.7, 1.4], "shear": [-10, 10, -20, 20]}}],
        v2.RandomAffine(30, translate=(0.2, 0.2), scale=(0.7, 1.4), shear=(-10, 10, -20, 20), **b),
    )
    distribution("perspective", [{"perspective": {"p": 0.8}}], v2.RandomPerspective(0.5, p=0.8))
    distribution("elastic", [{"elastic": {"alpha": 80, "sigma": 3}}], v2.ElasticTransform(80.0, 3.0))
    distribution("random_crop", [{"random_crop": {"size": [30, 40], "padding": 8}}], v2.RandomCrop((30, 40), padding=8))
    distribution(
        "random_crop_reflect",
        [{"random_crop": {"size": [60, 70], "pad_if_needed": True, "fill": "reflect"}}],
        v2.RandomCrop((60, 70), pad_if_needed=True, padding_mode="symmetric"),
    )
    distribution("brightness", [{"brightness": 0.5}], v2.ColorJitter(brightness=0.5))
    distribution("contrast", [{"contrast": 0.5}], v2.ColorJitter(contrast=0.5))
    distribution("saturation", [{"saturation": 0.9}], v2.ColorJitter(saturation=0.9))
    distribution("hue", [{"hue": 0.3}], v2.ColorJitter(hue=0.3))
    distribution(
        "color_jitter",
        [{"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}}],
        v2.ColorJitter(0.4, 0.4, 0.4, 0.1),
    )
    distribution("grayscale", ["grayscale"], v2.RandomGrayscale())
    distribution("equalize", ["equalize"], v2.RandomEqualize())
    distribution("posterize", [{"posterize": {"bits": 2}}], v2.RandomPosterize(2))
    distribution("solarize", [{"solarize": {"threshold": 100}}], v2.RandomSolarize(100))
    distribution("sharpness", [{"sharpness": {"factor": 4}}], v2.RandomAdjustSharpness(4))
    distribution("gaussian_blur", [{"gaussian_blur": 9}], v2.GaussianBlur(9))
    distribution("gaussian_noise", ["gaussian_noise"], v2.GaussianNoise())
    distribution("jpeg", [{"jpeg": [40, 95]}], v2.JPEG((40, 95)), 0.4)
    distribution("random_erasing", ["random_erasing"], v2.RandomErasing())
    distribution("random_erasing_colour", [{"random_erasing": {"p": 1, "scale": [0.1, 0.4], "value": [255, 0, 9]}}],
                 v2.RandomErasing(1, (0.1, 0.4), value=(255, 0, 9)))
    for interpolation, mode in [("nearest", NEAREST), ("bilinear", BILINEAR)]:
        i = {"interpolation": interpolation}
        distribution(f"rand_augment_{interpolation}", [{"rand_augment": {"magnitude": 15, **i}}],
                     v2.RandAugment(magnitude=15, interpolation=mode))
    distribution("trivial_augment_wide", ["trivial_augment_wide"], v2.TrivialAugmentWide())
    distribution("auto_augment", ["auto_augment"], v2.AutoAugment())
    distribution("augmix", [{"augmix": {"severity": 5}}], v2.AugMix(severity=5))


def mixing():
    """What CutMix leaves of an image's own label, on 32 x 32 pixels."""
    torch.manual_seed(0)
    transform, batch = v2.CutMix(alpha=1.0, num_classes=2), [torch.zeros(2, 3, 32, 32)]
    shares = np.array([transform.make_params(batch)["lam_adjusted"] for _ in range(10 * DRAWS)])
    return [{"name": "cutmix", "mean": round(shares.mean(), 4), "deviation": round(shares.std(), 4)}]


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    for (name, *_), image in zip(PARTS, IMAGES):
        image.save(OUT / f"part_{Path(name).stem}.png", optimize=True)
    geometry()
    scipy_borders()
    colour()
    draws()
    fixed, drawn = imagenet_c()
    written = [("conditions", fixed), ("conditions_random", drawn), ("mixing", mixing())]
    for name, cases in written + [("exact", exact), ("keras", keras()), ("random", random)]:
        lines = ",\n".join(json.dumps(c) for c in cases)
        (OUT / f"{name}.json").write_text(f"[\n{lines}\n]\n")


main()
