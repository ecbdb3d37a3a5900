"""Makes tests/reference/backbones/*.json: what torchvision, timm and OpenCLIP compute with each backbone, for weights that a
formula fills.

Run with Python, torch 2.11, torchvision 0.26, timm 1.0 and open_clip_torch from the project's root:

    python scripts/reference/backbones.py CHECKPOINT [NAME...]

CHECKPOINT is the published EfficientNet-Lite0 (`make fetch`), whose classes of one drawn image become predict.json; with
names, only those backbones are made. Also writes src/backbones/imagenet_classes.txt.

The formula (worker/src/nn/tests.rs fills the same tensors with it). All integers are 64-bit and wrap:
  hash(name)  FNV-1a of the name's bytes
  u(name, i)  splitmix64's output for the state hash + (i mod 65521 + 1) * 0x9E3779B97F4A7C15, its top 24 bits as a fraction,
              in [-1, 1)
  tensors     kernels and matrices named `weight` u * sqrt(gain / fan_in), with gain 6 in families without norms and else 3;
              running_var 1 + u / 2; norm weights 1 + u / 5; everything else u / 10; inputs 1.5 u. In float64, stored in float32.
Checksums are [L2 norm, product with u(name)].
"""

import json
import math
import pathlib
import re
import sys

# Other scripts of this folder bear names of Python's own modules, `statistics` for one.
sys.path.remove(str(pathlib.Path(__file__).parent.resolve()))

import numpy as np
import open_clip
import timm
import torch
import torchvision
from torch import nn
from torchvision.models.vision_transformer import interpolate_embeddings

OUT = pathlib.Path("tests/reference/backbones")
PERIOD = 65521


def fnv(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return h


def u(name, count):
    with np.errstate(over="ignore"):
        z = np.uint64(fnv(name)) + np.arange(1, min(count, PERIOD) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return np.resize((z >> np.uint64(40)).astype(np.float64) / 2**23 - 1, count)


def value(name, shape, gain=3):
    x = u(name, math.prod(shape))
    if name.startswith("input"):
        x = 1.5 * x
    elif name.endswith("running_var"):
        x = 1 + x / 2
    elif name.endswith("weight") and len(shape) > 1:
        x = x * np.sqrt(gain / np.prod(shape[1:]))
    elif name.endswith("weight"):
        x = 1 + x / 5
    else:
        x = x / 10
    return torch.from_numpy(x.astype(np.float32)).reshape(shape)


def same(name):
    return name


class Reference:
    """A published model, the names that thawline has for its tensors, and what belongs to it."""

    def __init__(self, name, make, classifier, rename=same, sizes=((64, 64), (65, 72)), gain=3, at=None, watch=None, blocks=0):
        self.name, self.make, self.classifier, self.rename = name, make, classifier, rename
        self.sizes, self.gain = sizes, gain
        # How to adapt weights to another image size, for models that are built for one.
        self.at = at
        # For one of each family: the module whose output is differentiated, and thawline's blocks up to it. Through all of a
        # deep network rounding errors grow until they move activations across the kinks of ReLU.
        self.watch, self.blocks = watch, blocks

    def weights(self, model):
        skipped = ("num_batches_tracked", "relative_position_index")
        return {n: t if n.endswith(skipped) else value(self.rename(n), tuple(t.shape), self.gain) for n, t in model.state_dict().items()}

    def model(self, size):
        """With weights filled in for the native size."""
        native = self.make(None)
        if self.at is None:
            native.load_state_dict(self.weights(native))
            return without_dropout(native).eval()
        model = self.make(size)
        model.load_state_dict(self.at(self.weights(native), model, size))
        return without_dropout(model).eval()


def without_dropout(model):
    for module in model.modules():
        if isinstance(module, (nn.Dropout, torchvision.ops.StochasticDepth)):
            module.p = 0.0
    return model


def torchvision_model(name):
    return lambda _: torchvision.models.get_model(name)


def lite_name(index_of):
    """timm's names of EfficientNet-Lite to those of the published checkpoint."""
    first = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
    others = {"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv", "bn2": "_bn1", "conv_pwl": "_project_conv", "bn3": "_bn2"}
    outside = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}

    def rename(name):
        inside = re.fullmatch(r"blocks\.(\d+)\.(\d+)\.(\w+)\.(\w+)", name)
        if not inside:
            part, suffix = name.split(".")
            return f"{outside[part]}.{suffix}"
        stage, repeat, part, suffix = inside.groups()
        parts = first if stage == "0" else others
        return f"_blocks.{index_of[stage, repeat]}.{parts[part]}.{suffix}"

    return rename


def lite(number):
    name = f"tf_efficientnet_lite{number}"
    places = [re.match(r"blocks\.(\d+)\.(\d+)\.", n) for n in timm.create_model(name).state_dict()]
    index_of = {place: i for i, place in enumerate(dict.fromkeys(m.groups() for m in places if m))}
    watch = {"watch": "blocks.1.0", "blocks": 3} if number == 0 else {}
    return Reference(f"efficientnet_lite{number}", lambda _: timm.create_model(name), "_fc", lite_name(index_of), **watch)


def vit(name, patch, sizes):
    def make(size):
        image_size = size[0] if size else 224
        return torchvision.models.get_model(name, image_size=image_size)

    def at(weights, _, size):
        return interpolate_embeddings(size[0], patch, weights)

    return Reference(name, make, "heads.head", sizes=sizes, at=at)


def timm_vit(name, model, classifier, sizes, **watch):
    def make(_):
        return timm.create_model(model, dynamic_img_size=True)

    return Reference(name, make, classifier, sizes=sizes, **watch)


class Clip(nn.Module):
    """The image tower alone, in the names of the whole checkpoint."""

    def __init__(self, image_size):
        super().__init__()
        config = open_clip.get_model_config("ViT-B-32-quickgelu")
        config["vision_cfg"]["image_size"] = image_size
        self.visual = open_clip.CLIP(**config).visual

    def forward(self, x):
        return self.visual(x)


def clip_at(weights, model, _):
    open_clip.model.resize_pos_embed(weights, model)
    return weights


def references():
    plain = lambda name, classifier, **more: Reference(name, torchvision_model(name), classifier, **more)
    yield plain("resnet18", "fc", watch="layer4", blocks=5)
    for name in ["resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2", "resnext50_32x4d"]:
        yield plain(name, "fc")
    for number in range(5):
        yield lite(number)
    yield plain("efficientnet_b0", "classifier.1", watch="features.3", blocks=4)
    for name in ["efficientnet_b1", "efficientnet_b2", "efficientnet_b3", "efficientnet_b4", "efficientnet_v2_s"]:
        yield plain(name, "classifier.1")
    yield plain("mobilenet_v2", "classifier.1", watch="features.2", blocks=3)
    yield plain("mobilenet_v3_small", "classifier.3", watch="features.2", blocks=3)
    yield plain("mobilenet_v3_large", "classifier.3")
    for depth in (11, 13, 16, 19):
        yield plain(f"vgg{depth}", "classifier.6", gain=6)
        yield plain(f"vgg{depth}_bn", "classifier.6", gain=6, **({"watch": "features", "blocks": 5} if depth == 11 else {}))
    yield plain("alexnet", "classifier.6", gain=6, watch="features", blocks=5)
    yield plain("squeezenet1_0", "classifier.1", gain=6)
    yield plain("squeezenet1_1", "classifier.1", gain=6, watch="features", blocks=9)
    yield plain("densenet121", "classifier", watch="features.denseblock1", blocks=2)
    for name in ["densenet169", "densenet201"]:
        yield plain(name, "classifier")
    yield plain("shufflenet_v2_x1_0", "fc", watch="stage3", blocks=3)
    yield plain("regnet_y_400mf", "fc", watch="trunk_output.block2", blocks=3)
    yield plain("convnext_tiny", "classifier.2", watch="features", blocks=5)
    for name in ["convnext_small", "convnext_base"]:
        yield plain(name, "classifier.2")
    yield vit("vit_b_16", 16, ((64, 64), (96, 96)))
    yield vit("vit_b_32", 32, ((64, 64), (224, 224)))
    yield timm_vit("deit_tiny", "deit_tiny_patch16_224", "head", ((64, 64), (224, 224)), watch="norm", blocks=14)
    yield timm_vit("deit_small", "deit_small_patch16_224", "head", ((64, 64), (64, 96)))
    yield timm_vit("dinov2_vits14", "vit_small_patch14_dinov2", None, ((56, 56), (70, 84)))
    yield Reference("clip_vit_b_32", lambda size: Clip(size or 224), None, sizes=((64, 64), (96, 64)), at=clip_at)
    yield plain("swin_t", "head", watch="features", blocks=5)


def numbers(t):
    return [float(f"{v:.8g}") for v in t.detach().flatten().tolist()]


def sample(t):
    """Every k-th of its numbers, of at most 16."""
    t = t.detach().flatten()
    return numbers(t[:: -(-len(t) // 16)])


def checksum(name, t):
    t = t.detach().double().flatten().numpy()
    return [float(f"{v:.8g}") for v in (np.linalg.norm(t), t @ u(name, len(t)))]


def some(items):
    """Every k-th, of at most 40."""
    items = list(items)
    return items[:: max(1, -(-len(items) // 40))]


def describe(reference):
    model = reference.model(reference.sizes[0])
    own = lambda name: reference.classifier is None or not name.startswith(f"{reference.classifier}.")
    skipped = ("num_batches_tracked", "relative_position_index")
    native = reference.make(None)
    shapes = {reference.rename(n): t.shape for n, t in native.state_dict().items() if not n.endswith(skipped)}
    lines = sorted(f"{n} {','.join(map(str, shape))}\n" for n, shape in shapes.items() if own(n))
    parameters = {reference.rename(n): p.numel() for n, p in native.named_parameters()}
    out = {
        "parameters": sum(count for n, count in parameters.items() if own(n)),
        "tensors": f"{fnv(''.join(lines)):016x}",
        "classifier": reference.classifier is not None,
        "sizes": [list(size) for size in reference.sizes],
    }
    if reference.name in torchvision.models.list_models():
        meta = next(iter(torchvision.models.get_model_weights(reference.name))).meta
        out["published"] = {"parameters": meta["num_params"], "gflops": meta["_ops"]}
    with torch.no_grad():
        out["logits"] = []
        for i, size in enumerate(reference.sizes):
            model = model if i == 0 else reference.model(size)
            logits = model(value(f"input.{i}", (2, 3, *size)))
            out["logits"].append({"scale": float(f"{logits.abs().max():.8g}"), "sample": sample(logits)})
    if reference.watch:
        out |= trained(reference)
    return out


def trained(reference):
    """Three forwards in training mode, and the gradients of the last one's mean times a fixed pattern."""
    size = reference.sizes[0]
    model = reference.model(size).train()
    watched = {}
    model.get_submodule(reference.watch).register_forward_hook(lambda *call: watched.update(y=call[2]))
    for step in range(3):
        model(value(f"input.step{step}", (4, 3, *size)))
    y = watched["y"]
    if reference.name == "swin_t":
        y = y.permute(0, 3, 1, 2)
    (y * value("input.pattern", tuple(y.shape))).mean().backward()
    named = [(reference.rename(n), p.grad) for n, p in model.named_parameters() if p.grad is not None]
    state = [(reference.rename(n), t) for n, t in model.state_dict().items() if n.rsplit(".", 1)[-1] in ("running_mean", "running_var")]
    return {
        "blocks": reference.blocks,
        "gradients": {n: checksum(n, t) for n, t in some(named)},
        "running": {n: checksum(n, t) for n, t in some(state)},
    }


def published(checkpoint, classes):
    reference = lite(0)
    model = reference.make(None)
    weights = torch.load(checkpoint, weights_only=True)
    model.load_state_dict({n: weights[reference.rename(n)] for n in model.state_dict()})
    y, x = torch.meshgrid(torch.arange(224), torch.arange(224), indexing="ij")
    disc = ((y - 112) ** 2 + (x - 112) ** 2 < 70**2)[..., None]
    pixels = torch.where(disc, torch.tensor([200, 90, 20]), torch.tensor([235, 240, 245])).permute(2, 0, 1)[None]
    with torch.no_grad():
        scores, indices = model.eval()((pixels.float() - 127) / 128).softmax(1)[0].topk(5)
    return [{"index": i, "class": classes[i], "score": s} for i, s in zip(indices.tolist(), numbers(scores))]


def main():
    checkpoint, *names = sys.argv[1:]
    OUT.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for reference in references():
        if names and reference.name not in names:
            continue
        content = describe(reference)
        (OUT / f"{reference.name}.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")
        print(reference.name, content["parameters"], "parameters, largest logits", [x["scale"] for x in content["logits"]], flush=True)
    if names:
        return
    classes = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    assert len(classes) == 1000
    pathlib.Path("src/backbones/imagenet_classes.txt").write_text("".join(f"{c}\n" for c in classes))
    (OUT / "predict.json").write_text(json.dumps(published(checkpoint, classes), indent=1) + "\n")


main()
