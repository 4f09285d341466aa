// A plugin in Rust, without crates: only the members that it uses are spelled out.
//
//   rustc -O --edition 2021 --crate-type cdylib -C panic=abort -o libHelloRust.so Examples/hello-rust/hello.rs
use std::ffi::c_void;

#[repr(C)] #[derive(Clone, Copy)]
pub struct JobStr { data: *const u8, size: u64 }
const fn text(s: &'static str) -> JobStr { JobStr { data: s.as_ptr(), size: s.len() as u64 } }
const NONE: JobStr = JobStr { data: std::ptr::null(), size: 0 };

#[repr(C)]
pub struct JobContext {
    struct_size: u32, attempt: u32,
    run_id: i64, fire_time_us: i64, deadline_us: i64, fence: i64,
    idempotency_key: JobStr, trigger: JobStr, job: JobStr, payload: JobStr,
    host: *const c_void, host_data: *mut c_void,
    is_cancelled: extern "C" fn(*const JobContext) -> i32,
    cancel_fd: extern "C" fn(*const JobContext) -> i32,
    remaining_ms: extern "C" fn(*const JobContext) -> i64,
    progress: extern "C" fn(*const JobContext, u64, u64, JobStr),
    log: extern "C" fn(*const JobContext, i32, JobStr, JobStr),
    summary: extern "C" fn(*const JobContext, JobStr),
}

#[repr(C)]
pub struct JobEntry {
    struct_size: u32, flags: u32, state_version: u32, reserved: u32,
    id: JobStr, description: JobStr, default_schedule: JobStr,
    settings_schema: JobStr, payload_schema: JobStr, data: *const c_void,
    validate: *const c_void, create: *const c_void,
    run: extern "C" fn(*mut c_void, *const JobContext) -> i32,
    destroy: *const c_void,
}

#[repr(C)]
pub struct JobPlugin {
    struct_size: u32, entry_count: u32, id: JobStr, version: JobStr, description: JobStr,
    entry: extern "C" fn(u32) -> *const JobEntry,
}
unsafe impl Sync for JobEntry {}
unsafe impl Sync for JobPlugin {}

extern "C" fn run(_instance: *mut c_void, context: *const JobContext) -> i32 {
    let c = unsafe { &*context };
    println!("Hello from Rust, attempt {}", c.attempt);
    (c.progress)(context, 1, 1, text("greeting"));
    (c.summary)(context, text("said hello"));
    0 // JOB_SUCCEEDED
}

static GREET: JobEntry = JobEntry { struct_size: std::mem::size_of::<JobEntry>() as u32, flags: 1, state_version: 0, reserved: 0, id: text("greet"), description: text("Says hello."), default_schedule: NONE, settings_schema: NONE, payload_schema: NONE, data: std::ptr::null(), validate: std::ptr::null(), create: std::ptr::null(), run, destroy: std::ptr::null() };
static PLUGIN: JobPlugin = JobPlugin { struct_size: std::mem::size_of::<JobPlugin>() as u32, entry_count: 1, id: text("hello-rust"), version: text("1.0.0"), description: text("An example in Rust."), entry };
extern "C" fn entry(_index: u32) -> *const JobEntry { &GREET }
#[no_mangle] pub extern "C" fn job_plugin_v1() -> *const JobPlugin { &PLUGIN }
