"""thawline's counter-based draws (src/rng.rs), so that a peer starts from the same head and sees the same order."""

from __future__ import annotations

import struct

from blake3 import blake3

MASK = 0xFFFF_FFFF


class Draws:
    """The stream for `purpose` on `subject` at `index`: Philox 4x32-10, keyed by a hash of the name."""

    def __init__(self, seed: int, subject: str, index: int, purpose: str):
        name = struct.pack("<QQ", seed, index)
        for part in (subject, purpose):
            name += struct.pack("<Q", len(part)) + part.encode()
        words = struct.unpack("<4I", blake3(name).digest()[:16])
        self.key, self.stream, self.block, self.buffer = words[:2], words[2:], 0, []

    def bits32(self) -> int:
        if not self.buffer:
            self.buffer = list(philox((self.block & MASK, self.block >> 32, *self.stream), self.key))
            self.block += 1
        return self.buffer.pop(0)

    def bits64(self) -> int:
        return (self.bits32() << 32) | self.bits32()

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * ((self.bits64() >> 11) / (1 << 53))

    def below(self, n: int) -> int:
        while True:
            product = self.bits64() * n
            if (product & (2**64 - 1)) >= 2**64 % n:
                return product >> 64

    def permutation(self, n: int) -> list[int]:
        order = list(range(n))
        for i in range(n - 1, 0, -1):
            j = self.below(i + 1)
            order[i], order[j] = order[j], order[i]
        return order


def philox(c, k):
    for turn in range(10):
        if turn:
            k = ((k[0] + 0x9E37_79B9) & MASK, (k[1] + 0xBB67_AE85) & MASK)
        p0, p1 = c[0] * 0xD251_1F53, c[2] * 0xCD9E_8D57
        c = ((p1 >> 32) ^ c[1] ^ k[0], p1 & MASK, (p0 >> 32) ^ c[3] ^ k[1], p0 & MASK)
    return c


def batch_order(seed: int, epoch: int, n: int) -> list[int]:
    """The order of the training images in an epoch."""
    return Draws(seed, "", epoch, "batch_order").permutation(n)


def head(inputs: int, outputs: int, seed: int) -> tuple[list[list[float]], list[float]]:
    """Weight [outputs][inputs] and bias of a linear head before training."""
    bound = inputs**-0.5
    draws = Draws(seed, "head.0.weight", 0, "init")
    weight = [[draws.between(-bound, bound) for _ in range(inputs)] for _ in range(outputs)]
    draws = Draws(seed, "head.0.bias", 0, "init")
    return weight, [draws.between(-bound, bound) for _ in range(outputs)]
