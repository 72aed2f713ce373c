"""The functions. They are the same with RQ and with workmanager."""

from collections import Counter


def count_words(text: str, top: int = 3) -> list[list[str | int]]:
    return [[word, count] for word, count in Counter(text.lower().split()).most_common(top)]
