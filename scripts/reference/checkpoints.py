"""Makes tests/reference/checkpoints: small files of torch.save in every format that thawline reads.

Run with Python, torch 2.11 and safetensors from the project's root:  python scripts/reference/checkpoints.py

Every file holds the same tensors:
  a   f32 [2, 3, 4], values 0..24, stored permuted (strides not contiguous)
  b   f32 [4], rows 2..6 of a longer storage (offset 2)
  c   a scalar i64, 7
  d   f16 [3], e  bf16 [3], f  f64 [3], g  i32 [3], h  u8 [3], i  bool [3]: 1, 0, 1
  j   f32 [0, 5]
"""

import argparse
import collections
import datetime
import pathlib

import numpy
import torch
from safetensors.torch import save_file

out = pathlib.Path("tests/reference/checkpoints")
out.mkdir(parents=True, exist_ok=True)

tensors = collections.OrderedDict(
    a=torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1).contiguous().permute(1, 2, 0),
    b=torch.arange(8.0)[2:6],
    c=torch.tensor(7),
    d=torch.tensor([1, 0, 1], dtype=torch.float16),
    e=torch.tensor([1, 0, 1], dtype=torch.bfloat16),
    f=torch.tensor([1, 0, 1], dtype=torch.float64),
    g=torch.tensor([1, 0, 1], dtype=torch.int32),
    h=torch.tensor([1, 0, 1], dtype=torch.uint8),
    i=torch.tensor([True, False, True]),
    j=torch.zeros(0, 5),
)
tensors._metadata = collections.OrderedDict([("", {"version": 1})])

torch.save(tensors, out / "zip.pth")
torch.save(tensors, out / "legacy.pth", _use_new_zipfile_serialization=False)
torch.save(tensors, out / "zip-protocol4.pth", pickle_protocol=4)
parallel = {f"module.{name}": torch.nn.Parameter(t, requires_grad=t.is_floating_point()) for name, t in tensors.items()}
torch.save({"epoch": 3, "lr": 0.1, "best": None, "state_dict": parallel}, out / "nested.pth")
save_file({name: t.contiguous() for name, t in tensors.items()}, out / "plain.safetensors")
torch.save(torch.nn.Linear(2, 2), out / "module.pth")
# What training scripts save around the weights: settings, scores, and an averaged copy beside the last one.
wild = {
    "best": torch.tensor(0.5),
    "score": numpy.float64(0.5),
    "curve": numpy.arange(3.0),
    "hyper_parameters": argparse.Namespace(lr=0.1, out=pathlib.PurePosixPath("runs/1"), seen={1, 2}),
    "when": datetime.date(2026, 1, 1),
    "state_dict": {name: torch.zeros_like(t) for name, t in tensors.items()},
    "state_dict_ema": dict(tensors),
}
torch.save(wild, out / "wild.pth")
arrays = {name: t.numpy() for name, t in tensors.items() if name not in ("b", "e")}
arrays["a"] = numpy.asfortranarray(arrays["a"])
numpy.savez(out / "arrays.npz", **arrays)
numpy.savez_compressed(out / "packed.npz", **arrays)
