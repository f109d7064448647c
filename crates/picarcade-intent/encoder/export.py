"""Writes the file of the encoder, which `src/local/encoder/weights.rs` reads.

The layout is documented in that file. This module needs `numpy` and `blake3` and no framework, so
that any training code can use it.
"""

import struct

import numpy as np
from blake3 import blake3

MAGIC = b"PCENCOD\0"
VERSION = 1
CLASSES = 9
FACTS = 16
REGIMES = 4
UNKNOWN = 3
# The numbers of one block of four-bit values, and its bytes: a float16 scale and the values.
BLOCK = 32
BLOCK_BYTES = 18


def _floats(array, *shape):
    array = np.asarray(array, np.float32)
    if array.shape != shape:
        raise ValueError(f"the shape is {array.shape} and should be {shape}")
    if not np.isfinite(array).all():
        raise ValueError("a value is not finite")
    return array.astype("<f4").tobytes()


def quantize(weights):
    """Returns one scale per row and the rows as `int8`, such that scale * row is near the weights."""
    weights = np.asarray(weights, np.float32)
    largest = np.abs(weights).max(axis=1)
    scales = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    rows = np.clip(np.rint(weights / scales[:, None]), -127, 127).astype(np.int8)
    return scales, rows


def _matrix(weights, bias, rows, columns):
    if np.shape(weights) != (rows, columns):
        raise ValueError(f"the shape is {np.shape(weights)} and should be {(rows, columns)}")
    scales, values = quantize(weights)
    return _floats(scales, rows) + _floats(bias, rows) + values.tobytes()


def write(
    path,
    pieces,
    scores,
    word_q4_blocks,
    position,
    embedding_norm,
    facts,
    layers,
    head,
    bias,
    sharpness,
    heads=12,
    unknown_score=None,
):
    """Writes the file and returns its number of bytes.

    pieces: texts of the vocabulary, `<s>`, `<pad>`, `</s>` and `<unk>` first.
    scores: log probabilities of the pieces. The score of an unknown character is stored as that of
        `<unk>`; `unknown_score` sets it, and by default it is 10 below the lowest score.
    word_q4_blocks: uint8, pieces x (hidden / 32) x 18, the blocks of the word table.
    position: positions x hidden, with the row of token type 0 added.
    embedding_norm: weight and bias of the norm after the embeddings.
    facts: 16 x hidden, added at position 0 before that norm; the row is `Facts::bits`.
    layers: dictionaries with the matrices `qkv`, `attention`, `expand` and `reduce` as pairs of
        weights (outputs x inputs) and bias, and with the norms `attention_norm` and `output_norm`
        as pairs of weight and bias.
    head: 9 x hidden. bias: 16 x 9. sharpness: 4.
    """
    positions, hidden = np.shape(position)
    feed_forward = len(layers[0]["expand"][1])
    scores = np.array(scores, np.float32)
    if unknown_score is None:
        unknown_score = scores[UNKNOWN + 1 :].min() - 10
    scores[UNKNOWN] = unknown_score
    blocks = np.asarray(word_q4_blocks, np.uint8)
    if blocks.size != len(pieces) * (hidden // BLOCK) * BLOCK_BYTES:
        raise ValueError("the word table has the wrong size")

    out = bytearray(MAGIC)
    out += struct.pack(
        "<8I", VERSION, len(layers), hidden, heads, feed_forward, len(pieces), positions, CLASSES
    )
    for piece in pieces:
        text = piece.encode()
        out += struct.pack("<B", len(text)) + text
    out += _floats(scores, len(pieces))
    out += blocks.tobytes()
    out += _floats(position, positions, hidden)
    for values in embedding_norm:
        out += _floats(values, hidden)
    out += _floats(facts, FACTS, hidden)
    for layer in layers:
        out += _matrix(*layer["qkv"], 3 * hidden, hidden)
        out += _matrix(*layer["attention"], hidden, hidden)
        out += _matrix(*layer["expand"], feed_forward, hidden)
        out += _matrix(*layer["reduce"], hidden, feed_forward)
        for values in (*layer["attention_norm"], *layer["output_norm"]):
            out += _floats(values, hidden)
    out += _floats(head, CLASSES, hidden)
    out += _floats(bias, FACTS, CLASSES)
    out += _floats(sharpness, REGIMES)
    out += blake3(bytes(out)).digest()
    with open(path, "wb") as file:
        file.write(out)
    return len(out)
