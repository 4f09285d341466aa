"""COUNT tasks through huey on SQLite, each commit durable, from the first enqueue to the last one done.
`huey_queue.py FOLDER COUNT`"""
import json
import sys
import threading
import time

from huey import SqliteHuey
from huey.consumer import Consumer

folder, count = sys.argv[1], int(sys.argv[2])
queue = SqliteHuey("bench", filename=f"{folder}/huey.db", fsync=True, results=False)
done, all_done, lock = 0, threading.Event(), threading.Lock()


@queue.task()
def noop():
    global done
    with lock:
        done += 1
        if done == count:
            all_done.set()


consumer = Consumer(queue, workers=2, worker_type="thread", periodic=False, initial_delay=0.01, max_delay=0.05)
# In this thread there are no signals to be handled.
consumer._set_signal_handlers = lambda: None
began = time.monotonic()
threading.Thread(target=consumer.run, daemon=True).start()
for _ in range(count):
    noop()
all_done.wait(300)
print(json.dumps({"rate": done / (time.monotonic() - began)}), flush=True)
import os
os._exit(0)
