// The plainest userfaultfd profiler there is, as a yardstick: one thread reads a message, takes the
// time, notes address and thread, and fills the page.
//
//	resolver write|read PAGES THREADS CPU
//
// THREADS threads touch PAGES pages between them, once. CPU is where all threads are kept, -1 leaves
// them to the scheduler. It prints the nanoseconds from the first touch to the last, and the number
// of messages.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef UFFD_USER_MODE_ONLY // headers older than Linux 5.11
#define UFFD_USER_MODE_ONLY 1
#endif
#define FEATURE_EXACT_ADDRESS (1 << 11)

struct record {
	uint64_t time, address, thread;
};

static size_t page, pages, threads;
static int write_access, fd;
static char *area, *zeros;
static struct record *records;
static volatile size_t recorded;
static pthread_barrier_t ready;
static uint64_t *began, *ended; // by toucher

static void check(int failed, const char *what)
{
	if (failed) {
		fprintf(stderr, "%s: %s\n", what, strerror(errno));
		exit(1);
	}
}

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void fill(uint64_t start)
{
	if (write_access) {
		struct uffdio_copy c = { .dst = start, .src = (uint64_t)zeros, .len = page };
		check(ioctl(fd, UFFDIO_COPY, &c), "UFFDIO_COPY");
	} else {
		struct uffdio_zeropage z = { .range = { start, page } };
		check(ioctl(fd, UFFDIO_ZEROPAGE, &z), "UFFDIO_ZEROPAGE");
	}
}

static void *resolve(void *unused)
{
	struct uffd_msg m[64];
	(void)unused;
	for (;;) {
		ssize_t n = read(fd, m, sizeof m);
		check(n < 0, "read");
		for (size_t i = 0; i < n / sizeof m[0]; i++) {
			uint64_t a = m[i].arg.pagefault.address;
			records[recorded++] = (struct record){ now(), a, m[i].arg.pagefault.feat.ptid };
			fill(a & ~(uint64_t)(page - 1));
		}
	}
	return NULL;
}

static void *touch(void *number)
{
	size_t share = pages / threads;
	volatile char *p = area + (size_t)number * share * page;
	pthread_barrier_wait(&ready);
	began[(size_t)number] = now();
	for (size_t i = 0; i < share; i++) {
		if (write_access)
			p[i * page] = 1;
		else
			(void)p[i * page];
	}
	ended[(size_t)number] = now();
	return NULL;
}

static void *map(size_t length, int flags)
{
	void *p = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
	check(p == MAP_FAILED, "mmap");
	return p;
}

static void arm(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_THREAD_ID | FEATURE_EXACT_ADDRESS };
	struct uffdio_register r = { .range = { (uint64_t)area, pages * page }, .mode = UFFDIO_REGISTER_MODE_MISSING };
	// Every touch is made in user mode, and that anyone may have served.
	fd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	check(fd < 0, "userfaultfd");
	check(ioctl(fd, UFFDIO_API, &api), "UFFDIO_API");
	check(ioctl(fd, UFFDIO_REGISTER, &r), "UFFDIO_REGISTER");
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: resolver write|read PAGES THREADS CPU\n");
		return 2;
	}
	write_access = strcmp(argv[1], "write") == 0;
	pages = atol(argv[2]);
	threads = atol(argv[3]);
	int cpu = atoi(argv[4]);
	if (cpu >= 0) {
		cpu_set_t one;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		check(sched_setaffinity(0, sizeof one, &one), "sched_setaffinity"); // threads inherit it
	}
	page = sysconf(_SC_PAGESIZE);
	pages = pages / threads * threads;
	zeros = map(page, MAP_POPULATE);
	records = map(2 * pages * sizeof *records, MAP_POPULATE);
	area = map(pages * page, MAP_NORESERVE);
	madvise(area, pages * page, MADV_NOHUGEPAGE); // fails on a kernel without huge pages
	arm();

	pthread_t resolver, touchers[threads];
	began = map(threads * sizeof *began, MAP_POPULATE);
	ended = map(threads * sizeof *ended, MAP_POPULATE);
	pthread_barrier_init(&ready, NULL, threads);
	check(pthread_create(&resolver, NULL, resolve, NULL), "pthread_create");
	for (size_t i = 0; i < threads; i++)
		check(pthread_create(&touchers[i], NULL, touch, (void *)i), "pthread_create");
	uint64_t first = UINT64_MAX, last = 0;
	for (size_t i = 0; i < threads; i++) {
		pthread_join(touchers[i], NULL);
		first = began[i] < first ? began[i] : first;
		last = ended[i] > last ? ended[i] : last;
	}
	printf("%llu %zu\n", (unsigned long long)(last - first), recorded);
	return 0;
}
