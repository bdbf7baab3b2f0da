"""Exact neighbours with faiss, timed, and compared with Squall's.

faiss_truth.py DIR DIMENSION K, where DIR has what the example `ground_truth` leaves: rows.f32,
queries.f32, and ids.i64 with K a query; little-endian, row after row.
"""

import json
import sys
import time
from pathlib import Path

import faiss
import numpy as np

# Two ways to sum 768 products in float32 differ by about this much of a distance.
TOLERANCE = 1e-6


def main():
    directory, dimension, k = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    base = np.fromfile(directory / "rows.f32", "<f4").reshape(-1, dimension)
    queries = np.fromfile(directory / "queries.f32", "<f4").reshape(-1, dimension)
    ids = np.fromfile(directory / "ids.i64", "<i8").reshape(-1, k)

    started = time.perf_counter()
    index = faiss.IndexFlatL2(dimension)
    index.add(base)
    _, found = index.search(queries, k)
    seconds = time.perf_counter() - started

    different = disordered = 0
    for query, ours, theirs in zip(queries, ids, found):
        nearest = ((base[ours].astype("f8") - query.astype("f8")) ** 2).sum(axis=1)
        disordered += bool(np.any(np.diff(nearest) < -TOLERANCE * nearest[1:]))
        if set(ours) == set(theirs):
            continue
        # Neighbours as far as the last one may stand for each other.
        only = np.array(list(set(ours) ^ set(theirs)))
        distances = ((base[only].astype("f8") - query.astype("f8")) ** 2).sum(axis=1)
        if np.any(np.abs(distances - nearest[-1]) > TOLERANCE * nearest[-1]):
            different += 1
    print(json.dumps({"seconds": seconds, "different": different, "disordered": disordered}))


main()
