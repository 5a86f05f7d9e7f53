/* Steps the wall clock of one program, for `make failover`: loaded before libc, it adds the
 * seconds that a file holds (a double, mapped) to CLOCK_REALTIME and to nothing else. The clocks
 * that only go on, CLOCK_MONOTONIC and CLOCK_BOOTTIME, stay the kernel's, as where an operator or
 * NTP steps a machine's clock; so do all waits. Nothing of the machine itself is changed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile double *step;

__attribute__((constructor)) static void map_step(void) {
    const char *name = getenv("CLOCK_STEP_FILE");
    int file = name != NULL ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *found = mmap(NULL, sizeof(double), PROT_READ, MAP_SHARED, file, 0);
    if (found != MAP_FAILED)
        step = found;
    close(file);
}

static int (*real_clock)(clockid_t, struct timespec *);

int clock_gettime(clockid_t clock, struct timespec *told) {
    if (real_clock == NULL)
        real_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real_clock(clock, told);
    if (failed == 0 && step != NULL && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        told->tv_sec += (time_t)*step; /* whole seconds: the fraction needs no carry */
    return failed;
}

int gettimeofday(struct timeval *restrict told, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    told->tv_sec = now.tv_sec;
    told->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *told) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    if (told != NULL)
        *told = now.tv_sec;
    return now.tv_sec;
}
