"""The flow of an application, through pymilvus: create, insert, index, load, filtered search, query, delete, drop.

usage: pymilvus_flow.py URI [TOKEN]

Every search is held against this script's own brute force. Exits 1 with one line on the first mismatch.
"""

import logging
import random
import sys

from pymilvus import DataType, MilvusClient

ROWS, DIM, LIMIT = 2000, 16, 10
CATEGORIES = ["electronics", "books", "clothing", "home"]


def check(condition, message):
    if not condition:
        print(f"MISMATCH: {message}", file=sys.stderr)
        sys.exit(1)


def equal(actual, expected, what):
    check(actual == expected, f"{what}: got {actual!r}, expected {expected!r}")


def vector(rng):
    return [rng.gauss(0, 1) for _ in range(DIM)]


def score(metric, a, b):
    dot = sum(x * y for x, y in zip(a, b))
    if metric == "L2":
        return sum((x - y) ** 2 for x, y in zip(a, b))
    if metric == "IP":
        return dot
    return dot / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5


def nearest(rows, query, metric, limit, keep=lambda row: True):
    scored = [(score(metric, query, row["vector"]), row["id"]) for row in rows if keep(row)]
    scored.sort(key=lambda hit: hit[0] if metric == "L2" else -hit[0])
    return scored[:limit]


def recall(hits, truth):
    found = {hit["id"] for hit in hits} & {key for _, key in truth}
    return len(found) / len(truth) if truth else 1.0


def search_flow(client, rng, metric, index_type, index_params):
    name = f"flow_{metric}_{index_type}".lower()
    if client.has_collection(name):
        client.drop_collection(name)
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True, description="made by a test")
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIM)
    schema.add_field("category", DataType.VARCHAR, max_length=32)
    schema.add_field("price", DataType.FLOAT)
    schema.add_field("stock", DataType.INT32)
    schema.add_field("new", DataType.BOOL)
    schema.add_field("more", DataType.JSON)
    client.create_collection(name, schema=schema)
    equal(client.has_collection(name), True, "has_collection")
    check(name in client.list_collections(), "list_collections lacks the collection")
    equal(client.describe_collection(name)["description"], "made by a test", "description")

    rows = [
        {
            "id": key,
            "vector": vector(rng),
            "category": rng.choice(CATEGORIES),
            "price": round(rng.uniform(1, 1000), 2),
            "stock": rng.randrange(100),
            "new": rng.random() < 0.5,
            "more": {"shelf": key % 7, "tags": [key % 3, "t"]},
            "colour": rng.choice(["red", "blue"]),
        }
        for key in range(ROWS)
    ]
    for start in range(0, ROWS, 500):
        equal(client.insert(name, rows[start : start + 500])["insert_count"], 500, "insert_count")
    client.flush(name)
    equal(client.get_collection_stats(name)["row_count"], ROWS, "row_count")

    index = client.prepare_index_params()
    index.add_index(field_name="vector", index_type=index_type, metric_type=metric, params=index_params)
    client.create_index(name, index)
    equal(client.list_indexes(name), ["vector"], "list_indexes")
    described = client.describe_index(name, "vector")
    equal((described["index_type"], described["metric_type"]), (index_type, metric), "describe_index")
    client.load_collection(name)
    check("Loaded" in str(client.get_load_state(name)["state"]), "the collection is not loaded")

    filters = [
        ("", lambda row: True),
        ('category == "electronics"', lambda row: row["category"] == "electronics"),
        ("price >= 100 and price < 500", lambda row: 100 <= row["price"] < 500),
        ('category == "books" and price >= 10 and price < 50', lambda row: row["category"] == "books" and 10 <= row["price"] < 50),
        ("stock in [1, 2, 3] or new == true", lambda row: row["stock"] in (1, 2, 3) or row["new"]),
        ('not (category in ["home", "books"])', lambda row: row["category"] not in ("home", "books")),
        ('category like "e%"', lambda row: row["category"].startswith("e")),
        ("id % 5 == 0", lambda row: row["id"] % 5 == 0),
        ('colour == "red"', lambda row: row["colour"] == "red"),
        ('more["shelf"] < 3', lambda row: row["more"]["shelf"] < 3),
        ('json_contains(more["tags"], 1)', lambda row: 1 in row["more"]["tags"]),
        ("10 < stock <= 20", lambda row: 10 < row["stock"] <= 20),
        ("price < 0", lambda row: False),
    ]
    for text, keep in filters:
        queries = [vector(rng) for _ in range(3)]
        answers = client.search(
            name, queries, filter=text, limit=LIMIT, anns_field="vector",
            search_params={"metric_type": metric, "params": {}},
            output_fields=["category", "price", "colour"],
        )
        equal(len(answers), len(queries), f"answers to {text!r}")
        for query, hits in zip(queries, answers):
            truth = nearest(rows, query, metric, LIMIT, keep)
            equal(len(hits), len(truth), f"hits of {text!r}")
            check(recall(hits, truth) >= 0.95, f"recall of {text!r} under {metric} {index_type} is {recall(hits, truth)}")
            for hit in hits:
                row = rows[hit["id"]]
                check(keep(row), f"row {hit['id']} does not fit {text!r}")
                expected = score(metric, query, row["vector"])
                check(abs(hit["distance"] - expected) < 1e-3, f"distance {hit['distance']} of row {hit['id']}, expected {expected}")
                entity = hit["entity"]
                equal(entity["category"], row["category"], "category of a hit")
                check(abs(entity["price"] - row["price"]) < 1e-3, "price of a hit")
                equal(entity["colour"], row["colour"], "dynamic field of a hit")
            distances = [hit["distance"] for hit in hits]
            equal(distances, sorted(distances, reverse=metric != "L2"), "order of the hits")

    # Everything back: vectors, JSON and the dynamic field.
    hit = client.search(name, [rows[7]["vector"]], limit=1, output_fields=["*"])[0][0]
    equal((hit["id"], hit["entity"]["more"], hit["entity"]["stock"]), (7, rows[7]["more"], rows[7]["stock"]), "a hit with all fields")
    check(max(abs(a - b) for a, b in zip(hit["entity"]["vector"], rows[7]["vector"])) < 1e-6, "vector of a hit")
    page = client.search(name, [rows[7]["vector"]], limit=3, offset=2)[0]
    whole = client.search(name, [rows[7]["vector"]], limit=5)[0]
    equal([hit["id"] for hit in page], [hit["id"] for hit in whole][2:], "a page of hits")

    equal(client.query(name, filter="", output_fields=["count(*)"])[0]["count(*)"], ROWS, "count(*)")
    found = client.query(name, filter="id in [5, 3, 99999]", output_fields=["category", "new", "colour"])
    equal([(row["id"], row["category"], row["new"], row["colour"]) for row in found],
          [(key, rows[key]["category"], rows[key]["new"], rows[key]["colour"]) for key in (3, 5)], "query by key")
    found = client.query(name, filter="price > 500", limit=7, offset=2, output_fields=["id"])
    equal([row["id"] for row in found], [row["id"] for row in rows if row["price"] > 500][2:9], "a page of rows")
    got = client.get(name, ids=[11, 12])
    equal([row["stock"] for row in got], [rows[11]["stock"], rows[12]["stock"]], "get")

    # A new version of a row, and rows that go.
    changed = dict(rows[3], price=1.0, vector=vector(rng))
    equal(client.upsert(name, [changed])["upsert_count"], 1, "upsert_count")
    rows[3] = changed
    equal(client.query(name, filter="", output_fields=["count(*)"])[0]["count(*)"], ROWS, "count(*) after upsert")
    equal(client.search(name, [changed["vector"]], limit=1)[0][0]["id"], 3, "the upserted row")
    client.delete(name, ids=[0, 1, 2])
    client.delete(name, filter='category == "home"')
    kept = [row for row in rows if row["id"] > 2 and row["category"] != "home"]
    equal(client.query(name, filter="", output_fields=["count(*)"])[0]["count(*)"], len(kept), "count(*) after delete")
    query = vector(rng)
    hits = client.search(name, [query], limit=LIMIT)[0]
    check(recall(hits, nearest(kept, query, metric, LIMIT)) >= 0.95, "recall after delete")

    client.release_collection(name)
    try:
        client.search(name, [query], limit=1, timeout=5)
        check(False, "a released collection was searched")
    except Exception as error:
        check("not loaded" in str(error), f"searching a released collection said {error}")
    client.drop_collection(name)
    equal(client.has_collection(name), False, "has_collection after drop")


def quick_flow(client, rng):
    """Created from a dimension: index and load included, keys made by the server, texts as keys."""
    client.create_collection("quick", dimension=DIM, metric_type="COSINE", auto_id=True)
    rows = [{"vector": vector(rng), "n": n} for n in range(100)]
    keys = client.insert("quick", rows)["ids"]
    equal(len(set(keys)), 100, "distinct made keys")
    hit = client.search("quick", [rows[42]["vector"]], limit=1, output_fields=["n"])[0][0]
    equal((hit["id"], hit["entity"]["n"]), (keys[42], 42), "the row itself")
    client.drop_collection("quick")

    client.create_collection("texts", dimension=DIM, id_type="string", max_length=16)
    client.insert("texts", [{"id": f"k{n}", "vector": vector(rng)} for n in range(10)])
    equal([row["id"] for row in client.get("texts", ids=["k3", "k1"])], ["k1", "k3"], "get by text keys")
    client.delete("texts", ids=["k3"])
    equal(client.query("texts", filter='id in ["k3"]'), [], "a deleted text key")

    client.create_partition("texts", "other")
    client.insert("texts", [{"id": "p1", "vector": vector(rng)}], partition_name="other")
    equal([hit["id"] for hit in client.search("texts", [vector(rng)], limit=5, partition_names=["other"])[0]], ["p1"], "search in a partition")
    equal(sorted(client.list_partitions("texts")), ["_default", "other"], "list_partitions")
    equal(client.has_partition("texts", "none"), False, "has_partition")
    client.create_alias("texts", "nickname")
    equal(client.describe_alias("nickname")["collection_name"], "texts", "describe_alias")
    equal(client.query("nickname", filter="", output_fields=["count(*)"])[0]["count(*)"], 10, "count(*) through an alias")
    client.drop_alias("nickname")
    client.drop_collection("texts")


def main():
    uri, token = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    rng = random.Random(7)
    logging.disable(logging.CRITICAL)  # an expected error is logged with its traceback
    client = MilvusClient(uri=uri, token=token)
    check("squall" in client.get_server_version(), "the server does not say that it is a sandbox")
    search_flow(client, rng, "L2", "IVF_FLAT", {"nlist": 128})
    search_flow(client, rng, "IP", "HNSW", {"M": 16, "efConstruction": 64})
    search_flow(client, rng, "COSINE", "FLAT", {})
    quick_flow(client, rng)
    check("default" in client.list_databases(), "list_databases lacks default")
    client.close()
    print("pymilvus: all answers equal brute force")


if __name__ == "__main__":
    main()
