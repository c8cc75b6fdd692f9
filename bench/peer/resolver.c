// The plainest userfaultfd profilers there are, as yardsticks: one thread reads a message, takes the
// time, notes address and thread, and fills the page; or the thread that touched does so in a handler of
// SIGBUS.
//
//	resolver write|read PAGES THREADS CPU STRIDE random|ascending GRANULE timed|untimed
//
// THREADS threads touch PAGES pages between them, once, STRIDE pages apart, each in a part of its own.
// CPU is where all threads are kept, -1 leaves them to the scheduler, -2 as well, with the handler. One fault fills GRANULE pages. It
// prints the nanoseconds from the first touch to the last, the number of messages and the processor
// time; and, timed, what the touches took that were the first of their granule, one a line.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef UFFD_USER_MODE_ONLY // headers older than Linux 5.11
#define UFFD_USER_MODE_ONLY 1
#endif
#define FEATURE_EXACT_ADDRESS (1 << 11)
enum { ANY_CPU = -1, BY_SIGNAL = -2 };

struct record {
	uint64_t time, address, thread;
};

static size_t page, pages, threads, stride, granule;
static int write_access, shuffled, timed, fd;
static char *area, *zeros;
static struct record *records;
static volatile size_t recorded;
static pthread_barrier_t ready;
static uint64_t *began, *ended; // by toucher
static uint32_t *order;         // of touches, in pages, each toucher's after the other's
static uint64_t *took;          // by each touch; 0 for one that was not the first of its granule

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
		struct uffdio_copy c = { .dst = start, .src = (uint64_t)zeros, .len = granule };
		check(ioctl(fd, UFFDIO_COPY, &c) && errno != EEXIST, "UFFDIO_COPY");
	} else {
		struct uffdio_zeropage z = { .range = { start, granule } };
		check(ioctl(fd, UFFDIO_ZEROPAGE, &z) && errno != EEXIST, "UFFDIO_ZEROPAGE");
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
			fill((uint64_t)area + (a - (uint64_t)area) / granule * granule);
		}
	}
	return NULL;
}

static void handle(int number, siginfo_t *info, void *context)
{
	uint64_t a = (uint64_t)info->si_addr;
	size_t i = __atomic_fetch_add(&recorded, 1, __ATOMIC_RELAXED);
	(void)number, (void)context;
	records[i] = (struct record){ now(), a, syscall(SYS_gettid) };
	fill((uint64_t)area + (a - (uint64_t)area) / granule * granule);
}

// plan chooses the order of one toucher's touches, and which of them are the first of a granule.
static void plan(size_t number)
{
	size_t share = pages / threads;
	uint32_t *o = order + number * share;
	uint64_t x = number + 1;
	char *seen = calloc(pages * stride * page / granule + 1, 1);
	for (size_t i = 0; i < share; i++)
		o[i] = (number * share + i) * stride;
	for (size_t i = share; shuffled && i > 1; i--) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		size_t j = (x >> 33) % i;
		uint32_t t = o[i - 1];
		o[i - 1] = o[j];
		o[j] = t;
	}
	for (size_t i = 0; i < share; i++) {
		char *s = seen + o[i] * page / granule;
		took[number * share + i] = !*s;
		*s = 1;
	}
	free(seen);
}

static void *map(size_t length, int flags)
{
	void *p = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
	check(p == MAP_FAILED, "mmap");
	return p;
}

// prepare has the thread write to plain memory and give the pages back, so that it gets these: touchFresh in
// bench/touch_linux.go says why.
static void prepare(size_t length)
{
	char *p = map(length, MAP_NORESERVE);
	madvise(p, length, MADV_NOHUGEPAGE); // fails on a kernel without huge pages
	for (size_t i = 0; i < length; i += page)
		*(volatile char *)(p + i) = 1;
	check(madvise(p, length, MADV_DONTNEED), "madvise");
}

static void *touch(void *number)
{
	size_t share = pages / threads, at = (size_t)number * share;
	if (write_access && !timed)
		prepare(share * stride * page);
	pthread_barrier_wait(&ready);
	began[(size_t)number] = now();
	for (size_t i = at; i < at + share; i++) {
		volatile char *p = area + order[i] * page;
		uint64_t start = timed ? now() : 0;
		if (write_access)
			*p = 1;
		else
			(void)*p;
		if (timed)
			took[i] *= now() - start;
	}
	ended[(size_t)number] = now();
	return NULL;
}

static void arm(int by_signal)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_THREAD_ID | FEATURE_EXACT_ADDRESS };
	struct uffdio_register r = { .range = { (uint64_t)area, pages * stride * page }, .mode = UFFDIO_REGISTER_MODE_MISSING };
	if (by_signal) {
		struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO };
		api.features |= UFFD_FEATURE_SIGBUS;
		check(sigaction(SIGBUS, &action, NULL), "sigaction");
	}
	// Every touch is made in user mode, and that anyone may have served.
	fd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	check(fd < 0, "userfaultfd");
	check(ioctl(fd, UFFDIO_API, &api), "UFFDIO_API");
	check(ioctl(fd, UFFDIO_REGISTER, &r), "UFFDIO_REGISTER");
}

static long long cpu_time(struct rusage *u)
{
	return (u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000000000LL + (u->ru_utime.tv_usec + u->ru_stime.tv_usec) * 1000LL;
}

int main(int argc, char **argv)
{
	if (argc != 9) {
		fprintf(stderr, "usage: resolver write|read PAGES THREADS CPU STRIDE random|ascending GRANULE timed|untimed\n");
		return 2;
	}
	write_access = strcmp(argv[1], "write") == 0;
	pages = atol(argv[2]);
	threads = atol(argv[3]);
	int cpu = atoi(argv[4]);
	stride = atol(argv[5]);
	shuffled = strcmp(argv[6], "random") == 0;
	timed = strcmp(argv[8], "timed") == 0;
	if (cpu > ANY_CPU) {
		cpu_set_t one;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		check(sched_setaffinity(0, sizeof one, &one), "sched_setaffinity"); // threads inherit it
	}
	page = sysconf(_SC_PAGESIZE);
	pages = pages / threads * threads;
	granule = atol(argv[7]) * page;
	zeros = map(granule, MAP_POPULATE);
	records = map(2 * pages * sizeof *records, MAP_POPULATE);
	area = map(pages * stride * page, MAP_NORESERVE);
	madvise(area, pages * stride * page, MADV_NOHUGEPAGE); // fails on a kernel without huge pages
	arm(cpu == BY_SIGNAL);

	pthread_t resolver, touchers[threads];
	began = map(threads * sizeof *began, MAP_POPULATE);
	ended = map(threads * sizeof *ended, MAP_POPULATE);
	order = map(pages * sizeof *order, MAP_POPULATE);
	took = map(pages * sizeof *took, MAP_POPULATE);
	for (size_t i = 0; i < threads; i++)
		plan(i);
	struct rusage before, after;
	getrusage(RUSAGE_SELF, &before);
	pthread_barrier_init(&ready, NULL, threads);
	if (cpu != BY_SIGNAL)
		check(pthread_create(&resolver, NULL, resolve, NULL), "pthread_create");
	for (size_t i = 0; i < threads; i++)
		check(pthread_create(&touchers[i], NULL, touch, (void *)i), "pthread_create");
	uint64_t first = UINT64_MAX, last = 0;
	for (size_t i = 0; i < threads; i++) {
		pthread_join(touchers[i], NULL);
		first = began[i] < first ? began[i] : first;
		last = ended[i] > last ? ended[i] : last;
	}
	getrusage(RUSAGE_SELF, &after);
	printf("%llu %zu %lld\n", (unsigned long long)(last - first), recorded, cpu_time(&after) - cpu_time(&before));
	for (size_t i = 0; timed && i < pages; i++)
		if (took[i])
			printf("%llu\n", (unsigned long long)took[i]);
	return 0;
}
