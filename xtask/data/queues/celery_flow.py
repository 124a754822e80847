"""Celery's own basic flows against a server on the port that is the only argument.

Prints one line per check: `ok NAME` or `failed NAME: why`.
"""

import faulthandler
import os
import subprocess
import sys
import tempfile
import time

os.environ["QUEUES_PORT"] = sys.argv[1]

from celery import chain, chord, group  # noqa: E402

from celery_tasks import add, app, append, boom, flaky, total  # noqa: E402

# Longer than anything here takes, also on a busy machine.
WAIT_S = 40


def until(condition):
    end = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("waited in vain")
        time.sleep(0.02)
    return True


def check(name, run):
    try:
        found = run()
        line = f"ok celery {name}" if found is True else f"failed celery {name}: {found}"
        print(line, flush=True)
    except Exception as error:
        print(f"failed celery {name}: {error!r}", flush=True)


def delayed():
    begun = time.monotonic()
    value = add.apply_async((1, 2), countdown=1).get(timeout=WAIT_S)
    return value == 3 and time.monotonic() - begun >= 1


def failed():
    try:
        boom.delay().get(timeout=WAIT_S)
    except ValueError as error:
        return str(error) == "boom"
    return False


def revoked():
    task = add.apply_async((1, 2), countdown=600)
    until(lambda: app.control.inspect().scheduled())
    task.revoke()
    return until(lambda: any(task.id in ids for ids in app.control.inspect().revoked().values()))


def main():
    faulthandler.dump_traceback_later(2 * WAIT_S, exit=True)
    # Before there is a worker, so that the order is its to choose: 0 is most important.
    for priority in (9, 9, 0):
        append.apply_async((str(priority),), priority=priority)
    with tempfile.TemporaryDirectory() as directory:
        words = "-m celery -A celery_tasks worker -P prefork -l ERROR -Q celery,beat -B -s"
        words = words.split() + [os.path.join(directory, "beat"), "--concurrency", "1"]
        worker = subprocess.Popen([sys.executable] + words, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        try:
            flows(worker)
        finally:
            worker.kill()
            worker.wait()


def flows(worker):
    order = app.backend.client
    check("priorities", lambda: until(lambda: order.llen("order") == 3)
          and order.lrange("order", 0, -1) == [b"0", b"9", b"9"])
    results = [add.delay(i, i) for i in range(50)]
    check("results", lambda: [r.get(timeout=WAIT_S) for r in results] == [2 * i for i in range(50)])
    check("delayed", delayed)
    check("retried", lambda: flaky.delay().get(timeout=WAIT_S) == 2)
    check("failed", failed)
    check("a group", lambda: group(add.s(i, i) for i in range(5))().get(timeout=WAIT_S)
          == [0, 2, 4, 6, 8])
    check("a chain", lambda: chain(add.s(1, 2), add.s(3))().get(timeout=WAIT_S) == 6)
    check("a chord", lambda: chord([add.s(i, i) for i in range(5)])(total.s())
          .get(timeout=WAIT_S) == 20)
    check("the worker answers", lambda: len(app.control.ping(timeout=5)) == 1)
    check("revoked", revoked)
    check("repeated", lambda: until(lambda: int(order.get("repeated") or 0) >= 2))
    app.control.shutdown()
    check("the worker stops", lambda: worker.wait(WAIT_S) == 0)


main()
