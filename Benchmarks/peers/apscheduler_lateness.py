"""COUNT callbacks in this process, due at each full second for SECONDS."""
import datetime
import json
import sys
import time

from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.schedulers.background import BackgroundScheduler

count, seconds = int(sys.argv[1]), int(sys.argv[2])
late = []
scheduler = BackgroundScheduler()
scheduler.add_listener(lambda event: late.append((event.retval - event.scheduled_run_time.timestamp()) * 1e3), EVENT_JOB_EXECUTED)
scheduler.start(paused=True)
# It takes a while to take them all.
begin = int(time.time()) + 3 + count // 1000
for number in range(count):
    scheduler.add_job(time.time, "interval", seconds=1, start_date=datetime.datetime.fromtimestamp(begin),
                      end_date=datetime.datetime.fromtimestamp(begin + seconds - 0.5), id=str(number))
scheduler.resume()
time.sleep(max(0, begin - time.time()))
began = time.process_time()
time.sleep(seconds + 1)
used = time.process_time() - began
late.sort()
due = count * seconds
print(json.dumps({"p50": late[len(late) // 2] if late else 0, "p99": late[len(late) * 99 // 100] if late else 0,
                  "executed": len(late) / due, "cpu": used / due * 1e6}), flush=True)
import os
os._exit(0)
