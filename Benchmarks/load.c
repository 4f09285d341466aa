/* The floor of a worker's start: a program that loads a library and ends; with NOTHING, linked statically, one
   that ends. */
#ifdef NOTHING
int main(void) { return 0; }
#else
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

int main(int count, char **words) {
    if (count != 2 || !dlopen(words[1], RTLD_NOW | RTLD_LOCAL)) {
        fprintf(stderr, "load: %s\n", dlerror());
        return 1;
    }
    _exit(0);
}
#endif
