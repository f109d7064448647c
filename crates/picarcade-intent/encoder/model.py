"""The encoder in JAX: the first layers of the base model, with a vector for the facts and a classifying head.

Post-norm transformer (Devlin et al. 2019) with the weights of multilingual-e5-small (Wang et al. 2024).
"""

import jax
import jax.numpy as jnp
import numpy as np

# Eight senses, and "no request for a picture".
CLASSES = 9
FACTS = 4
POSITIONS = 256
EPSILON = 1e-12
# The head starts at zero; this factor gives it the same learning rate as the layers.
HEAD_SCALE = 10.0


def initial(base, layers, kept):
    """Returns the trained parameters and the fixed embeddings of the first layers of a base model."""
    hidden, inner = base.hidden, base.feed_forward

    def layer(number):
        name = f"l{number}."
        joined = [base.matrix(f"{name}{part}.w", hidden, hidden) for part in "qkv"]
        return {
            "qkv": np.concatenate(joined).T,
            "qkv_bias": np.concatenate([base.floats(f"{name}{part}.b") for part in "qkv"]),
            "out": base.matrix(name + "ao.w", hidden, hidden).T,
            "out_bias": base.floats(name + "ao.b"),
            "attention_norm": np.stack([base.floats(name + "aln.w"), base.floats(name + "aln.b")]),
            "inner": base.matrix(name + "fi.w", inner, hidden).T,
            "inner_bias": base.floats(name + "fi.b"),
            "outer": base.matrix(name + "fo.w", hidden, inner).T,
            "outer_bias": base.floats(name + "fo.b"),
            "output_norm": np.stack([base.floats(name + "oln.w"), base.floats(name + "oln.b")]),
        }

    from base import dequantize

    position = base.floats("emb.pos").reshape(-1, hidden)[:POSITIONS] + base.floats("emb.type")[:hidden]
    parameters = {
        "layers": [layer(number) for number in range(layers)],
        "embedding_norm": np.stack([base.floats("emb.ln.w"), base.floats("emb.ln.b")]),
        # One vector per fact, added to the first position, and one bias per combination of facts.
        "facts": np.zeros((FACTS, hidden), np.float32),
        "head": np.zeros((hidden, CLASSES), np.float32),
        "bias": np.zeros((2**FACTS, CLASSES), np.float32),
    }
    word = dequantize(base.blocks("emb.word", len(base.pieces), hidden)[kept])
    return jax.tree.map(jnp.array, parameters), {"word": jnp.array(word), "position": jnp.array(position)}


def norm(x, weights):
    centered = x - x.mean(-1, keepdims=True)
    variance = (centered**2).mean(-1, keepdims=True)
    return centered * jax.lax.rsqrt(variance + EPSILON) * weights[0] + weights[1]


def scores(parameters, embeddings, heads, ids, mask, facts, key=None, rate=0.1):
    """Returns the scores of the classes. With a key, values are dropped at a rate (Srivastava et al. 2014)."""

    def drop(x):
        nonlocal key
        if key is None:
            return x
        key, own = jax.random.split(key)
        return jnp.where(jax.random.bernoulli(own, 1 - rate, x.shape), x / (1 - rate), 0)

    batch, length = ids.shape
    bits = (facts[:, None] >> jnp.arange(FACTS)) & 1
    x = embeddings["word"][ids] + embeddings["position"][:length]
    x = x.at[:, 0].add(bits.astype(jnp.float32) @ parameters["facts"])
    x = norm(x, parameters["embedding_norm"])
    hidden = x.shape[-1]
    hide = jnp.where(mask[:, None, None, :] > 0, 0, -1e9)
    for layer in parameters["layers"]:
        parts = x.reshape(-1, hidden) @ layer["qkv"] + layer["qkv_bias"]
        query, keys, values = jnp.moveaxis(parts.reshape(batch, length, 3, heads, -1), 2, 0)
        weights = jnp.einsum("bthd,bshd->bhts", query, keys) * query.shape[-1] ** -0.5 + hide
        mixed = jnp.einsum("bhts,bshd->bthd", jax.nn.softmax(weights), values).reshape(-1, hidden)
        attended = (mixed @ layer["out"] + layer["out_bias"]).reshape(x.shape)
        x = norm(x + drop(attended), layer["attention_norm"])
        inner = jax.nn.gelu(x.reshape(-1, hidden) @ layer["inner"] + layer["inner_bias"], approximate=True)
        outer = (inner @ layer["outer"] + layer["outer_bias"]).reshape(x.shape)
        x = norm(x + drop(outer), layer["output_norm"])
    pooled = (x * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    return drop(pooled) @ parameters["head"] * HEAD_SCALE + parameters["bias"][facts]
