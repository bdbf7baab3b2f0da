"""Reads a run's rows with duckdb, polars and numpy and prints what they count, as JSON."""

import glob
import json
import sys

import duckdb
import numpy
import polars

run = sys.argv[1]
parts = f"{run}/requests/*.parquet"
assert glob.glob(parts), parts

connection = duckdb.connect()
rows, distinct = connection.execute(f"SELECT count(*), count(DISTINCT seq) FROM '{parts}'").fetchone()
outcomes = dict(connection.execute(f"SELECT outcome, count(*) FROM '{parts}' GROUP BY outcome").fetchall())
classes = dict(connection.execute(f"SELECT class, count(*) FROM '{parts}' GROUP BY class").fetchall())

frame = polars.read_parquet(parts)
answered = frame.filter(polars.col("outcome").cast(polars.String).is_in(["ok", "short"]))
p50 = {}
for name in classes:
    of_class = answered.filter(polars.col("class").cast(polars.String) == name)
    response_ns = (of_class["done"] - of_class["due"]).to_numpy()
    p50[name] = float(numpy.percentile(response_ns, 50, method="inverted_cdf")) / 1e6

print(
    json.dumps(
        {
            "duckdb": {"rows": rows, "distinct_seq": distinct, "outcomes": outcomes, "classes": classes},
            "polars": {"rows": frame.height},
            "numpy": {"p50_ms": p50},
        }
    )
)
