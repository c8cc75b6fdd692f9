// The memory that is restored, and handlers for it in C, as plain as they can be: what package uffd is measured against.
//
//   handler vm PAGES THREADS    touches its memory, whose descriptor it sends by socket 3
//   handler poll                serves what comes by socket 3: poll(2), read(2) of up to 64 messages, UFFDIO_COPY
//   handler block               the same with a read(2) that waits
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what) {
	perror(what);
	exit(1);
}

struct hello {
	uint64_t base, pages, pid;
};

static size_t size;
static char *mem;
static uint64_t pages;
static int threads;

static void *touch(void *arg) {
	for (uint64_t n = (uintptr_t)arg; n < pages; n += threads)
		if (*(volatile uint64_t *)(mem + n * size) != n + 1) {
			fprintf(stderr, "page %lu holds something else\n", n);
			exit(1);
		}
	return NULL;
}

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static double cpu(void) {
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static int vm(void) {
	mem = mmap(NULL, pages * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED)
		die("mmap");
	madvise(mem, pages * size, MADV_NOHUGEPAGE);
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (fd < 0)
		die("userfaultfd");
	struct uffdio_api api = {.api = UFFD_API};
	if (ioctl(fd, UFFDIO_API, &api))
		die("UFFDIO_API");
	struct uffdio_register reg = {.range = {(uintptr_t)mem, pages * size}, .mode = UFFDIO_REGISTER_MODE_MISSING};
	if (ioctl(fd, UFFDIO_REGISTER, &reg))
		die("UFFDIO_REGISTER");
	struct hello hello = {(uintptr_t)mem, pages, getpid()};
	struct iovec iov = {&hello, sizeof hello};
	char control[CMSG_SPACE(sizeof fd)] = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	if (sendmsg(3, &msg, 0) != sizeof hello)
		die("sendmsg");
	close(fd);
	char go;
	if (read(3, &go, 1) != 1)
		die("read");
	double begin = now();
	pthread_t t[64];
	for (uintptr_t i = 0; i < threads; i++)
		if (pthread_create(&t[i], NULL, touch, (void *)i))
			die("pthread_create");
	for (int i = 0; i < threads; i++)
		pthread_join(t[i], NULL);
	printf("%.9f\n", now() - begin);
	return 0;
}

static int handle(int waits) {
	struct hello hello;
	int fd;
	struct iovec iov = {&hello, sizeof hello};
	char control[CMSG_SPACE(sizeof fd)];
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	if (recvmsg(3, &msg, MSG_CMSG_CLOEXEC) != sizeof hello)
		die("recvmsg");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof fd);
	if (waits)
		fcntl(fd, F_SETFL, 0);
	char *contents = mmap(NULL, hello.pages * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (contents == MAP_FAILED)
		die("mmap");
	madvise(contents, hello.pages * size, MADV_NOHUGEPAGE);
	for (uint64_t n = 0; n < hello.pages; n++)
		*(uint64_t *)(contents + n * size) = n + 1;
	double begin = cpu();
	if (write(3, "g", 1) != 1)
		die("write");
	for (uint64_t left = hello.pages; left > 0;) {
		struct pollfd p = {fd, POLLIN};
		if (!waits && poll(&p, 1, -1) < 0)
			die("poll");
		struct uffd_msg m[64];
		ssize_t n = read(fd, m, sizeof m);
		if (n < 0 && errno == EAGAIN)
			continue;
		if (n < 0)
			die("read");
		for (size_t i = 0; i < n / sizeof *m; i++) {
			uint64_t at = m[i].arg.pagefault.address & ~(size - 1);
			struct uffdio_copy copy = {.dst = at, .src = (uintptr_t)contents + at - hello.base, .len = size};
			if (ioctl(fd, UFFDIO_COPY, &copy)) {
				struct uffdio_range wake = {at, size};
				if (errno != EEXIST || ioctl(fd, UFFDIO_WAKE, &wake))
					die("UFFDIO_COPY");
			} else
				left--;
		}
	}
	printf("%.9f\n", cpu() - begin);
	return 0;
}

int main(int argc, char **argv) {
	size = sysconf(_SC_PAGESIZE);
	if (argc == 4 && !strcmp(argv[1], "vm")) {
		pages = strtoull(argv[2], NULL, 10), threads = atoi(argv[3]);
		return vm();
	}
	return handle(argc > 1 && !strcmp(argv[1], "block"));
}
