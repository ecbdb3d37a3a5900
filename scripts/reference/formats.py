#!/usr/bin/env python3
"""Writes tests/reference/formats/: small files of every format that is read, and what Pillow, tifffile and pydicom make of them;
and tests/reference/containers/: the same ten images in every kind of file that holds many;
and tests/reference/photos/: parts of real photographs as Pillow decodes and resizes them.

Run with Pillow, tifffile, pydicom and pyarrow installed: python scripts/reference/formats.py
Every case is <name>.<ending> with the expected pixels, RGB bytes [height, width, 3], in a lossless <name>.expected.png.
What a file holds beyond 8 bits is brought to 8 here by the rules that docs/images.md states, in NumPy.
"""

import gzip
import io
import json
import os
import struct
import tarfile
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pydicom
import tifffile
from PIL import Image, ImageOps
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless, generate_uid

OUT = Path(__file__).resolve().parents[2] / "tests/reference/formats"
ORIENTATION = 0x0112


def photo(width=45, height=31, seed=0):
    """Smooth gradients, hard edges and some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    red = 127 + 120 * np.sin(x / 7.0) * np.cos(y / 11.0)
    green = 255.0 * x / max(width - 1, 1)
    blue = np.where((x // 9 + y // 6) % 2 == 0, 250.0, 5.0)
    pixels = np.stack([red, green, blue], axis=-1) + rng.normal(0, 4, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8), "RGB")


def expect(name, image):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image.astype(np.uint8))
    image.convert("RGB").save(OUT / f"{name}.expected.png", optimize=True)


def on(image, background="white"):
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, background), image)


def pillow(file, **options):
    """The pixels that Pillow sees, upright, on white."""
    image = ImageOps.exif_transpose(Image.open(OUT / file))
    transparent = "A" in image.getbands() or "transparency" in image.info
    expect(file.split(".")[0], on(image) if transparent else image)


def jpeg():
    base = photo()
    for name, image, options in [
        ("jpeg_420", base, {"quality": 85, "subsampling": 2}),
        ("jpeg_422", base, {"quality": 85, "subsampling": 1}),
        ("jpeg_444", base, {"quality": 85, "subsampling": 0}),
        ("jpeg_coarse", base, {"quality": 20}),
        ("jpeg_restarts", base, {"quality": 85, "restart_marker_blocks": 2}),
        ("jpeg_rgb", base, {"quality": 85, "keep_rgb": True}),
        ("jpeg_progressive", base, {"quality": 85, "progressive": True}),
        ("jpeg_grey_progressive", base.convert("L"), {"quality": 85, "progressive": True}),
        ("jpeg_cmyk", base.convert("CMYK"), {"quality": 85}),
        ("jpeg_pixel", photo(1, 1), {}),
    ]:
        image.save(OUT / f"{name}.jpg", **options)
        pillow(f"{name}.jpg")
    # YCCK: what Pillow writes as CMYK, called YCCK by its Adobe marker.
    ycc = np.asarray(base.convert("YCbCr"))
    ycck = np.dstack([ycc, np.asarray(base.convert("L")) // 2])
    buffer = io.BytesIO()
    Image.fromarray(ycck, "CMYK").save(buffer, "JPEG", quality=85, subsampling=0)
    data = bytearray(buffer.getvalue())
    marker = data.index(b"Adobe")
    assert data[marker + 11] == 0
    data[marker + 11] = 2
    (OUT / "jpeg_ycck.jpg").write_bytes(data)
    pillow("jpeg_ycck.jpg")
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        base.save(OUT / f"jpeg_orientation{orientation}.jpg", quality=90, exif=exif)
        pillow(f"jpeg_orientation{orientation}.jpg")


def png():
    base = photo()
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    base.save(OUT / "png_orientation.png", exif=exif)
    pillow("png_orientation.png")


def webp():
    base = photo()
    rgba = base.copy()
    rgba.putalpha(Image.fromarray(np.mgrid[0:31, 0:45][1].astype(np.uint8) * 5, "L"))
    exif = Image.Exif()
    exif[ORIENTATION] = 8
    for name, image, options in [
        ("webp_lossy", base, {"quality": 80}),
        ("webp_lossy_small", base, {"quality": 10, "method": 6}),
        ("webp_lossless", base, {"lossless": True}),
        ("webp_lossy_alpha", rgba, {"quality": 80}),
        ("webp_lossless_alpha", rgba, {"lossless": True, "exact": True}),
        ("webp_animated", base, {"lossless": True, "save_all": True, "append_images": [photo(seed=1)], "duration": 100}),
        ("webp_orientation", base, {"lossless": True, "exif": exif}),
    ]:
        image.save(OUT / f"{name}.webp", **options)
        pillow(f"{name}.webp")


def gif():
    base = photo()
    palette = base.quantize(32)
    base.quantize(200).save(OUT / "gif_plain.gif")
    palette.save(OUT / "gif_transparent.gif", transparency=3)
    palette.save(OUT / "gif_animated.gif", save_all=True, append_images=[photo(seed=1).quantize(32)], duration=100)
    base.convert("L").save(OUT / "gif_grey.gif")
    # A frame that does not fill the canvas: the canvas grows in the header.
    for name, options in [("gif_canvas", {}), ("gif_canvas_transparent", {"transparency": 3})]:
        buffer = io.BytesIO()
        palette.save(buffer, "GIF", **options)
        data = bytearray(buffer.getvalue())
        data[6:10] = struct.pack("<HH", 60, 40)
        (OUT / f"{name}.gif").write_bytes(data)
    for file in sorted(OUT.glob("gif_*.gif")):
        pillow(file.name)


def bmp():
    base = photo()
    base.save(OUT / "bmp_24.bmp")
    base.quantize(200).save(OUT / "bmp_palette.bmp")
    base.convert("L").save(OUT / "bmp_grey.bmp")
    base.convert("1").save(OUT / "bmp_bits.bmp")
    rgba = base.copy()
    rgba.putalpha(200)
    rgba.save(OUT / "bmp_32.bmp")
    # 5-6-5 bits with masks, top-down, rows padded to 4 bytes.
    red, green, blue = (np.asarray(base)[..., i].astype(np.uint16) for i in range(3))
    packed = ((red >> 3) << 11 | (green >> 2) << 5 | blue >> 3).astype("<u2")
    packed = np.pad(packed, ((0, 0), (0, packed.shape[1] % 2)))
    header = struct.pack("<IiiHHIIiiII", 40, 45, -31, 1, 16, 3, packed.nbytes, 2835, 2835, 0, 0)
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    start = 14 + len(header) + len(masks)
    file = struct.pack("<2sIHHI", b"BM", start + packed.nbytes, 0, 0, start)
    (OUT / "bmp_565.bmp").write_bytes(file + header + masks + packed.tobytes())
    # Run lengths over a palette of greys: each row as runs, end of line, end of bitmap.
    grey = np.asarray(base.convert("L")) // 64 * 64
    data = bytearray()
    for row in grey[::-1]:
        at = 0
        while at < len(row):
            run = 1
            while at + run < len(row) and row[at + run] == row[at]:
                run += 1
            data += bytes([run, row[at]])
            at += run
        data += b"\0\0"
    data += b"\0\1"
    palette = b"".join(bytes([i, i, i, 0]) for i in range(256))
    header = struct.pack("<IiiHHIIiiII", 40, 45, 31, 1, 8, 1, len(data), 2835, 2835, 256, 0)
    start = 14 + len(header) + len(palette)
    file = struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start)
    (OUT / "bmp_rle8.bmp").write_bytes(file + header + palette + bytes(data))
    for file in sorted(OUT.glob("bmp_*.bmp")):
        pillow(file.name)


def tiff():
    base = photo()
    rgba = base.copy()
    rgba.putalpha(Image.fromarray(np.mgrid[0:31, 0:45][1].astype(np.uint8) * 5, "L"))
    for name, image, options in [
        ("tiff_rgb", base, {}),
        ("tiff_lzw", base, {"compression": "tiff_lzw"}),
        ("tiff_deflate", base, {"compression": "tiff_adobe_deflate"}),
        ("tiff_packbits", base, {"compression": "packbits"}),
        ("tiff_jpeg", base, {"compression": "jpeg"}),
        ("tiff_grey", base.convert("L"), {}),
        ("tiff_bits", base.convert("1"), {}),
        ("tiff_rgba", rgba, {}),
        ("tiff_cmyk", base.convert("CMYK"), {}),
        ("tiff_orientation", base, {"tiffinfo": {274: 6}}),
    ]:
        image.save(OUT / f"{name}.tiff", **options)
        pillow(f"{name}.tiff")
    rgb, grey = np.asarray(base), np.asarray(base.convert("L"))
    deep = grey.astype(np.uint16) * 200 + 77
    deep_rgb = rgb.astype(np.uint16) * 256 + 200
    floats = (grey / 255.0).astype(np.float32)
    signed = deep.astype(np.int32) - 32768
    for name, array, expected, options in [
        ("tiff_16", deep, deep >> 8, {}),
        ("tiff_16_big_endian", deep, deep >> 8, {"byteorder": ">"}),
        ("tiff_16_rgb", deep_rgb, deep_rgb >> 8, {"photometric": "rgb"}),
        ("tiff_16_signed", signed.astype(np.int16), (signed + 32768) >> 8, {}),
        ("tiff_16_predictor", deep, deep >> 8, {"compression": "zlib", "predictor": True}),
        ("tiff_float", floats, np.rint(floats.astype(np.float64) * 255), {}),
        ("tiff_float_rgb", (rgb / 255.0).astype(np.float32), rgb, {"photometric": "rgb"}),
        ("tiff_double", grey / 255.0, grey, {}),
        ("tiff_tiled", rgb, rgb, {"photometric": "rgb", "tile": (16, 16)}),
        ("tiff_white_is_zero", 255 - grey, grey, {"photometric": "miniswhite"}),
    ]:
        tifffile.imwrite(OUT / f"{name}.tiff", array, **options)
        expect(name, expected)
    # 12 bits in 16, as microscopes write them, by levels 100 to 4095 and by the image's own extremes.
    microscope = (grey.astype(np.uint16) * 13 + 300)
    tifffile.imwrite(OUT / "tiff_levels.tiff", microscope)
    expect("tiff_levels_given", np.rint((microscope - 100.0).clip(0, 3995) / 3995 * 255))
    own = microscope.astype(float)
    expect("tiff_levels_image", np.rint((own - own.min()) / (own.max() - own.min()) * 255))


def npy():
    base = photo()
    rgb, grey = np.asarray(base), np.asarray(base.convert("L"))
    for name, array, expected in [
        ("npy_grey", grey, grey),
        ("npy_rgb", rgb, rgb),
        ("npy_planes", np.ascontiguousarray(rgb.transpose(2, 0, 1)), rgb),
        ("npy_float", rgb / 255.0, rgb),
        ("npy_16_big_endian", (grey.astype(">u2") * 256 + 9).astype(">u2"), grey),
        ("npy_signed", (grey.astype(np.int32) * 256 - 32768 + 3).astype(np.int16), grey),
    ]:
        np.save(OUT / f"{name}.npy", array)
        expect(name, expected)


def dicom():
    base = photo()
    rgb, grey = np.asarray(base), np.asarray(base.convert("L"))

    def write(name, pixels, photometric="MONOCHROME2", syntax=ExplicitVRLittleEndian, encoded=None, **tags):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[name])
        meta.TransferSyntaxUID = syntax
        ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        ds.Rows, ds.Columns = 31, 45
        ds.SamplesPerPixel = 3 if rgb.shape == np.shape(pixels) or photometric in ("RGB", "YBR_FULL", "YBR_FULL_422") else 1
        if ds.SamplesPerPixel == 3:
            ds.PlanarConfiguration = 0
        ds.PhotometricInterpretation = photometric
        ds.BitsAllocated = 8 * pixels.dtype.itemsize
        ds.BitsStored, ds.HighBit = ds.BitsAllocated, ds.BitsAllocated - 1
        ds.PixelRepresentation = int(pixels.dtype.kind == "i")
        for key, value in tags.items():
            setattr(ds, key, value)
        ds.PixelData = pixels.tobytes() if encoded is None else encapsulate([encoded])
        if len(ds.PixelData) % 2:
            ds.PixelData += b"\0"
        ds.save_as(OUT / f"{name}.dcm", enforce_file_format=True)
        return pydicom.dcmread(OUT / f"{name}.dcm")

    def shown(ds):
        """Through modality and window, as pydicom does, to 8 bits."""
        values = apply_modality_lut(ds.pixel_array, ds)
        if "WindowCenter" in ds:
            values = apply_voi_lut(values, ds).astype(float)
            intercept, slope = float(ds.get("RescaleIntercept", 0)), float(ds.get("RescaleSlope", 1))
            low = -(2 ** (ds.BitsStored - 1)) if ds.PixelRepresentation else 0
            high = low + 2**ds.BitsStored - 1
            low, high = low * slope + intercept, high * slope + intercept
        else:
            values = values.astype(float)
            low, high = values.min(), values.max()
        out = np.rint((values - low) / (high - low) * 255)
        return 255 - out if ds.PhotometricInterpretation == "MONOCHROME1" else out

    twelve = grey.astype(np.uint16) * 16 + 5
    hounsfield = grey.astype(np.int16) * 8 - 1024
    bits = {"BitsStored": 12, "HighBit": 11}
    for name, arguments in {
        "dicom_window": {"pixels": twelve, **bits, "WindowCenter": "2000", "WindowWidth": "1500"},
        "dicom_windows": {"pixels": twelve, **bits, "WindowCenter": ["1000", "2000"], "WindowWidth": ["900", "1500"]},
        "dicom_exact": {
            "pixels": twelve, **bits, "WindowCenter": "2000", "WindowWidth": "1500", "VOILUTFunction": "LINEAR_EXACT",
        },
        "dicom_sigmoid": {
            "pixels": twelve, **bits, "WindowCenter": "2000", "WindowWidth": "1500", "VOILUTFunction": "SIGMOID",
        },
        "dicom_no_window": {"pixels": twelve, **bits},
        "dicom_inverted": {
            "pixels": twelve, "photometric": "MONOCHROME1", **bits, "WindowCenter": "2000", "WindowWidth": "1500",
        },
        "dicom_ct": {
            "pixels": hounsfield, "RescaleIntercept": "-100", "RescaleSlope": "2", "WindowCenter": "40", "WindowWidth": "400",
        },
        "dicom_8": {"pixels": grey},
    }.items():
        expect(name, shown(write(name, **arguments)))
    write("dicom_rgb", rgb, "RGB")
    expect("dicom_rgb", rgb)
    write("dicom_planes", np.ascontiguousarray(rgb.transpose(2, 0, 1)), "RGB", PlanarConfiguration=1)
    expect("dicom_planes", rgb)
    buffer = io.BytesIO()
    base.convert("L").save(buffer, "JPEG", quality=90)
    write("dicom_jpeg", grey, syntax=JPEGBaseline8Bit, encoded=buffer.getvalue(), WindowCenter="128", WindowWidth="256")
    expect("dicom_jpeg", Image.open(buffer).convert("RGB"))
    buffer = io.BytesIO()
    base.save(buffer, "JPEG", quality=90, subsampling=0)
    write("dicom_jpeg_colour", rgb, "YBR_FULL", JPEGBaseline8Bit, buffer.getvalue())
    expect("dicom_jpeg_colour", Image.open(buffer).convert("RGB"))
    ds = write("dicom_rle", twelve, **bits, WindowCenter="2000", WindowWidth="1500")
    expected = shown(ds)
    ds.compress(RLELossless, generate_instance_uid=False)
    ds.save_as(OUT / "dicom_rle.dcm")
    expect("dicom_rle", expected)


def containers():
    """Image n, row y, column x is (31 n + 7 y + 3 x) mod 256; label n mod 3."""
    n, y, x = np.mgrid[0:10, 0:5, 0:6]
    images, labels = ((31 * n + 7 * y + 3 * x) % 256).astype(np.uint8), (np.arange(10) % 3).astype(np.uint8)
    idx_images = struct.pack(">HBBIII", 0, 8, 3, 10, 5, 6) + images.tobytes()
    idx_labels = struct.pack(">HBBI", 0, 8, 1, 10) + labels.tobytes()
    (CONTAINERS / "images-idx3-ubyte").write_bytes(idx_images)
    (CONTAINERS / "labels-idx1-ubyte").write_bytes(idx_labels)
    (CONTAINERS / "images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_images, mtime=0))
    (CONTAINERS / "labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_labels, mtime=0))
    np.save(CONTAINERS / "images.npy", images)
    np.save(CONTAINERS / "labels.npy", labels.astype(np.int64)[:, None])
    np.savez(CONTAINERS / "plain.npz", x_train=images, y_train=labels)
    np.savez_compressed(CONTAINERS / "compressed.npz", x_train=images, y_train=labels)

    def png(image):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        return buffer.getvalue()

    files = [png(image) for image in images]
    rows = [{"bytes": file, "path": f"{i}.png"} for i, file in enumerate(files)]
    names = ["ant", "bee", "fly"]
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    table = pyarrow.table({
        "image": rows,
        "label": pyarrow.array(labels.astype(np.int64)),
        "species": [names[label] for label in labels],
        "patient": [f"p{i // 2}" for i in range(10)],
        "plain": pyarrow.array(files, pyarrow.binary()),
    }).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pyarrow.parquet.write_table(table, CONTAINERS / "images.parquet", row_group_size=4, compression="snappy")
    with tarfile.open(CONTAINERS / "images.tar", "w") as tar:
        for i, file in enumerate(files):
            fields = {"species": names[labels[i]], "patient": f"p{i // 2}"}
            for ending, data in [
                ("png", file), ("cls", str(labels[i]).encode()), ("json", json.dumps(fields).encode()),
            ]:
                member = tarfile.TarInfo(f"set/{i:03}.{ending}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


def photos():
    """What Pillow makes of the sample photographs that `make fetch` brings: every fifth pixel, and smaller ones."""
    cache = Path(os.environ.get("THAWLINE_CACHE") or Path.home() / ".cache/thawline")
    for name in ["rocket.jpg", "coffee.png", "chelsea.png"]:
        image = Image.open(cache / "testdata/photos" / name).convert("RGB")
        stem = name.split(".")[0]
        save = lambda pixels, what: pixels.save(PHOTOS / f"{stem}.{what}.png", optimize=True)
        save(Image.fromarray(np.asarray(image)[::5, ::5]), "fifth")
        for filter_name, resample in [("bilinear", Image.BILINEAR), ("bicubic", Image.BICUBIC)]:
            # Rows first, whatever Pillow's version.
            resized = image.resize((97, image.height), resample).resize((97, 61), resample)
            save(resized, filter_name)


CONTAINERS, PHOTOS = OUT.with_name("containers"), OUT.with_name("photos")
for folder in [OUT, CONTAINERS, PHOTOS]:
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
for write in [jpeg, png, webp, gif, bmp, tiff, npy, dicom, containers, photos]:
    write()
