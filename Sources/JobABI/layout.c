/*
 * Freezes the layout of revision 1 on 64-bit machines: a reordered or widened member stops
 * the build instead of reaching a plugin that was compiled years ago. New members append
 * and get their own line; existing lines never change.
 */
#include "job_abi.h"

#define AT(type, member, offset) \
    _Static_assert(offsetof(type, member) == (offset), #type "." #member " has moved")

_Static_assert(sizeof(void *) == 8, "the layout below is that of 64-bit machines");
_Static_assert(sizeof(job_str) == 16, "job_str is frozen");

AT(job_host, struct_size, 0);
AT(job_host, name, 8);
AT(job_host, host_data, 24);
AT(job_host, get_extension, 32);

AT(job_error, struct_size, 0);
AT(job_error, host_data, 8);
AT(job_error, set, 16);

AT(job_findings, struct_size, 0);
AT(job_findings, host_data, 8);
AT(job_findings, add, 16);

AT(job_context, struct_size, 0);
AT(job_context, attempt, 4);
AT(job_context, run_id, 8);
AT(job_context, fire_time_us, 16);
AT(job_context, deadline_us, 24);
AT(job_context, fence, 32);
AT(job_context, idempotency_key, 40);
AT(job_context, trigger, 56);
AT(job_context, job, 72);
AT(job_context, payload, 88);
AT(job_context, host, 104);
AT(job_context, host_data, 112);
AT(job_context, is_cancelled, 120);
AT(job_context, cancel_fd, 128);
AT(job_context, remaining_ms, 136);
AT(job_context, progress, 144);
AT(job_context, log, 152);
AT(job_context, summary, 160);
AT(job_context, fail, 168);
AT(job_context, state_get, 176);
AT(job_context, state_put, 184);
AT(job_context, items, 192);
AT(job_context, enqueue, 200);
AT(job_context, snooze_until, 208);
AT(job_context, retry_not_before, 216);

AT(job_entry, struct_size, 0);
AT(job_entry, flags, 4);
AT(job_entry, state_version, 8);
AT(job_entry, id, 16);
AT(job_entry, description, 32);
AT(job_entry, default_schedule, 48);
AT(job_entry, settings_schema, 64);
AT(job_entry, payload_schema, 80);
AT(job_entry, data, 96);
AT(job_entry, validate, 104);
AT(job_entry, create, 112);
AT(job_entry, run, 120);
AT(job_entry, destroy, 128);
AT(job_entry, doctor, 136);
AT(job_entry, schema, 144);

AT(job_plugin, struct_size, 0);
AT(job_plugin, entry_count, 4);
AT(job_plugin, id, 8);
AT(job_plugin, version, 24);
AT(job_plugin, description, 40);
AT(job_plugin, entry, 56);

AT(job_metrics, struct_size, 0);
AT(job_metrics, counter, 8);
AT(job_metrics, gauge, 16);
AT(job_metrics, histogram, 24);
