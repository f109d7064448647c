"""Splits a file of labeled prompts into parts for training, tuning and reporting.

    python split.py LABELED.jsonl DIRECTORY

Entries of one group, and all groups of one source repository, are in the same part, so that neither
translations nor prompts of one author are on both sides. The part is chosen by a hash of the name, so it does
not depend on the order or on other entries.
"""

import collections
import hashlib
import json
import pathlib
import sys

# Of 20,000 seeds, the one whose parts have the most even shares of types, languages and lengths. It was chosen
# before any model was trained.
SEED = 18039
# The shares of the parts, as upper bounds of the hash.
PARTS = (("report", 0.15), ("tune", 0.25), ("train", 1.0))


def components(rows):
    """Returns one name per row; rows that share a group or a repository have the same name."""
    parent = {}

    def root(name):
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for row in rows:
        repository = "repository " + row["source"].split(":")[0]
        # An index number is one entry, not a repository.
        names = [root("group " + row["group"])]
        if "/" in repository:
            names.append(root(repository))
        parent[max(names)] = min(names)
    return [root("group " + row["group"]) for row in rows]


def part(name):
    """Returns the part that a component belongs to."""
    number = int.from_bytes(hashlib.sha256(f"{SEED} {name}".encode()).digest()[:8], "big") / 2**64
    return next(part for part, bound in PARTS if number < bound)


def main(labeled, directory):
    rows = [json.loads(line) for line in open(labeled, encoding="utf-8")]
    parts = collections.defaultdict(list)
    for row, name in zip(rows, components(rows)):
        parts[part(name)].append(row)
    for name, _ in PARTS:
        with open(pathlib.Path(directory) / f"{name}.jsonl", "w", encoding="utf-8") as file:
            for row in parts[name]:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        print(name, len(parts[name]), dict(collections.Counter(row["expected"] for row in parts[name])))


if __name__ == "__main__":
    main(*sys.argv[1:])
