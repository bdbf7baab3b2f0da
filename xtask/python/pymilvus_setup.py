"""Fills a collection with pymilvus, as the script that Squall replaces does, and prints what it took.

Each row is made by itself: numpy normals divided by their length, and the scalar fields of a shop, in
a dict. `--rows-as lists` gives the vector as a list of Python floats, as that script does; `arrays` as
a numpy array of float32, made a batch at a time: the fastest way that MilvusClient has.

CPU is this process' from the first row made to the last insert answered; starting Python and
importing pymilvus is not in it.
"""

import argparse
import json
import time

import numpy as np
from pymilvus import DataType, MilvusClient

CATEGORIES = [
    ("electronics", 0.2), ("clothing", 0.2), ("books", 0.1), ("home", 0.1), ("sports", 0.1),
    ("toys", 0.1), ("beauty", 0.05), ("automotive", 0.05), ("grocery", 0.05), ("health", 0.05),
]
NAMES = [name for name, _ in CATEGORIES]
WEIGHTS = [weight for _, weight in CATEGORIES]
BRANDS = [f"brand_{number}" for number in range(10)]


def scalars(rng, row):
    return {
        "id": row,
        "category": str(rng.choice(NAMES, p=WEIGHTS)),
        "price": round(float(rng.lognormal(4, 1.5)), 2),
        "brand": BRANDS[rng.integers(len(BRANDS))],
        "rating": round(float(1 + 4 * rng.beta(5, 2)), 1),
        "stock": int(rng.gamma(5, 10)),
    }


def rows_with_lists(rng, first, count, dimension):
    rows = []
    for row in range(first, first + count):
        vector = rng.standard_normal(dimension)
        vector = vector / np.linalg.norm(vector)
        rows.append({**scalars(rng, row), "vector": vector.tolist()})
    return rows


def rows_with_arrays(rng, first, count, dimension):
    vectors = rng.standard_normal((count, dimension), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    categories = rng.choice(NAMES, count, p=WEIGHTS).tolist()
    prices = np.round(rng.lognormal(4, 1.5, count), 2).tolist()
    brands = rng.integers(len(BRANDS), size=count).tolist()
    ratings = np.round(1 + 4 * rng.beta(5, 2, count), 1).tolist()
    stocks = rng.gamma(5, 10, count).astype(np.int64).tolist()
    return [
        {
            "id": first + i, "vector": vectors[i], "category": categories[i], "price": prices[i],
            "brand": BRANDS[brands[i]], "rating": ratings[i], "stock": stocks[i],
        }
        for i in range(count)
    ]


def create(client, collection, dimension):
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
    schema.add_field("category", DataType.VARCHAR, max_length=64)
    schema.add_field("price", DataType.DOUBLE)
    schema.add_field("brand", DataType.VARCHAR, max_length=64)
    schema.add_field("rating", DataType.DOUBLE)
    schema.add_field("stock", DataType.INT64)
    client.create_collection(collection, schema=schema, consistency_level="Bounded")


def insert(client, arguments):
    make = {"lists": rows_with_lists, "arrays": rows_with_arrays}[arguments.rows_as]
    rng = np.random.default_rng(42)
    for first in range(0, arguments.rows, arguments.batch_size):
        count = min(arguments.batch_size, arguments.rows - first)
        client.insert(arguments.collection, make(rng, first, count, arguments.dimension))


def index(client, collection):
    params = client.prepare_index_params()
    params.add_index("vector", index_type="IVF_FLAT", metric_type="L2", params={"nlist": 1024})
    client.create_index(collection, params)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--uri", required=True)
    parser.add_argument("--collection", required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--dimension", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--rows-as", choices=["lists", "arrays"], required=True)
    arguments = parser.parse_args()

    client = MilvusClient(arguments.uri)
    phases = {}
    collection = arguments.collection
    cpu = 0.0
    for name, step in [
        ("create", lambda: create(client, collection, arguments.dimension)),
        ("insert", lambda: insert(client, arguments)),
        ("flush", lambda: client.flush(collection)),
        ("index", lambda: index(client, collection)),
        ("load", lambda: client.load_collection(collection)),
    ]:
        started, used = time.perf_counter(), time.process_time()
        step()
        phases[name] = time.perf_counter() - started
        if name == "insert":
            cpu = time.process_time() - used
    found = client.query(collection, "", output_fields=["count(*)"], consistency_level="Strong")
    client.drop_collection(collection)
    if found[0]["count(*)"] != arguments.rows:
        raise SystemExit(f"the collection has {found[0]['count(*)']} rows, not {arguments.rows}")
    print(json.dumps({"phases": phases, "insert_cpu_seconds": cpu}))


main()
