// The plainest handler that shows a mapped file granule by granule, as a yardstick: memory that cannot be accessed lies
// where the file is to be seen, and whoever touches it first moves that granule of the file there in a handler of
// SIGSEGV. It notes time and address, asks nobody whose memory it is or what of the file is in the page cache, and
// leaves mapping the pages to the touch.
//
//	overlay FILE PAGES STRIDE GRANULE
//
// PAGES pages are read once, STRIDE pages apart; GRANULE is in pages. It prints the nanoseconds from the first touch to
// the last and the number of faults.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct record {
	uint64_t time;
	char *address;
};

static size_t granule; // bytes
static char *area, *alias;
static struct record *records;
static size_t recorded;

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

static void handle(int number, siginfo_t *info, void *context)
{
	char *a = info->si_addr;
	size_t at = (a - area) / granule * granule;
	(void)number, (void)context;
	records[recorded++] = (struct record){ now(), a };
	if (mremap(alias + at, granule, granule, MREMAP_MAYMOVE | MREMAP_FIXED, area + at) == MAP_FAILED)
		_exit(1);
}

static void *map(void *where, size_t length, int protection, int flags, int fd)
{
	void *p = mmap(where, length, protection, flags, fd, 0);
	check(p == MAP_FAILED, "mmap");
	return p;
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: overlay FILE PAGES STRIDE GRANULE\n");
		return 2;
	}
	size_t page = sysconf(_SC_PAGESIZE), pages = atol(argv[2]), stride = atol(argv[3]), size = pages * stride * page;
	granule = atol(argv[4]) * page;
	int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	check(fd < 0, argv[1]);
	records = map(NULL, pages * sizeof *records, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1);
	area = map(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	alias = map(NULL, size, PROT_READ, MAP_SHARED, fd);
	struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO };
	check(sigaction(SIGSEGV, &action, NULL), "sigaction");
	uint64_t first = now();
	for (size_t i = 0; i < pages; i++)
		(void)*(volatile char *)(area + i * stride * page);
	printf("%llu %zu 0\n", (unsigned long long)(now() - first), recorded);
	return 0;
}
