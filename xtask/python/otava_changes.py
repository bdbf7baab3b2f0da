"""Change points of series as Apache Otava finds them.

otava_changes.py SERIES.json P, the file a list of lists of numbers, P the significance; prints a list of lists of indexes, each the
first value after a change. All else as Otava has it by default.
"""

import json
import sys

from otava.analysis import compute_change_points


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        series = json.load(file)
    p_value = float(sys.argv[2])
    found = [[int(change.index) for change in compute_change_points(values, max_pvalue=p_value)[0]] for values in series]
    print(json.dumps(found))


main()
