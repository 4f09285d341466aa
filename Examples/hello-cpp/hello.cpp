// A plugin in C++: an instance per job and settings, exceptions kept inside.
//
//   c++ -std=c++17 -O2 -fPIC -shared -fvisibility=hidden -I Sources/JobABI/include -o libHelloCpp.so Examples/hello-cpp/hello.cpp
#include <iostream>
#include <stdexcept>
#include <string>
#include "job_abi.h"

namespace {

job_str text(const std::string &s) { return {s.data(), s.size()}; }

struct Greeter {
    std::string settings;
    int runs = 0;

    int32_t run(const job_context *context) {
        if (context->payload.size == 0) throw std::runtime_error("a payload was expected");
        ++runs;
        std::cout << "Hello from C++, settings " << settings << std::endl;
        context->summary(context, text("run " + std::to_string(runs) + " of this worker"));
        return JOB_SUCCEEDED;
    }
};

int32_t create(const job_entry *, const job_host *, job_str settings, const job_error *, void **instance) {
    *instance = new Greeter{std::string(settings.data, settings.size)};
    return JOB_SUCCEEDED;
}

int32_t run(void *instance, const job_context *context) {
    try {
        return static_cast<Greeter *>(instance)->run(context);
    } catch (const std::exception &error) {
        context->fail(context, 1, text(error.what()));
        return JOB_FAILED;
    }
}

// By name, not by position: the structs grow at their ends.
const job_entry greet = [] {
    job_entry entry{};
    entry.struct_size = sizeof entry;
    entry.flags = JOB_ENTRY_IDEMPOTENT;
    entry.id = JOB_STR("greet"), entry.description = JOB_STR("Says hello.");
    entry.payload_schema = JOB_STR("{\"type\":\"object\"}");
    entry.create = create, entry.run = run, entry.destroy = [](void *it) { delete static_cast<Greeter *>(it); };
    return entry;
}();
const job_plugin plugin = [] {
    job_plugin plugin{};
    plugin.struct_size = sizeof plugin, plugin.entry_count = 1;
    plugin.id = JOB_STR("hello-cpp"), plugin.version = JOB_STR("1.0.0"), plugin.description = JOB_STR("An example in C++.");
    plugin.entry = [](uint32_t) { return &greet; };
    return plugin;
}();
} // namespace

const job_plugin *job_plugin_v1(void) { return &plugin; }
