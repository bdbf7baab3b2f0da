"""Counts the rows of a run directory and prints what they say as JSON; reads nothing but the rows.

run_facts.py RUN_DIR
"""

import glob
import json
import os
import sys

import polars


def main():
    parts = sorted(glob.glob(os.path.join(sys.argv[1], "requests", "part-*.parquet")))
    rows = polars.concat([polars.read_parquet(part) for part in parts], how="vertical_relaxed")
    lag = (rows["sent"] - rows["ready"]).drop_nulls()
    # The smallest value with at least 99 % of the rows at or below it.
    p99 = lag.sort()[-(-len(lag) * 99 // 100) - 1]
    print(json.dumps({
        "rows": len(rows),
        "answered": int(rows["outcome"].cast(polars.String).is_in(["ok", "short"]).sum()),
        "seconds": (rows["done"].max() - rows["due"].min()) / 1e9,
        "lag_p99_us": p99 / 1e3,
        "bytes_out": [int(rows["bytes_out"].min()), int(rows["bytes_out"].max())],
        "bytes_on_disk": sum(os.path.getsize(part) for part in parts),
    }))


main()
