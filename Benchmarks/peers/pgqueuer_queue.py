"""COUNT tasks through pgqueuer, from the first enqueue to the last one done; then how soon one starts when idle.
`pgqueuer_queue.py URL COUNT`"""
import asyncio
import datetime
import json
import logging
import os
import sys
import time

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.queries import Queries

url, count = sys.argv[1], int(sys.argv[2])
logging.disable(logging.CRITICAL)


async def main():
    connection, other = await asyncpg.connect(url), await asyncpg.connect(url)
    queries = Queries(AsyncpgDriver(other))
    await queries.install()
    queuer, late = PgQueuer(AsyncpgDriver(connection)), []

    @queuer.entrypoint("noop")
    async def noop(job):
        late.append((time.time() - float(job.payload)) * 1e3)

    began = time.monotonic()
    worker = asyncio.create_task(queuer.run(batch_size=100, dequeue_timeout=datetime.timedelta(seconds=1)))
    for start in range(0, count, 1000):
        size = min(1000, count - start)
        await queries.enqueue(["noop"] * size, [str(time.time()).encode()] * size, [0] * size)
    while len(late) < count and time.monotonic() - began < 300:
        await asyncio.sleep(0.01)
    rate = len(late) / (time.monotonic() - began)
    await asyncio.sleep(1)
    late.clear()
    for _ in range(200):
        await queries.enqueue("noop", str(time.time()).encode())
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    late.sort()
    print(json.dumps({"rate": rate, "p50": late[len(late) // 2], "p99": late[len(late) * 99 // 100]}), flush=True)
    worker.cancel()
    os._exit(0)


asyncio.run(main())
