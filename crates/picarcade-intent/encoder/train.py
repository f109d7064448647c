"""Trains the encoder and writes its file.

    python train.py --generated GENERATED.jsonl --labeled FILE[:REPEAT] ... --calibrate FILE --output FILE

`GENERATED.jsonl` is written by `local-model examples`; the other files hold labeled prompts that
`local-model normalize` has normalized. Two cores take about half an hour. Equal inputs give nearly equal weights: the sums of
floating-point numbers depend on the number of threads.
"""

import argparse
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

import export
import model
from base import Base
from examples import NONE, composed, generated, labeled, prior
from tokenizer import Tokenizer, vocabulary

LAYERS = 6
VOCABULARY = 50_000
COMPOSED = 2_000
RATE = 1e-4
SMOOTHING = 0.05
SEED = 3
# The fewest prompts of a regime that its calibration needs.
MIN_CALIBRATED = 100
# The lengths that inputs are padded to, and the inputs per step: about as much work in every step.
BATCHES = {16: 96, 24: 64, 40: 40, 72: 22, 128: 12, 256: 6}


def bucket(length):
    return next(limit for limit in BATCHES if length <= limit)


def batches(inputs, rng):
    """Returns the indices of the inputs of each step, in random order."""
    by_length = {limit: [] for limit in BATCHES}
    for number in rng.permutation(len(inputs)):
        by_length[bucket(len(inputs[number]))].append(number)
    steps = []
    for limit, numbers in by_length.items():
        size = BATCHES[limit]
        steps += [(limit, numbers[at : at + size]) for at in range(0, len(numbers) - size + 1, size)]
    return [steps[number] for number in rng.permutation(len(steps))]


def pad(inputs, limit, size):
    ids = np.ones((size, limit), np.int32)
    mask = np.zeros((size, limit), np.float32)
    mask[:, 0] = 1
    for row, tokens in enumerate(inputs):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return ids, mask


def predict(parameters, embeddings, heads, inputs, facts):
    """Returns the scores of the classes for some inputs."""
    run = jax.jit(lambda *batch: model.scores(parameters, embeddings, heads, *batch))
    scores = np.zeros((len(inputs), model.CLASSES), np.float32)
    order = sorted(range(len(inputs)), key=lambda number: len(inputs[number]))
    while order:
        limit = bucket(len(inputs[order[0]]))
        size = BATCHES[limit]
        numbers = [number for number in order[:size] if len(inputs[number]) <= limit]
        order = order[len(numbers) :]
        ids, mask = pad([inputs[number] for number in numbers], limit, size)
        bits = np.zeros(size, np.int32)
        bits[: len(numbers)] = [facts[number] for number in numbers]
        scores[numbers] = np.asarray(run(ids, mask, bits))[: len(numbers)]
    return scores


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--generated", required=True)
    parser.add_argument("--labeled", nargs="*", default=[])
    parser.add_argument("--calibrate", required=True)
    parser.add_argument("--output", required=True)
    arguments = parser.parse_args()

    rng = np.random.default_rng(SEED)
    base = Base()
    examples = generated(arguments.generated) + composed(arguments.generated, COMPOSED)
    for name in arguments.labeled:
        path, _, repeat = name.partition(":")
        # Prompts that ask for nothing are many already.
        for example in labeled(path):
            examples += [example] * (1 if example[2][NONE] else int(repeat or 1))
    held_back = labeled(arguments.calibrate)
    tokenizer = Tokenizer(base.pieces, base.scores)
    cache = {text: None for text, _, _ in examples + held_back}
    for text in cache:
        cache[text] = tokenizer(text)
    kept = vocabulary(base, {number for tokens in cache.values() for number in tokens}, VOCABULARY)
    position = {number: place for place, number in enumerate(kept)}
    inputs = [[position[number] for number in cache[text]] for text, _, _ in examples]
    facts = np.array([bits for _, bits, _ in examples], np.int32)
    targets = np.array([target for _, _, target in examples], np.float32)

    parameters, embeddings = model.initial(base, LAYERS, kept)
    steps = batches(inputs, rng)
    print(len(examples), "examples,", sum(map(len, inputs)), "pieces,", len(steps), "steps", flush=True)

    def schedule(rate):
        return optax.warmup_cosine_decay_schedule(0, rate, len(steps) // 20, len(steps), rate / 50)

    kinds = {name: "head" if name in ("facts", "head", "bias") else "body" for name in parameters}
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.multi_transform(
            {
                "body": optax.adamw(schedule(RATE), weight_decay=0.01),
                "head": optax.adamw(schedule(10 * RATE), weight_decay=0.001),
            },
            kinds,
        ),
    )
    state = optimizer.init(parameters)

    def loss(parameters, ids, mask, bits, target, key):
        logs = jax.nn.log_softmax(model.scores(parameters, embeddings, base.heads, ids, mask, bits, key))
        right = jnp.log((jnp.exp(logs) * target).sum(1) + 1e-9)
        return -((1 - SMOOTHING) * right + SMOOTHING * logs.mean(1)).mean()

    @jax.jit
    def step(parameters, state, *batch):
        value, gradient = jax.value_and_grad(loss)(parameters, *batch)
        updates, state = optimizer.update(gradient, state, parameters)
        return optax.apply_updates(parameters, updates), state, value

    key, start, losses = jax.random.key(SEED, impl="unsafe_rbg"), time.time(), []
    for number, (limit, rows) in enumerate(steps):
        ids, mask = pad([inputs[row] for row in rows], limit, len(rows))
        key, own = jax.random.split(key)
        parameters, state, value = step(parameters, state, ids, mask, facts[rows], targets[rows], own)
        losses.append(float(value))
        if number % 100 == 99:
            print(number + 1, f"loss {np.mean(losses[-100:]):.3f}", f"{time.time() - start:.0f} s", flush=True)

    tuned = [[position[number] for number in cache[text]] for text, _, _ in held_back]
    bits = np.array([bits for _, bits, _ in held_back])
    scores = predict(parameters, embeddings, base.heads, tuned, bits)
    sharpness = calibrate(scores, bits, np.array([target for _, _, target in held_back]))
    parameters = jax.tree.map(np.asarray, parameters)
    save(arguments.output, base, kept, parameters, np.asarray(embeddings["position"]), sharpness)
    print("sharpness", [f"{value:.2f}" for value in sharpness])


def regime(bits):
    """Returns the number of the regime of some facts, as `Regime::of` in `src/local/sense.rs`."""
    return 3 if bits & 2 else 2 if bits & 1 else 1 if bits & 12 else 0


def calibrate(scores, bits, targets):
    """Returns the factor per regime that makes the labels of unseen prompts the most likely (Guo et al. 2017)."""
    regimes = np.array([regime(int(own)) for own in bits])
    priors = np.array([prior(number) for number in range(4)])[regimes]

    def best(rows):
        def loss(factor):
            raised = np.exp((scores[rows] - scores[rows].max(1, keepdims=True)) * factor) * priors[rows]
            right = (raised * targets[rows]).sum(1) / raised.sum(1)
            return -np.log(right + 1e-9).mean()

        return min(np.linspace(0.2, 2.0, 91), key=loss)

    # A regime with few prompts has the factor of all.
    everywhere = best(np.full(len(bits), True))
    rows = [regimes == number for number in range(4)]
    return [best(own) if own.sum() >= MIN_CALIBRATED else everywhere for own in rows]


def save(path, base, kept, parameters, position, sharpness):
    """Writes the file that `src/local/encoder/weights.rs` reads."""
    combinations = np.arange(2**model.FACTS)
    bits = (combinations[:, None] >> np.arange(model.FACTS)) & 1
    export.write(
        path,
        pieces=[base.pieces[number] for number in kept],
        scores=base.scores[kept],
        word_q4_blocks=base.blocks("emb.word", len(base.pieces), base.hidden)[kept],
        position=position,
        embedding_norm=parameters["embedding_norm"],
        facts=bits.astype(np.float32) @ parameters["facts"],
        layers=[
            {
                "qkv": (layer["qkv"].T, layer["qkv_bias"]),
                "attention": (layer["out"].T, layer["out_bias"]),
                "expand": (layer["inner"].T, layer["inner_bias"]),
                "reduce": (layer["outer"].T, layer["outer_bias"]),
                "attention_norm": layer["attention_norm"],
                "output_norm": layer["output_norm"],
            }
            for layer in parameters["layers"]
        ],
        head=parameters["head"].T * model.HEAD_SCALE,
        bias=parameters["bias"],
        sharpness=sharpness,
        heads=base.heads,
    )


if __name__ == "__main__":
    main()
