"""The examples of the training: generated ones, and labeled prompts.

An example is a text, its facts as four bits, and a target: the share of its goal that each class has under these
facts. A class is one of the senses of `src/local/sense.rs`, or none: the text asks for no picture at all. The loss of an example is the negative logarithm of the probability of its
target, so a label that names a goal teaches all senses that lead to this goal.
"""

import csv
import json
import random
import unicodedata

PICTURE, EDIT, ADD, VIDEO, VIDEO_SOUND, ANIMATE, SOUND, TIMING, NONE = range(9)
CLASSES = 9
GOALS = ["create_image", "edit", "add_element", "create_video", "create_video_with_audio"]
FACT_NAMES = ["active_image", "active_video", "uploaded_image", "referenced_image"]
LETTERS = {"i": 1, "v": 2, "u": 4, "r": 8, "-": 0}
EMOJI = "😀🙏❤🔥✨😂😍👍🎬🎵🐶🌅🎉😭💃"


def goal_shares(bits):
    """Returns a table of classes and goals: how much of a class is a goal under these facts."""
    table = [[0.0] * 5 for _ in range(CLASSES)]
    video = bits & 2
    for sense, goal in ((EDIT, 1), (ADD, 2), (VIDEO, 3), (VIDEO_SOUND, 4)):
        table[sense][goal] = 1.0
    table[PICTURE][:2] = (0.9, 0.1) if video else (1.0, 0.0)
    table[ANIMATE][1], table[ANIMATE][3] = (0.7, 0.3) if video else (0.0, 1.0)
    table[SOUND][1], table[SOUND][4] = (0.95, 0.05) if video else (0.0, 1.0)
    table[TIMING][1], table[TIMING][3] = (1.0, 0.0) if video else (0.2, 0.8)
    return table


def prior(regime):
    """Returns `Sense::prior` of each class in `src/local/sense.rs`, and 1 for the class without a goal."""
    factors = [1.0] * CLASSES
    factors[PICTURE] = (2.0, 1.4, 1.4, 1.0)[regime]
    factors[EDIT] = 1.0 if regime == 0 else 1.7
    factors[VIDEO_SOUND] = factors[SOUND] = 0.85
    return factors


def target_of_goal(goal, bits):
    """Returns the target of a labeled prompt. The goal `none` is the class without a goal."""
    if goal == "none":
        return one_class(NONE)
    return [row[GOALS.index(goal)] for row in goal_shares(bits)]


def one_class(number):
    return [float(own == number) for own in range(CLASSES)]


def facts_of_regime(regime, rng):
    """Returns facts for the open media of a generated example."""
    references = rng.choice([4, 8, 8, 12])
    if regime == 0:
        return 0
    if regime == 1:
        return references
    if regime == 2:
        return 1 | (references if rng.random() < 0.3 else 0)
    return 2 | (1 if rng.random() < 0.2 else 0) | (references if rng.random() < 0.25 else 0)


def vary(text, rng):
    """Changes case, accents and emoji of a generated text, as people do."""
    choice = rng.random()
    if choice < 0.06:
        text = text.upper()
    elif choice < 0.25:
        text = text.lower()
    elif choice < 0.35:
        text = text[:1].upper() + text[1:]
    if rng.random() < 0.1:
        text += rng.choice([" ", ""]) + "".join(rng.choice(EMOJI) for _ in range(rng.randint(1, 3)))
    if rng.random() < 0.08:
        decomposed = unicodedata.normalize("NFD", text)
        plain = "".join(c for c in decomposed if not (unicodedata.combining(c) and ord(c) < 0x370))
        text = unicodedata.normalize("NFC", plain)
    return text


def generated(path, seed=5):
    """Returns the generated examples of a file."""
    rng = random.Random(seed)
    rows = [json.loads(line) for line in open(path, encoding="utf-8")]
    examples = []
    for row in rows:
        target = one_class(row["sense"])
        examples.append((vary(row["prompt"], rng), facts_of_regime(row["regime"], rng), target))
    return examples


def labeled(path):
    """Returns the labeled prompts of a JSONL or CSV file."""
    with open(path, encoding="utf-8", newline="") as file:
        if str(path).endswith(".csv"):
            rows = [
                (row["prompt"], sum(LETTERS[letter] for letter in row["facts"].strip()), row["goal"].strip())
                for row in csv.DictReader(file)
            ]
        else:
            rows = [
                (row["prompt"], sum(row[name] << bit for bit, name in enumerate(FACT_NAMES)), row["goal"])
                for row in map(json.loads, file)
            ]
    return [(text, bits, target_of_goal(goal, bits)) for text, bits, goal in rows]


# Words of briefs that ask for moving pictures, for sound, and for neither. Values that start with a brace are
# descriptions of the same language.
STILL = [
    ("style", ["photorealistic", "flat vector illustration", "oil painting", "3D render", "anime", "film noir"]),
    ("lighting", ["soft window light", "golden hour", "neon rim light", "studio three-point"]),
    ("camera", ["85mm lens, f/1.8", "wide angle, low angle", "macro", "eye level, 35mm", "top-down"]),
    ("aspect_ratio", ["16:9", "1:1", "9:16", "4:5"]),
    ("composition", ["centered subject, negative space left", "rule of thirds", "symmetrical"]),
    ("mood", ["calm", "dramatic", "playful", "nostalgic", "tense"]),
    ("color_palette", [["teal", "orange"], "muted earth tones", "black and white"]),
    ("negative_prompt", ["text, watermark, blurry", "extra fingers, low quality", "logos"]),
    ("quality", ["8k", "ultra detailed", "high"]),
    ("text", ["\"SUMMER SALE\" in bold letters", "none"]),
]
MOVING = [
    ("duration", ["8s", 5, "10 seconds", "0:06"]),
    ("camera_movement", ["slow push-in", "pan left to right", "handheld tracking shot", "orbit, then crane up"]),
    ("motion", ["hair moves in the wind", "steam rises, rain falls", "walks toward the camera"]),
    ("type", ["video", "animation", "text-to-video", "clip"]),
    ("fps", [24, 30, 60]),
    ("timeline", [["0-3s: wide shot", "3-6s: close-up", "6-8s: fade out"], "shot 1 (3s), shot 2 (5s)"]),
    ("transition", ["match cut", "whip pan", "fade to black"]),
]
AUDIBLE = [
    ("audio", ["rain on a tin roof, distant thunder", True, "ambient city noise", "natural sound"]),
    ("dialogue", ["She says: \"We made it.\"", ["A: \"Ready?\"", "B: \"Always.\""], "\"Welcome back!\""]),
    ("music", ["soft piano", "upbeat synthwave, 110 bpm", "orchestral swell"]),
    ("sound_effects", [["footsteps", "door creak"], "whoosh, glass clink", "engine roar"]),
    ("voiceover", ["calm male voice: \"Built for the road.\"", "a narrator explains the product"]),
]
SILENT = [("audio", [False, "none", "off", None]), ("music", ["none", False]), ("sound", ["no sound", "mute"])]

MOVES = [
    "The camera slowly pushes in.", "Camera pans from left to right.", "Handheld tracking shot follows from behind.",
    "Slow dolly out at the end.", "Then a match cut to a close-up.", "The shot orbits around the subject.",
    "It lasts eight seconds.", "Drone shot rises over the scene as the light changes.", "Slow motion throughout.",
    "First three seconds: wide shot; then: close-up.", "The final frame holds for two seconds.",
]
SOUNDS = [
    "Audio: wind and distant birds.", "SFX: footsteps on gravel, a door closes.", "Background music: soft piano.",
    "He says, \"I told you it would work.\"", "She whispers: \"Listen.\"", "Sound: a zipper and the rustle of paper.",
    "We hear the engine start and the crowd cheer.", "Voiceover: \"This is where it begins.\"",
    "The soundtrack is a slow cello melody.", "Lip-synced dialogue in a low voice.", "Ambient noise of a busy street.",
]
SILENCE = ["No music.", "No sound.", "Silent, no audio.", "Without any dialogue.", "Mute."]


def fields(pool, count, rng):
    return [(key, rng.choice(values)) for key, values in rng.sample(pool, min(count, len(pool)))]


def brief(descriptions, rng):
    """Returns a brief of keys and values, and its sense."""
    sense = rng.choice([PICTURE, PICTURE, VIDEO, VIDEO_SOUND])
    names = ["prompt", "scene", "subject", "description", "setting", "background", "foreground", "action"]
    pairs = [(name, rng.choice(descriptions)) for name in rng.sample(names, rng.randint(1, 4))]
    pairs += fields(STILL, rng.randint(1, 6), rng)
    if sense != PICTURE:
        pairs += fields(MOVING, rng.randint(1, 3), rng)
    if sense == VIDEO_SOUND:
        pairs += fields(AUDIBLE, rng.randint(1, 2), rng)
    elif sense == VIDEO and rng.random() < 0.5:
        pairs += fields(SILENT, 1, rng)
    rng.shuffle(pairs)
    shape = rng.random()
    if shape < 0.5:
        return json.dumps(dict(pairs), ensure_ascii=False, indent=rng.choice([None, 2])), sense
    separator = rng.choice(["\n", "\n", "; ", " | "])
    flat = [(k, ", ".join(v) if isinstance(v, list) else "no" if v in (False, None) else v) for k, v in pairs]
    if rng.random() < 0.5:
        flat = [(key.replace("_", " ").capitalize(), value) for key, value in flat]
    return separator.join(f"{key}: {value}" for key, value in flat), sense


def scene(descriptions, requests, rng):
    """Returns a long description, sometimes with one request or with movement and sound, and its sense."""
    parts = [rng.choice(descriptions).rstrip(".。 ") + "." for _ in range(rng.randint(3, 8))]
    choice = rng.random()
    if choice < 0.3:
        return " ".join(parts), PICTURE
    if choice < 0.7:
        request, sense = rng.choice(requests)
        place = rng.choice([0, 0, len(parts), rng.randint(0, len(parts))])
        parts.insert(place, request)
        if sense == VIDEO and rng.random() < 0.3:
            parts.append(rng.choice(SILENCE))
        return rng.choice([" ", "\n"]).join(parts), sense
    for move in rng.sample(MOVES, rng.randint(1, 3)):
        parts.insert(rng.randint(0, len(parts)), move)
    if choice < 0.85:
        if rng.random() < 0.3:
            parts.append(rng.choice(SILENCE))
        return " ".join(parts), VIDEO
    for sound in rng.sample(SOUNDS, rng.randint(1, 2)):
        parts.insert(rng.randint(1, len(parts)), sound)
    return " ".join(parts), VIDEO_SOUND


def change(descriptions, changes, rng):
    """Returns a change of what is open that describes its result at length, and its sense."""
    request, sense = rng.choice(changes)
    parts = [rng.choice(descriptions).rstrip(".。 ") + "." for _ in range(rng.randint(1, 5))]
    parts.insert(0 if rng.random() < 0.8 else len(parts), request.rstrip(".。 ") + rng.choice([".", ":", ",", ""]))
    return rng.choice([" ", "\n"]).join(parts), sense


def composed(path, count, seed=6):
    """Returns long examples, composed of the generated examples of a file: briefs, scenes and changes."""
    rng = random.Random(seed)
    by_language = {}
    for row in (json.loads(line) for line in open(path, encoding="utf-8")):
        descriptions, requests, changes = by_language.setdefault(row["language"], ([], [], []))
        example = row["prompt"], row["sense"]
        if row["sense"] == PICTURE:
            descriptions.append(row["prompt"])
        elif row["sense"] in (VIDEO, VIDEO_SOUND):
            requests.append(example)
        elif row["regime"] in (2, 3):
            changes.append(example + (row["regime"],))
    examples = []
    for _ in range(count):
        descriptions, requests, changes = rng.choice(list(by_language.values()))
        kind = rng.random()
        if kind < 0.35:
            (text, sense), regime = brief(descriptions, rng), rng.choice([0, 0, 0, 1])
        elif kind < 0.7:
            (text, sense), regime = scene(descriptions, requests, rng), rng.choice([0, 0, 0, 1])
        else:
            regime = rng.choice([2, 2, 2, 3])
            of_regime = [example[:2] for example in changes if example[2] == regime]
            text, sense = change(descriptions, of_regime, rng)
        examples.append((text, facts_of_regime(regime, rng), one_class(sense)))
    return examples
