#!/usr/bin/env python3
"""Writes tests/reference/images/: small image files and what Pillow makes of them.

Run with Pillow and torchvision installed: python scripts/reference/images.py
Every case is <name>.<ending> with the expected pixels, RGB bytes [height, width, 3], in a lossless <name>.expected.png.
"""

from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import v2 as transforms

OUT = Path(__file__).resolve().parents[2] / "tests/reference/images"


def photo(width, height, seed=0):
    """Smooth gradients, hard edges and some noise: what resampling filters differ on."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    red = 127 + 120 * np.sin(x / 7.0) * np.cos(y / 11.0)
    green = 255.0 * x / max(width - 1, 1)
    blue = np.where((x // 9 + y // 6) % 2 == 0, 250.0, 5.0)
    pixels = np.stack([red, green, blue], axis=-1) + rng.normal(0, 4, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8), "RGB")


def save(name, image):
    image.save(OUT / f"{name}.expected.png", optimize=True)


def on_white(image):
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def decoding():
    base = photo(61, 43)
    for name, image, options in [
        ("baseline_420", base, {"quality": 90}),
        ("baseline_444", base, {"quality": 95, "subsampling": 0}),
        ("progressive", base, {"quality": 90, "progressive": True}),
        ("grey_jpeg", base.convert("L"), {"quality": 90}),
        ("cmyk_jpeg", base.convert("CMYK"), {"quality": 95}),
    ]:
        image.save(OUT / f"{name}.jpg", **options)
        save(name, Image.open(OUT / f"{name}.jpg").convert("RGB"))

    alpha = Image.fromarray(np.mgrid[0:43, 0:61][1].astype(np.uint8) * 4, "L")
    rgba = base.copy()
    rgba.putalpha(alpha)
    grey_alpha = base.convert("L").convert("LA")
    grey_alpha.putalpha(alpha)
    palette = base.quantize(16)
    palette_transparent = base.quantize(16)
    palette_transparent.info["transparency"] = 3
    deep = Image.fromarray((np.mgrid[0:43, 0:61][1] * 1000 + 77).astype(np.uint16))
    for name, image, options in [
        ("rgb_png", base, {}),
        ("grey_png", base.convert("L"), {}),
        ("bits_png", base.convert("1"), {}),
        ("palette_png", palette, {}),
        ("palette_transparent_png", palette_transparent, {"transparency": 3}),
        ("rgba_png", rgba, {}),
        ("grey_alpha_png", grey_alpha, {}),
    ]:
        image.save(OUT / f"{name}.png", **options)
        save(name, on_white(Image.open(OUT / f"{name}.png")))
    deep.save(OUT / "grey16_png.png")
    high_byte = (np.asarray(Image.open(OUT / "grey16_png.png")).astype(np.uint16) >> 8).astype(np.uint8)
    save("grey16_png", Image.fromarray(high_byte, "L").convert("RGB"))


def resizing():
    """Cases are read back from their names: <filter>_<source>_to_<width>x<height>."""
    sources = {"wide": photo(97, 60, 1), "tall": photo(41, 75, 2)}
    for name, image in sources.items():
        image.save(OUT / f"{name}.png", optimize=True)
        for width, height in [(48, 30), (33, 33), (120, 80), (97, 20), (7, 5)]:
            for filter_name, resample in [("bilinear", Image.BILINEAR), ("bicubic", Image.BICUBIC)]:
                # Rows first, whatever the version: Pillow 13 does columns first where the height shrinks much more.
                resized = image.resize((width, image.height), resample).resize((width, height), resample)
                save(f"{filter_name}_{name}_to_{width}x{height}", resized)


def torchvision():
    for name in ["wide", "tall"]:
        image = Image.open(OUT / f"{name}.png")
        for size, crop in [(40, 33), (20, 28), (51, 50)]:
            pipeline = transforms.Compose(
                [transforms.Resize(size, interpolation=InterpolationMode.BILINEAR), transforms.CenterCrop(crop)]
            )
            save(f"torchvision_{name}_{size}_{crop}", pipeline(image))


OUT.mkdir(parents=True, exist_ok=True)
for old in OUT.iterdir():
    old.unlink()
decoding()
resizing()
torchvision()
