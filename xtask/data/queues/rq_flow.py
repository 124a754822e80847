"""rq's own basic flows against a server on the port that is the only argument.

Prints one line per check: `ok NAME` or `failed NAME: why`.
"""

import faulthandler
import subprocess
import sys
import time
from datetime import timedelta

import redis
from rq import Queue, Repeat, Retry, Worker
from rq.command import send_shutdown_command, send_stop_job_command

import rq_tasks

PORT = int(sys.argv[1])
# Longer than anything here takes, also on a busy machine.
WAIT_S = 40

WORKER = """
import sys
import redis
from rq import Queue, SimpleWorker, Worker
connection = redis.Redis(port=int(sys.argv[1]))
kind = SimpleWorker if sys.argv[2] == "simple" else Worker
queues = [Queue(name, connection=connection) for name in ("high", "low")]
kind(queues, connection=connection, name=sys.argv[3]).work(with_scheduler=True)
"""


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
        print(f"ok rq {name}" if found is True else f"failed rq {name}: {found}", flush=True)
    except Exception as error:
        print(f"failed rq {name}: {error!r}", flush=True)


def main():
    faulthandler.dump_traceback_later(2 * WAIT_S, exit=True)
    connection = redis.Redis(port=PORT)
    high = Queue("high", connection=connection)
    low = Queue("low", connection=connection)
    # Before there are workers, so that the order is theirs to choose.
    order = [low.enqueue(rq_tasks.note, "low"), high.enqueue(rq_tasks.note, "high")]
    jobs = [high.enqueue(rq_tasks.add, i, i) for i in range(50)]
    bad = high.enqueue(rq_tasks.boom, retry=Retry(max=2))
    dependent = high.enqueue(rq_tasks.add, 1, 2, depends_on=jobs[0])
    begun = time.time()
    late = high.enqueue_in(timedelta(seconds=1), rq_tasks.add, 5, 6)
    repeated = high.enqueue(rq_tasks.note, "again", repeat=Repeat(times=2, interval=1))
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(PORT), kind, kind],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for kind in ("simple", "forking")
    ]

    def ends_as(job, status):
        until(lambda: job.get_status(refresh=True) == status)
        job.refresh()
        return True

    def delayed():
        # rq counts in whole seconds.
        ends_as(late, "finished")
        return late.return_value() == 11 and late.ended_at.timestamp() >= int(begun + 1)

    def stopped():
        job = low.enqueue(rq_tasks.forever)
        # Only a worker that runs jobs in another process can stop them.
        until(lambda: job.get_status(refresh=True) == "started")
        if job.worker_name == "simple":
            return "the wrong worker took it"
        send_stop_job_command(connection, job.id)
        return ends_as(job, "stopped")

    def shut_down(names):
        for name in names:
            send_shutdown_command(connection, name)

    check("results", lambda: until(lambda: all(j.get_status() == "finished" for j in jobs))
          and [j.return_value() for j in jobs] == [2 * i for i in range(50)])
    check("a job that depends on another", lambda: ends_as(dependent, "finished")
          and dependent.return_value() == 3)
    check("retried, and failed in the end", lambda: ends_as(bad, "failed")
          and bad.retries_left == 0 and len(high.failed_job_registry) == 1)
    check("priorities", lambda: all(ends_as(job, "finished") for job in order)
          and order[1].started_at <= order[0].started_at)
    check("delayed", delayed)
    check("repeated", lambda: until(lambda: len(repeated.results()) == 3))
    shut_down(["simple"])
    check("a worker stops", lambda: workers[0].wait(WAIT_S) == 0)
    check("a job is stopped", stopped)
    check("workers are known", lambda: [w.name for w in Worker.all(connection)] == ["forking"])
    shut_down(["forking"])
    check("the other worker stops", lambda: workers[1].wait(WAIT_S) == 0)
    for worker in workers:
        worker.kill()


main()
