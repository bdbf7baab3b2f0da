"""Writes truncated.parquet and mixed.parquet into a directory; prints their names.

Row 700 of mixed.parquet has 7 components where all others have 8.
"""

import json
import sys
from pathlib import Path

import polars

directory = Path(sys.argv[1])
vectors = [[float((row * 31 + i * 7) % 13 + 1) for i in range(8)] for row in range(1000)]
frame = polars.DataFrame({"emb": vectors}, schema={"emb": polars.List(polars.Float32)})
whole = directory / "truncated.parquet"
frame.write_parquet(whole)
content = whole.read_bytes()
whole.write_bytes(content[: len(content) // 2])

vectors[700] = vectors[700][:7]
mixed = polars.DataFrame({"emb": vectors}, schema={"emb": polars.List(polars.Float32)})
mixed.write_parquet(directory / "mixed.parquet")
print(json.dumps(["truncated.parquet", "mixed.parquet"]))
