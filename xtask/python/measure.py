"""Runs a program and writes what it cost: time, CPU time and peak memory, as wait4(2) tells them.

measure.py REPORT.json PROGRAM WORD ...

The program's output is not touched; its exit code is in the report.
"""

import json
import os
import sys
import time


def main():
    report, *words = sys.argv[1:]
    started = time.perf_counter()
    pid = os.posix_spawnp(words[0], words, os.environ)
    _, status, used = os.wait4(pid, 0)
    measured = {
        "exit_code": os.waitstatus_to_exitcode(status),
        "seconds": time.perf_counter() - started,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        # Linux counts in KiB. It is at least what this small interpreter had when it forked.
        "peak_rss_bytes": used.ru_maxrss * 1024,
    }
    with open(report, "w", encoding="utf-8") as file:
        json.dump(measured, file)


main()
