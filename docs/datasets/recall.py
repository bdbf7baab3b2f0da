"""Recall of HNSW and IVF_FLAT on real sentence embeddings and on Squall's datasets, as a figure.

    pip install numpy faiss-cpu matplotlib
    cargo build --release -p squall-core --example export_rows
    for kind in reference-v1-seed42-dim384 \\
        clustered-v1-seed42-dim384-clusters110-intrinsic16-skew0.6-correlation0.5; do
        target/release/examples/export_rows $kind 25000 ${kind%%-*}.fvecs 1000 ${kind%%-*}-queries.fvecs
    done
    python recall.py --reference reference.fvecs reference-queries.fvecs \\
        --clustered clustered.fvecs clustered-queries.fvecs \\
        --minilm dictionary.npy documentation.npy --out ../images/clustered-recall

dictionary.npy and documentation.npy come from embed.py; the last 1,000 of their rows, in a shuffled
order, are the queries and are not in the index. It prints every figure as a Markdown table.
"""

import argparse
import json
from pathlib import Path

import faiss
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

QUERIES = 1_000
NLIST = 256
NPROBE = [1, 2, 4, 8, 16, 32, 64]
EF = {10: [10, 16, 32, 64, 128, 256], 100: [100, 128, 256, 512]}
COLOURS = {"reference": "#8c8c8c", "clustered": "#d1495b", "MiniLM, dictionary": "#00798c", "MiniLM, documentation": "#30638e"}


def fvecs(path):
    data = np.fromfile(path, dtype=np.int32)
    return np.ascontiguousarray(data.reshape(-1, data[0] + 1)[:, 1:]).view(np.float32)


def held_out(path):
    vectors = np.load(path)
    vectors = np.ascontiguousarray(vectors[np.random.default_rng(7).permutation(len(vectors))])
    return vectors[:-QUERIES], vectors[-QUERIES:]


def recall(truth, found, k):
    return float(np.mean([len(np.intersect1d(t[:k], f[:k])) for t, f in zip(truth, found)]) / k)


def measure(base, queries):
    dimension = base.shape[1]
    flat = faiss.IndexFlatL2(dimension)
    flat.add(base)
    squared, truth = flat.search(queries, 100)
    distances = np.sqrt(np.maximum(squared, 1e-12))
    sample = base[np.random.default_rng(0).integers(0, len(base), 2_000)]
    to_any = np.sqrt(np.maximum(2 - 2 * queries @ sample.T, 0)).mean(1)
    # Amsaleg et al., KDD 2015: the maximum-likelihood estimate from the 100 nearest.
    intrinsic = -1 / np.log(distances[:, :-1] / distances[:, -1:]).mean(1)
    figures = {
        "rows": len(base),
        "intrinsic dimension, median": float(np.median(intrinsic)),
        "distance of the 10th neighbour, median": float(np.median(distances[:, 9])),
        "relative contrast (mean distance over that of the 10th)": float((to_any / distances[:, 9]).mean()),
    }
    ivf = faiss.IndexIVFFlat(faiss.IndexFlatL2(dimension), dimension, NLIST)
    ivf.train(base)
    ivf.add(base)
    for nprobe in NPROBE:
        ivf.nprobe = nprobe
        found = ivf.search(queries, 100)[1]
        for k in (10, 100):
            figures[f"IVF_FLAT recall@{k}, nprobe {nprobe}"] = recall(truth, found, k)
    hnsw = faiss.IndexHNSWFlat(dimension, 16)
    hnsw.hnsw.efConstruction = 200
    hnsw.add(base)
    for k, efs in EF.items():
        for ef in efs:
            hnsw.hnsw.efSearch = ef
            figures[f"HNSW recall@{k}, ef {ef}"] = recall(truth, hnsw.search(queries, k)[1], k)
    return figures


def draw(results, out):
    panels = [
        ("HNSW, recall@10", "ef", lambda ef: f"HNSW recall@10, ef {ef}", EF[10]),
        ("HNSW, recall@100", "ef", lambda ef: f"HNSW recall@100, ef {ef}", EF[100]),
        ("IVF_FLAT, recall@10", "nprobe", lambda nprobe: f"IVF_FLAT recall@10, nprobe {nprobe}", NPROBE),
        ("IVF_FLAT, recall@100", "nprobe", lambda nprobe: f"IVF_FLAT recall@100, nprobe {nprobe}", NPROBE),
    ]
    plt.rcParams.update({"font.size": 10, "svg.hashsalt": "squall"})
    figure, axes = plt.subplots(2, 2, figsize=(9.6, 7.2), sharey=True, layout="constrained")
    for axis, (title, label, key, values) in zip(axes.flat, panels):
        for name, figures in results.items():
            style = "--" if name.startswith("MiniLM") else "-"
            marker = {"reference": "s", "clustered": "o"}.get(name, "^" if "dictionary" in name else "v")
            recalls = [figures[key(value)] for value in values]
            axis.plot(values, recalls, style, marker=marker, markersize=5, color=COLOURS[name], label=name)
        axis.set_title(title, loc="left", fontsize=11)
        axis.set_xscale("log", base=2)
        axis.set_xticks(values, [str(value) for value in values])
        axis.minorticks_off()
        axis.set_xlabel(label)
        axis.set_ylim(0, 1.02)
        axis.grid(color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[:, 0]:
        axis.set_ylabel("recall")
    axes[0, 1].legend(loc="lower right", frameon=False)
    rows = next(iter(results.values()))["rows"]
    figure.suptitle(
        f"{rows:,} vectors of 384 dimensions, 1,000 queries; HNSW M 16, efConstruction 200; IVF_FLAT nlist {NLIST}",
        fontsize=10,
    )
    for suffix in ("png", "svg"):
        figure.savefig(f"{out}.{suffix}", dpi=130, metadata={"Date": None} if suffix == "svg" else None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", nargs=2, required=True)
    parser.add_argument("--clustered", nargs=2, required=True)
    parser.add_argument("--minilm", nargs=2, required=True, metavar=("DICTIONARY", "DOCUMENTATION"))
    parser.add_argument("--out", required=True)
    parser.add_argument("--json", help="also keep the figures here; what is there already is not measured again")
    args = parser.parse_args()
    sets = {
        "reference": lambda: map(fvecs, args.reference),
        "clustered": lambda: map(fvecs, args.clustered),
        "MiniLM, dictionary": lambda: held_out(args.minilm[0]),
        "MiniLM, documentation": lambda: held_out(args.minilm[1]),
    }
    known = json.loads(Path(args.json).read_text()) if args.json and Path(args.json).exists() else {}
    results = {name: known.get(name) or measure(*load()) for name, load in sets.items()}
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=1))
    draw(results, args.out)
    print("| | " + " | ".join(results) + " |\n|---|" + "---:|" * len(results))
    for key in results["clustered"]:
        cells = (f"{figures[key]:,}" if key == "rows" else f"{figures[key]:.3f}" for figures in results.values())
        print(f"| {key} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
