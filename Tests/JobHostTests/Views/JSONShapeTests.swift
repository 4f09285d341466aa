import JobConfig
import JobCore
import JobStore
import Testing

@testable import JobHost

/// What programs read, word for word: field names and meanings are a promise.
struct JSONShapeTests {
    @Test func jobsHaveOneShapeInJSON() async throws {
        let text = try await withServer { _, socket, _ in await speak(["show", "candles", "--json", "--socket", socket]).out }
        #expect(
            text == #"""
            {
              "breaker": {
                "failures": 0,
                "reason": "",
                "since": null,
                "state": "closed",
                "until": null
              },
              "concurrency": 1,
              "control": {
                "enabled": null,
                "pause_reason": "",
                "paused": false,
                "paused_since": null,
                "reason": "",
                "since": null
              },
              "counters": {
                "failed": 1,
                "succeeded": 41
              },
              "dead": 0,
              "description": "Rolls trades up into candles.",
              "disabled_reason": "",
              "enabled": true,
              "entry": "roll",
              "health": {
                "grade": "healthy",
                "reasons": []
              },
              "labels": [],
              "last": {
                "attempt": 1,
                "available_at": "2026-05-04T09:59:10.800Z",
                "code": 0,
                "cpu_us": 850000,
                "created_at": "2026-05-04T09:59:10.800Z",
                "duration_us": 1200000,
                "epoch": "e1",
                "expires_at": null,
                "fence": 941,
                "finished_at": "2026-05-04T09:59:12.002Z",
                "fire_time": "2026-05-04T09:59:10.800Z",
                "generation": 4,
                "id": 41,
                "idempotency_key": "candles@2026-05-04T09:59:10.800Z",
                "items": 12,
                "job": "candles",
                "lateness_us": 2000,
                "library_hash": "1a2b3c4d5e6f70819293",
                "max_attempts": 4,
                "outcome": "succeeded",
                "owner": "prod-1",
                "payload": null,
                "pid": 812,
                "priority": 0,
                "reason": "",
                "retry_of": null,
                "started_at": "2026-05-04T09:59:10.802Z",
                "state": "succeeded",
                "trigger": "schedule",
                "unique_key": null,
                "waits_for": null
              },
              "library_hash": "1a2b3c4d5e6f70819293",
              "limits": [
                {
                  "name": "timeout",
                  "value": "30s"
                },
                {
                  "name": "overlap",
                  "value": "skip"
                }
              ],
              "name": "candles",
              "next": {
                "at": "2026-05-04T10:00:12Z",
                "what": "fire"
              },
              "next_fire": "2026-05-04T10:00:12Z",
              "plugin": "market",
              "problems": [],
              "recent_outcomes": [
                "succeeded",
                "nothing_to_do",
                "succeeded",
                "failed",
                "retry",
                "timed_out",
                "crashed",
                "succeeded"
              ],
              "refused": "",
              "running": [],
              "schedule": "every 1m",
              "settings": {
                "batch": 200,
                "rate": 0.10,
                "token": "***"
              },
              "timezone": "UTC",
              "waiting": 0
            }
            
            """#)
    }

    @Test func runsHaveOneShapeInJSON() async throws {
        let text = try await withServer { _, socket, _ in await speak(["show", "39", "--json", "--socket", socket]).out }
        #expect(
            text == #"""
            {
              "attempts": [
                {
                  "attempt": 1,
                  "code": 0,
                  "duration_us": 30000000,
                  "finished_at": "2026-05-04T09:58:50Z",
                  "library_hash": "9f",
                  "outcome": "timed_out",
                  "pid": 800,
                  "reason": "no result within 25s; killed 5s later",
                  "started_at": "2026-05-04T09:58:20Z"
                },
                {
                  "attempt": 4,
                  "code": 0,
                  "duration_us": 1200000,
                  "finished_at": "2026-05-04T09:59:30.002Z",
                  "library_hash": "1a2b3c4d5e6f70819293",
                  "outcome": "crashed",
                  "pid": 812,
                  "reason": "exited by signal 11 (SIGSEGV)",
                  "started_at": "2026-05-04T09:59:28.802Z"
                }
              ],
              "audit": [],
              "ranges": [
                {
                  "count": 55,
                  "first": "2026-05-04T09:50:00Z",
                  "job": "deposits-credit",
                  "last": "2026-05-04T09:59:00Z",
                  "reason": "breaker",
                  "state": "skipped"
                }
              ],
              "retried_as": [],
              "run": {
                "attempt": 4,
                "available_at": "2026-05-04T09:59:28.800Z",
                "code": 0,
                "cpu_us": 850000,
                "created_at": "2026-05-04T09:59:28.800Z",
                "duration_us": 1200000,
                "epoch": "e1",
                "expires_at": null,
                "fence": 939,
                "finished_at": "2026-05-04T09:59:30.002Z",
                "fire_time": "2026-05-04T09:59:28.800Z",
                "generation": 4,
                "id": 39,
                "idempotency_key": "deposits-credit@2026-05-04T09:59:28.800Z",
                "items": 12,
                "job": "deposits-credit",
                "lateness_us": 2000,
                "library_hash": "1a2b3c4d5e6f70819293",
                "max_attempts": 4,
                "outcome": "crashed",
                "owner": "prod-1",
                "payload": null,
                "pid": 812,
                "priority": 0,
                "reason": "exited by signal 11 (SIGSEGV)",
                "retry_of": null,
                "started_at": "2026-05-04T09:59:28.802Z",
                "state": "discarded",
                "trigger": "schedule",
                "unique_key": null,
                "waits_for": null
              },
              "running": null
            }
            
            """#)
    }

    @Test func reportsHaveOneShapeInJSON() async throws {
        let text = try await withServer { _, socket, _ in await speak(["plan", "--json", "--socket", socket]).out }
        #expect(
            text == #"""
            {
              "accepted": true,
              "at": "2026-05-04T10:00:00Z",
              "clean": false,
              "duration_ms": 120,
              "errors": [],
              "generation": 5,
              "host": [],
              "jobs": [
                {
                  "change": "changed",
                  "detail": "schedule",
                  "name": "candles",
                  "serves": true
                },
                {
                  "change": "added",
                  "detail": "",
                  "name": "fees",
                  "serves": true
                },
                {
                  "change": "removed",
                  "detail": "",
                  "name": "old",
                  "serves": false
                },
                {
                  "change": "kept",
                  "detail": "",
                  "name": "mint",
                  "serves": true
                },
                {
                  "change": "refused",
                  "detail": "the library refused its settings: 'rate' must be positive",
                  "name": "deposits-credit",
                  "serves": false
                }
              ],
              "jobs_before": 0,
              "plugins": [
                {
                  "change": "changed",
                  "detail": "library 1a2b3c → 4d5e6f",
                  "name": "market",
                  "serves": null
                }
              ],
              "warnings": [
                "jobs.toml:3:1: 'jitter' is longer than 'every'"
              ]
            }
            
            """#)
    }
}
