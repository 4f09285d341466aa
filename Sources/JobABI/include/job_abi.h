/*
 * job_abi.h - the whole contract between a job plugin and the host.
 *
 * A plugin is a shared library that exports one function, job_plugin_v1(). It needs
 * this header and nothing else. docs/PLUGINS.md walks through a first plugin.
 *
 * HOW A PLUGIN IS USED
 *   The host starts a worker process and loads ONE plugin into it. In that process:
 *
 *     job_plugin_v1()                 once; the descriptor is read and checked
 *       entry->validate(...)          any number of times, before or between runs
 *       entry->create(...)            once per job and settings, before its first run
 *         entry->run(...)             one run at a time, again and again
 *         entry->doctor(...)          in a worker of its own that runs nothing; so is schema(...)
 *       entry->destroy(...)           when the worker retires in order
 *
 *   Workers come and go: several may serve one plugin at the same time, each with its
 *   own memory, and any of them may be killed at any instant. What must outlive a run
 *   belongs into a database or into state_put(), never into a global variable.
 *
 * THREADS
 *   The host calls every function of the plugin on the process's main thread, one call
 *   at a time: authors write plain sequential code. A plugin may start threads of its
 *   own; it joins them, or parks them, before run() returns. Functions the plugin calls
 *   (members of job_host, job_context, job_error, job_findings and extensions) may be called from any
 *   thread, from the beginning of the plugin's function they were handed to until that
 *   function returns, and not from signal handlers.
 *
 * MEMORY
 *   What one side passes is borrowed: it stays valid until the called function returns,
 *   and the receiver copies what it keeps. Nothing is freed across the boundary.
 *   Descriptors (job_plugin, job_entry and the text they point to) are static: they stay
 *   valid and unchanged for the life of the process.
 *
 * TEXT
 *   job_str: UTF-8, pointer and length, not NUL-terminated, without NUL bytes.
 *   Length 0 is "none"; the pointer may then be NULL.
 *
 * TIME
 *   Instants are microseconds since 1970-01-01T00:00:00Z (POSIX time), names end in _us.
 *
 * GROWTH
 *   Every struct begins with struct_size, set by its owner to sizeof of what it was
 *   compiled with. Later revisions append members, never remove or reorder any.
 *   Before reading a member that this revision does not have, ask JOB_HAS(pointer, member).
 *   Set members by name, not by position (in C++17 on a struct of zeros): what compiles today
 *   then compiles with a later revision of this header, too.
 *   job_str alone is frozen and has no struct_size. An incompatible contract would be
 *   job_plugin_v2; one library may export both.
 */
#ifndef JOB_ABI_H
#define JOB_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The contract's major version: the number in job_plugin_v1. */
#define JOB_ABI_VERSION 1

/* Marks job_plugin_v1 as exported, whatever visibility the library is compiled with. */
#define JOB_EXPORT __attribute__((visibility("default")))

/* Whether the struct that `pointer` points to is large enough to contain `member`. */
#define JOB_HAS(pointer, member) \
    ((pointer)->struct_size >= \
     (uint32_t)((const char *)(&(pointer)->member + 1) - (const char *)(pointer)))

/* ---------------------------------------------------------------- text */

typedef struct job_str {
    const char *data;
    uint64_t    size; /* bytes */
} job_str;

/* A literal as an initializer: `.id = JOB_STR_INIT("hello")`. */
#define JOB_STR_INIT(literal) { literal, sizeof(literal) - 1 }
/* A literal as an expression: `context->log(context, JOB_LOG_INFO, JOB_STR("hi"), JOB_NONE)`. */
#ifdef __cplusplus
#define JOB_STR(literal) (job_str{literal, sizeof(literal) - 1})
#define JOB_NONE         (job_str{nullptr, 0})
#else
#define JOB_STR(literal) ((job_str){literal, sizeof(literal) - 1})
#define JOB_NONE         ((job_str){NULL, 0})
#endif

/* ---------------------------------------------------------------- codes */

/* What run() returns. Any other value counts as JOB_FAILED. */
#define JOB_SUCCEEDED     0
/* A success that found nothing to do. Say why with context->summary(). */
#define JOB_NOTHING_TO_DO 1
/* Failed, and trying again may help (a peer is down, a lock was busy): the job's retry
   policy decides. retry_not_before() sets an earliest instant. */
#define JOB_RETRY         2
/* Failed for good: trying again would fail again. */
#define JOB_FAILED        3
/* Run me again at the instant given to snooze_until(); costs no attempt. Without an
   instant it counts as JOB_FAILED. */
#define JOB_SNOOZE        4
/* Stopped early because is_cancelled() said so. */
#define JOB_CANCELLED     5
/* These settings can never work: the job is disabled, visibly, until the next reload. */
#define JOB_BAD_SETTINGS  6

/* What host functions return where the comment says so. */
#define JOB_OK           0
#define JOB_E_INVALID   (-1) /* a NULL, text that is not UTF-8, an empty name, an unknown constant */
#define JOB_E_TOO_LARGE (-2) /* longer than the limit the function documents */
#define JOB_E_LIMIT     (-3) /* too many of them in one run */

/* job_entry.flags */
#define JOB_ENTRY_IDEMPOTENT  1u /* running it twice does no harm: crashed, timed-out and lost
                                    attempts may be retried */
#define JOB_ENTRY_CANCELLABLE 2u /* run() looks at is_cancelled() or cancel_fd() */

/* Levels of log(). */
#define JOB_LOG_DEBUG    1
#define JOB_LOG_INFO     2
#define JOB_LOG_WARNING  3
#define JOB_LOG_ERROR    4
#define JOB_LOG_CRITICAL 5

/* Levels of job_findings.add(). */
#define JOB_FINDING_OK      1 /* looked at, and well */
#define JOB_FINDING_WARNING 2 /* the job works, but somebody should look */
#define JOB_FINDING_ERROR   3 /* the job cannot do its work, or does it wrongly */

/* When state_put() takes effect. */
#define JOB_STATE_ON_SUCCESS 0 /* when the run succeeds or finds nothing to do */
#define JOB_STATE_ALWAYS     1 /* whatever run() returns: for breakers and limits a plugin keeps */

/* Limits the host enforces, in bytes unless said otherwise. */
#define JOB_MAX_ID            64      /* ids of plugins and entries */
#define JOB_MAX_ENTRIES       256     /* entries of one plugin */
#define JOB_MAX_TEXT          8192    /* one log line, summary, failure text; longer is cut */
#define JOB_MAX_FIELDS        8192    /* JSON fields of one log line */
#define JOB_MAX_SCHEMA        65536   /* each JSON Schema of an entry */
#define JOB_MAX_STATE         262144  /* one state blob */
#define JOB_MAX_PAYLOAD       262144  /* one payload */
#define JOB_MAX_KEY           512     /* a unique key, a job's name */
#define JOB_MAX_ENQUEUES      10000   /* enqueue() calls in one run … */
#define JOB_MAX_ENQUEUE_BYTES 8388608 /* … and their payloads together */
#define JOB_MAX_FINDINGS      200     /* findings of one doctor() */

/* remaining_ms() of a run without a limit. */
#define JOB_NO_LIMIT INT64_MAX

typedef struct job_plugin   job_plugin;
typedef struct job_entry    job_entry;
typedef struct job_host     job_host;
typedef struct job_error    job_error;
typedef struct job_context  job_context;
typedef struct job_findings job_findings;
typedef struct job_metrics  job_metrics;

/* ---------------------------------------------------------------- the host's side */

/* The process that loaded the plugin. Owned by the host, valid for the process's life. */
struct job_host {
    uint32_t struct_size;
    uint32_t reserved; /* 0 */
    /* The plugin's name in the host's config, which may differ from job_plugin.id. */
    job_str name;
    /* The host's own; plugins leave it alone. */
    void *host_data;

    /* An optional part of the host by its id, which carries its revision and is never
       renamed ("jobhost.metrics/1"). Returns a pointer to the extension's struct, valid
       for the process's life, or NULL: this host does not have it, do without. */
    const void *(*get_extension)(const job_host *host, job_str id);
};

/* Receives the reason of a refusal. Valid until the function it was passed to returns. */
struct job_error {
    uint32_t struct_size;
    uint32_t reserved; /* 0 */
    void *host_data;

    /* Sets the reason, one sentence for a human, copied, cut at JOB_MAX_TEXT.
       The last call wins. */
    void (*set)(const job_error *error, job_str reason);
};

/* Receives what doctor() finds. Valid until doctor() returns. */
struct job_findings {
    uint32_t struct_size;
    uint32_t reserved; /* 0 */
    void *host_data;

    /* Tells one finding. `subject`: one or two words for what was looked at ("pairs"), the
       same every time, cut at JOB_MAX_ID. `text`: one sentence for a human, with numbers and,
       unless all is well, what to do; cut at JOB_MAX_TEXT. Both are copied, invalid UTF-8 is
       replaced; an unknown `level` counts as JOB_FINDING_ERROR. Told at once: what was told
       before a crash is kept. Those beyond JOB_MAX_FINDINGS are counted, not kept. */
    void (*add)(const job_findings *findings, int32_t level, job_str subject, job_str text);
};

/* One run, as the plugin sees it. Valid, with all text in it, until run() returns. In
   doctor() there is no run: see there. */
struct job_context {
    uint32_t struct_size;
    uint32_t attempt;      /* one try of the run, from 1 */
    int64_t  run_id;       /* positive, unique in this host's ledger */
    int64_t  fire_time_us; /* the nominal instant, not the real one: compute periods from it */
    int64_t  deadline_us;  /* the instant at which the run is asked to stop; 0: no limit */
    /* A number that rises with every attempt in the whole installation. Written beside
       external effects, it lets the receiver refuse an attempt that was given up. */
    int64_t  fence;
    /* Identity of the cause: the same for every retry of it. For guarding effects that
       must happen once. */
    job_str  idempotency_key;
    /* Why the run exists: schedule, catch_up, manual, enqueued, backfill, retry_of, start,
       after; `doctor` in doctor(). Later hosts may have more. */
    job_str  trigger;
    job_str  job;     /* the job's name in the config */
    job_str  payload; /* JSON; empty: none */
    const job_host *host;
    void *host_data; /* the host's own; plugins leave it alone */

    /* 1 once the run is to stop (its time is up, an operator cancelled it, the host is
       stopping), else 0. Cheap: ask between items. A run that goes on is killed after the
       job's kill_grace. */
    int32_t (*is_cancelled)(const job_context *context);

    /* A descriptor that becomes readable (POLLIN) when is_cancelled() becomes 1: for
       poll() beside a socket. The host's: neither read nor close it. -1: the process has
       run out of descriptors. */
    int32_t (*cancel_fd)(const job_context *context);

    /* Milliseconds until the deadline on the monotonic clock: 0 once it has passed,
       JOB_NO_LIMIT without one. */
    int64_t (*remaining_ms)(const job_context *context);

    /* How far the run is: `done` of `total` (0: unknown), and what it is doing. Also the
       sign of life a job's `heartbeat` waits for. May be called as often as one likes:
       what comes faster than 20 a second is coalesced. */
    void (*progress)(const job_context *context, uint64_t done, uint64_t total, job_str text);

    /* One line of the run's log. `fields`: a JSON object, or none. Text beyond JOB_MAX_TEXT
       is cut, fields beyond JOB_MAX_FIELDS are left out, invalid UTF-8 is replaced; an
       unknown level counts as JOB_LOG_INFO. What the plugin prints to stdout and stderr
       becomes part of the same log. */
    void (*log)(const job_context *context, int32_t level, job_str text, job_str fields);

    /* One sentence about the outcome, for the ledger: "Checked 5 deposits: 3 updated", or
       why there was nothing to do. Copied; the last call (of this or of fail) wins. */
    void (*summary)(const job_context *context, job_str text);

    /* Why the run fails: a code of the plugin's own choosing (0: none) and one sentence.
       Copied; the last call wins. The outcome is still what run() returns. */
    void (*fail)(const job_context *context, int32_t code, job_str text);

    /* The job's state as it was when this run began; state_put() does not change what it
       returns. Returns 1 and sets both, or 0 when there is none yet (version 0, no bytes).
       The bytes are valid until run() returns. Either pointer may be NULL. */
    int32_t (*state_get)(const job_context *context, uint32_t *version, job_str *bytes);

    /* Replaces the job's state when the outcome is recorded (`when`: JOB_STATE_…); the last
       call for each `when` wins. Bytes of any kind, at most JOB_MAX_STATE; version ≥ 1, the
       plugin's own. Returns JOB_OK, JOB_E_INVALID or JOB_E_TOO_LARGE. */
    int32_t (*state_put)(const job_context *context, uint32_t version, job_str bytes, int32_t when);

    /* Adds to the number of items this run has worked on. Feeds rates and adaptive
       schedules. */
    void (*items)(const job_context *context, uint64_t count);

    /* Asks for a run of another job (or of this one), committed together with this run's
       outcome, if that is a success: all or none. `payload`: JSON, or none. `key`: while a
       run with this key is live in that job, no second one is made; none: no such check.
       `at_us`: not before this instant; 0: at once.
       Returns JOB_OK, JOB_E_INVALID, JOB_E_TOO_LARGE, or JOB_E_LIMIT
       (JOB_MAX_ENQUEUES, JOB_MAX_ENQUEUE_BYTES). */
    int32_t (*enqueue)(const job_context *context, job_str job, job_str payload, job_str key, int64_t at_us);

    /* For JOB_SNOOZE: when to run again. */
    void (*snooze_until)(const job_context *context, int64_t at_us);

    /* For JOB_RETRY: not before this instant (a peer's Retry-After), however soon the
       retry policy would try. */
    void (*retry_not_before)(const job_context *context, int64_t at_us);
};

/* ---------------------------------------------------------------- the plugin's side */

/* One function of a plugin that can be run. Static. */
struct job_entry {
    uint32_t struct_size;
    uint32_t flags;         /* JOB_ENTRY_… */
    uint32_t state_version; /* the newest version of the state blob it writes; 0: keeps none */
    uint32_t reserved;      /* 0 */
    /* [a-z0-9][a-z0-9_-]*, at most JOB_MAX_ID, unique in the plugin. */
    job_str id;
    job_str description;     /* one sentence */
    job_str default_schedule; /* "every 10s", "cron 0 * * * * *"; none: the config says when */
    job_str settings_schema; /* JSON Schema (an object); none: any object is accepted */
    job_str payload_schema;  /* JSON Schema; none: any payload is accepted */
    const void *data;        /* the plugin's own; the host leaves it alone */

    /* Looks at settings (a JSON object) without effects and without reaching out to
       anything: the host asks in `check`, at start and at reload. Returns JOB_SUCCEEDED, or
       JOB_BAD_SETTINGS after error->set(). NULL: whatever fits the schema is accepted. */
    int32_t (*validate)(const job_entry *entry, job_str settings, const job_error *error);

    /* Makes the instance that runs (or the doctor) of one job with these settings share. Returns
       JOB_SUCCEEDED with *instance set (NULL is allowed), or after error->set():
       JOB_BAD_SETTINGS, JOB_RETRY (asked again at the next attempt) or JOB_FAILED; then
       *instance is not looked at. NULL: the instance is NULL. */
    int32_t (*create)(
        const job_entry *entry, const job_host *host, job_str settings, const job_error *error,
        void **instance);

    /* Does the work. Required. Returns one of JOB_SUCCEEDED … JOB_BAD_SETTINGS. May block.
       Calling exit(), throwing past this function or crashing ends the worker and counts
       as a crash of this run. */
    int32_t (*run)(void *instance, const job_context *context);

    /* Releases an instance. Not called when the worker is killed. NULL: nothing to release. */
    void (*destroy)(void *instance);

    /* Looks at what one would look at by hand when the job does not do what it should (is the
       database there? are there pairs? does the peer answer?) and tells it to `findings`. For
       `jobhost doctor JOB`: on the main thread of a worker that executes no run, on an instance
       made for this. Must have NO effects: whoever asks may do so at any time, beside a host
       that runs the job.
       `context` has the job's name, the present instant as fire_time_us, the limits
       (deadline_us, remaining_ms(), is_cancelled(), cancel_fd()) and fail(). There is no run:
       run_id and fence are 0, there is no payload and no state; state_put() and enqueue()
       return JOB_E_INVALID, the rest has no effect.
       Returns JOB_SUCCEEDED when it has looked at everything, whatever it found; any other
       value, with the reason given to fail(), says that it could not, which is an error
       finding, as are a crash and not returning in time. NULL, or not in a plugin's struct_size:
       the job has no checks of its own. */
    int32_t (*doctor)(void *instance, const job_context *context, const job_findings *findings);

    /* Answers `jobhost schema`: which tables the job needs in the database that its settings name.
       `request`: a JSON object. `action`: "print" tells the SQL of each object, "grants" the rights
       the job needs, "check" what is missing or differs, "apply" makes what is missing; it alone has
       effects. `dialect` ("sqlite", "postgresql"; absent: the database's), `simulation` (a boolean:
       what only a simulation needs, too), `role` (who gets the rights; absent: a name of the plugin's
       choosing). To findings goes one finding for each object: `subject` is its kind and name ("table
       candles", the same from every job that needs it), `text` its SQL or what is to be said of it.
       The rest is as in doctor(). NULL, or not in a plugin's struct_size: it needs no tables. */
    int32_t (*schema)(
        void *instance, const job_context *context, job_str request, const job_findings *findings);
};

/* A plugin's description of itself. Static. */
struct job_plugin {
    uint32_t struct_size;
    uint32_t entry_count; /* 1 … JOB_MAX_ENTRIES */
    job_str id;           /* [a-z0-9][a-z0-9_-]*, at most JOB_MAX_ID */
    job_str version;      /* the plugin's own, any text up to JOB_MAX_ID */
    job_str description;  /* one sentence */

    /* The entry at index 0 … entry_count - 1; never NULL for those. An index function, not
       an array, so that job_entry can grow. */
    const job_entry *(*entry)(uint32_t index);
};

/* The one symbol a plugin exports. Called once, right after loading, on the main thread.
   Returns the static descriptor; NULL: the library refuses to be used. */
JOB_EXPORT const job_plugin *job_plugin_v1(void);

/* ---------------------------------------------------------------- extensions */

/* Numbers for the host's metrics page. The host adds plugin and job; it keeps at most a
   bounded number of series per job and drops more. */
#define JOB_EXT_METRICS "jobhost.metrics/1"

/* In each function: `name` is [a-zA-Z_][a-zA-Z0-9_]*; `labels` points to label_count pairs
   (name, value, name, value, …), at most 8 pairs, NULL with 0. Each name and value at most
   JOB_MAX_ID bytes. Return JOB_OK, JOB_E_INVALID (also for NaN and infinity) or
   JOB_E_TOO_LARGE. */
struct job_metrics {
    uint32_t struct_size;
    uint32_t reserved; /* 0 */
    /* Adds `delta` ≥ 0. */
    int32_t (*counter)(const job_context *context, job_str name, const job_str *labels, uint32_t label_count, double delta);
    /* Sets. */
    int32_t (*gauge)(const job_context *context, job_str name, const job_str *labels, uint32_t label_count, double value);
    /* Observes one value. */
    int32_t (*histogram)(const job_context *context, job_str name, const job_str *labels, uint32_t label_count, double value);
};

#ifdef __cplusplus
}
#endif

#endif /* JOB_ABI_H */
