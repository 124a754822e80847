"""What rq's workers run."""

import time


def add(a, b):
    return a + b


def note(text):
    return text


def boom():
    raise ValueError("boom")


def forever():
    time.sleep(600)
