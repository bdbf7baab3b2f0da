"""A locustfile: users who search with pymilvus without a pause, and what a search took of the CPU.

This is the load test that Squall replaces, cut down to one search. When it ends it prints what the
process used from the first search after the users were there to the last.
"""

import json
import os
import time

import numpy as np
from locust import User, constant, events, task
from pymilvus import MilvusClient

URI = os.environ["SEARCH_URI"]
COLLECTION = os.environ["SEARCH_COLLECTION"]
DIMENSION = int(os.environ["SEARCH_DIMENSION"])
LIMIT = int(os.environ["SEARCH_LIMIT"])

rng = np.random.default_rng(42)
vectors = rng.standard_normal((100, DIMENSION))
vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).tolist()


class Searches:
    """How many there were, and what was used when counting began."""

    count = 0
    used = None


class Searcher(User):
    wait_time = constant(0)

    def on_start(self):
        self.client = MilvusClient(URI)

    @task
    def search(self):
        vector = vectors[Searches.count % len(vectors)]
        started = time.perf_counter()
        found = self.client.search(COLLECTION, [vector], limit=LIMIT, output_fields=["id"])
        if len(found[0]) != LIMIT:
            raise SystemExit(f"an answer has {len(found[0])} hits, not {LIMIT}")
        events.request.fire(
            request_type="milvus",
            name="search",
            response_time=(time.perf_counter() - started) * 1000,
            response_length=len(found[0]),
        )
        if Searches.used is not None:
            Searches.count += 1


@events.spawning_complete.add_listener
def begin(user_count, **_):
    Searches.used = time.process_time()


@events.quitting.add_listener
def tell(environment, **_):
    cpu_seconds = time.process_time() - Searches.used
    print(json.dumps({"requests": Searches.count, "cpu_seconds": cpu_seconds}))
