"""The figures of a run as DuckDB makes them from its Parquet parts, timed.

duckdb_figures.py RUN WHAT THREADS, where WHAT is
  responses: response times by class and by second
  analysis:  what an analysis makes: requests, failures, bytes, recall, response and service times by
             class and in total, lag, and response times by bucket of ten seconds

Prints {"seconds": …, "classes": {class: {p50 …}}}.
"""

import json
import sys
import time

import duckdb

ANSWERED = "outcome in ('ok', 'short')"
FIVE = "[0.5, 0.9, 0.95, 0.99, 0.999]"
THREE = "[0.5, 0.95, 0.99]"


def queries(parts, what):
    times = f"quantile_disc(done - due, {FIVE}) filter ({ANSWERED}), avg(done - due) filter ({ANSWERED}), max(done - due) filter ({ANSWERED})"
    by_class = f"select class::varchar, {times} from '{parts}' group by class"
    by_time = f"select due // {{width}} as bucket, count(*), quantile_disc(done - due, {THREE}) filter ({ANSWERED}) from '{parts}' group by bucket order by bucket"
    if what == "responses":
        return [by_class, by_time.format(width=1_000_000_000)]
    service = times.replace("done - due", "done - sent")
    counts = f"count(*), count(*) filter ({ANSWERED}), sum(bytes_in), avg(recall) filter ({ANSWERED})"
    return [
        f"select class::varchar, {times}, {service}, {counts} from '{parts}' group by class",
        f"select {times}, {service}, {counts}, quantile_disc(sent - ready, 0.99) from '{parts}'",
        by_time.format(width=10_000_000_000),
    ]


def main():
    run, what, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    connection = duckdb.connect()
    connection.execute(f"set threads = {threads}")
    statements = queries(run + "/requests/part-*.parquet", what)
    started = time.perf_counter()
    results = [connection.execute(statement).fetchall() for statement in statements]
    seconds = time.perf_counter() - started
    names = ["p50", "p90", "p95", "p99", "p999"]
    classes = {
        row[0]: {name: ns / 1e6 for name, ns in zip(names, row[1])} | {"max": row[3] / 1e6}
        for row in results[0]
        if row[1] is not None
    }
    print(json.dumps({"seconds": seconds, "classes": classes}))


main()
