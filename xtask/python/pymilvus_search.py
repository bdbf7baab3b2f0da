"""Searches with pymilvus for some seconds, one request after the other, and prints what it took.

The vectors are lists of Python floats that were made before, as the load test that Squall replaces
gives them. CPU is this process' from the first search to the last; starting Python, importing
pymilvus and connecting are not in it.
"""

import argparse
import json
import time

import numpy as np
from pymilvus import MilvusClient


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--uri", required=True)
    parser.add_argument("--collection", required=True)
    parser.add_argument("--dimension", type=int, required=True)
    parser.add_argument("--limit", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    arguments = parser.parse_args()

    rng = np.random.default_rng(42)
    vectors = rng.standard_normal((100, arguments.dimension))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).tolist()
    client = MilvusClient(arguments.uri)

    def search(number):
        vector = vectors[number % len(vectors)]
        found = client.search(arguments.collection, [vector], limit=arguments.limit, output_fields=["id"])
        if len(found[0]) != arguments.limit:
            raise SystemExit(f"an answer has {len(found[0])} hits, not {arguments.limit}")

    for number in range(20):
        search(number)
    requests, started, used = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < arguments.seconds:
        search(requests)
        requests += 1
    print(json.dumps({
        "requests": requests,
        "cpu_seconds": time.process_time() - used,
        "seconds": time.perf_counter() - started,
    }))


main()
