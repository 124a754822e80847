"""An application that finds its servers through Sentinel. Usage: follow.py SENTINEL_PORT NAME

Reads a command per line (`set KEY VALUE` to the primary, `get KEY` from it, `read KEY` from a
replica) and prints the answer. What fails because the servers change their roles is tried again.
"""

import sys
import time

import redis
from redis.sentinel import Sentinel

PATIENCE_SECONDS = 30

sentinel = Sentinel([("127.0.0.1", int(sys.argv[1]))], socket_timeout=1)
primary = sentinel.master_for(sys.argv[2], socket_timeout=1)
replica = sentinel.slave_for(sys.argv[2], socket_timeout=1)


def run(words):
    if words[0] == "set":
        return primary.set(words[1], words[2])
    client = primary if words[0] == "get" else replica
    return client.get(words[1])


for line in sys.stdin:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            answer = run(line.split())
            break
        except redis.RedisError as error:
            # Among them those of Sentinel: no primary or replica at the moment.
            answer = f"failed: {error!r}"
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
    if isinstance(answer, bytes):
        answer = answer.decode()
    print(answer, flush=True)
