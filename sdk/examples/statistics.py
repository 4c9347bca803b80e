"""Functions for `errand run`; they need nothing but Python.

    npx errand run -e local sdk/examples/statistics.py:mean '[[1, 2, 3]]'
"""


def mean(values):
    return sum(values) / len(values)


def histogram(values, width):
    """How many values fall into each interval of this width; prints a picture on the way."""
    counts = {}
    for value in values:
        start = value // width * width
        counts[start] = counts.get(start, 0) + 1
    for start in sorted(counts):
        print(f"{start:>8}  {'#' * counts[start]}")
    return [[start, counts[start]] for start in sorted(counts)]
