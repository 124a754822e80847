"""Celery's application: imported by its worker and by the flow."""

import os

from celery import Celery

PORT = os.environ["QUEUES_PORT"]

app = Celery(
    "queues",
    broker=f"redis://127.0.0.1:{PORT}/1",
    backend=f"redis://127.0.0.1:{PORT}/2",
)
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_prefetch_multiplier = 1
app.conf.broker_transport_options = {"queue_order_strategy": "priority", "priority_steps": [0, 9]}
app.conf.task_routes = {"queues.repeated": {"queue": "beat"}}
app.conf.beat_schedule = {"again": {"task": "queues.repeated", "schedule": 0.5}}


@app.task(name="queues.add")
def add(a, b):
    return a + b


@app.task(name="queues.total")
def total(numbers):
    return sum(numbers)


@app.task(name="queues.flaky", bind=True, max_retries=2, default_retry_delay=0.2)
def flaky(self):
    if self.request.retries < 2:
        raise self.retry()
    return self.request.retries


@app.task(name="queues.boom")
def boom():
    raise ValueError("boom")


@app.task(name="queues.append")
def append(text):
    app.backend.client.rpush("order", text)


@app.task(name="queues.repeated")
def repeated():
    app.backend.client.incr("repeated")
