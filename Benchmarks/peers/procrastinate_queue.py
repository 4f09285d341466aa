"""COUNT tasks through procrastinate, from the first enqueue to the last one done; then how soon one starts when
idle. `procrastinate_queue.py URL COUNT`"""
import asyncio
import json
import logging
import sys
import time

import procrastinate

url, count = sys.argv[1], int(sys.argv[2])
logging.disable(logging.CRITICAL)
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))
late = []


@app.task
async def noop(at):
    late.append((time.time() - at) * 1e3)


async def main():
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        began = time.monotonic()
        worker = asyncio.create_task(app.run_worker_async(concurrency=16, install_signal_handlers=False))
        for start in range(0, count, 1000):
            await noop.batch_defer_async(*({"at": time.time()} for _ in range(min(1000, count - start))))
        while len(late) < count and time.monotonic() - began < 300:
            await asyncio.sleep(0.01)
        rate = len(late) / (time.monotonic() - began)
        await asyncio.sleep(1)
        late.clear()
        for _ in range(200):
            await noop.defer_async(at=time.time())
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        late.sort()
        print(json.dumps({"rate": rate, "p50": late[len(late) // 2], "p99": late[len(late) * 99 // 100]}), flush=True)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


asyncio.run(main())
