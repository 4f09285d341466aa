/* What a scheduler of processes runs: writes how many microseconds past the full second it is. `stamp FILE PERIOD` */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int count, char **words) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (count != 3) return 2;
    int64_t micros[2] = {now.tv_sec, (int64_t)(now.tv_sec % atol(words[2])) * 1000000 + now.tv_nsec / 1000};
    int file = open(words[1], O_WRONLY | O_APPEND | O_CREAT, 0644);
    return file < 0 || write(file, micros, sizeof micros) != sizeof micros;
}
