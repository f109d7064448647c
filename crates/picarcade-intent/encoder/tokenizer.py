"""Splits text into pieces of the vocabulary: a unigram model (Kudo 2018) as in SentencePiece.

`src/local/encoder/tokenizer.rs` does the same; a test compares both.
"""

import re
import unicodedata

SPECIAL = 4
UNKNOWN = 3
SPACE = "\u2581"
PREFIX = "query: "
CONTENT = 254

# The scripts of the supported languages, with emoji and punctuation.
SCRIPTS = re.compile(
    "^[\u0000-\u024f\u0300-\u036f\u0400-\u04ff\u0600-\u06ff\u0900-\u097f\u2000-\u206f\u20a0-\u20bf"
    "\u2190-\u27bf\u2b00-\u2bff\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef\U0001f000-\U0001faff\u2581]+$"
)


def normalize(text):
    """Returns the text in NFKC without control characters, with single spaces as U+2581."""
    text = unicodedata.normalize("NFKC", text)
    text = "".join(
        " " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf")
    )
    return SPACE + SPACE.join(text.split())


class Tokenizer:
    """Finds the most likely pieces of a text. `pieces` maps a piece to its id."""

    def __init__(self, pieces, scores):
        self.ids = {piece: number for number, piece in enumerate(pieces) if number >= SPECIAL and piece}
        self.scores = [float(score) for score in scores]
        self.longest = max(map(len, self.ids))
        self.unknown = min(self.scores) - 10

    def content(self, text):
        """Returns the ids of the pieces of a text, without the ids that begin and end every input."""
        text = normalize(PREFIX + text)
        best = [0.0] + [-1e30] * len(text)
        back = [(0, 0)] * (len(text) + 1)
        ids, scores = self.ids, self.scores
        for start in range(len(text)):
            base = best[start]
            for end in range(start + 1, min(start + self.longest, len(text)) + 1):
                number = ids.get(text[start:end])
                if number is not None and base + scores[number] > best[end]:
                    best[end] = base + scores[number]
                    back[end] = (start, number)
            if base + self.unknown > best[start + 1]:
                best[start + 1] = base + self.unknown
                back[start + 1] = (start, UNKNOWN)
        found, end = [], len(text)
        while end > 0:
            end, number = back[end]
            found.append(number)
        return found[::-1]

    def __call__(self, text):
        """Returns the input of the encoder: at most `CONTENT` pieces, the first and the last ones."""
        content = self.content(text)
        if len(content) > CONTENT:
            content = content[: CONTENT // 2] + content[-(CONTENT - CONTENT // 2) :]
        return [0] + content + [2]


def vocabulary(base, used, size):
    """Returns the ids of the base model that are kept, in order.

    These are all ids that the training uses, then the most frequent pieces of the supported scripts.
    Pieces are ordered by frequency in the base model.
    """
    kept = set(range(SPECIAL)) | set(used)
    for number in range(SPECIAL, len(base.pieces)):
        if len(kept) >= size:
            break
        if SCRIPTS.match(base.pieces[number]):
            kept.add(number)
    return sorted(kept)
