import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Arrays;
import java.util.Locale;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** COUNT tasks in this process, due at each full second for SECONDS: `java JdkLateness.java COUNT SECONDS`. */
class JdkLateness {
    public static void main(String[] words) throws Exception {
        int count = Integer.parseInt(words[0]), seconds = Integer.parseInt(words[1]);
        long second = 1_000_000_000L;
        long[] late = new long[count * seconds];
        var executed = new AtomicInteger();
        var pool = new ScheduledThreadPoolExecutor(Runtime.getRuntime().availableProcessors());
        // The first full second after all have been taken, on the clock that the executor goes by.
        long now = ChronoUnit.NANOS.between(Instant.EPOCH, Instant.now());
        long begin = System.nanoTime() + (now / second + 3 + count / 10_000) * second - now;
        for (int number = 0; number < count; number++) {
            pool.scheduleAtFixedRate(new Runnable() {
                private long due = begin;

                @Override
                public void run() {
                    if (due >= begin + seconds * second) return;
                    late[executed.getAndIncrement()] = System.nanoTime() - due;
                    due += second;
                }
            }, begin - System.nanoTime(), second, TimeUnit.NANOSECONDS);
        }
        var system = (com.sun.management.OperatingSystemMXBean) java.lang.management.ManagementFactory.getOperatingSystemMXBean();
        TimeUnit.NANOSECONDS.sleep(begin - System.nanoTime());
        long used = system.getProcessCpuTime();
        TimeUnit.NANOSECONDS.sleep(begin + (seconds + 1) * second - System.nanoTime());
        used = system.getProcessCpuTime() - used;
        int done = executed.get();
        Arrays.sort(late, 0, done);
        System.out.printf(Locale.ROOT, "{\"p50\": %.3f, \"p99\": %.3f, \"executed\": %f, \"cpu\": %.1f}%n", late[done / 2] / 1e6,
                late[(int) (done * 99L / 100)] / 1e6, (double) done / late.length, used / 1e3 / late.length);
        System.exit(0);
    }
}
