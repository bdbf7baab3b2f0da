"""Asks the queries of a file through pymilvus and prints the ids of their hits, as JSON."""

import json
import sys

from pymilvus import MilvusClient

uri, collection, path = sys.argv[1:]
client = MilvusClient(uri=uri)
answers = []
with open(path) as file:
    queries = json.load(file)
for query in queries:
    found = client.search(
        collection,
        data=[query["vector"]],
        anns_field="vector",
        limit=10,
        filter=query["filter"] or "",
        output_fields=["id"],
    )
    answers.append([hit["id"] for hit in found[0]])
print(json.dumps(answers))
