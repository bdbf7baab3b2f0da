"""Prints how many rows of a run were sent, counted by duckdb."""

import json
import sys

import duckdb

((rows,),) = duckdb.sql(f"SELECT count(*) FROM '{sys.argv[1]}/requests/*.parquet' WHERE sent IS NOT NULL").fetchall()
print(json.dumps(rows))
