//if another|migrate
#define _GNU_SOURCE
//end
//if errno
#include <errno.h>
//end
#include <fcntl.h>
//if guest
//if another
#include <pthread.h>
//end
//if another|migrate
#include <sched.h>
//end
#include <signal.h>
#include <stddef.h>
//end
#include <stdio.h>
#include <stdlib.h>
//if reads
#include <string.h>
//end
#include <sys/ioctl.h>
//if guest
#include <sys/mman.h>
//if timed
#include <sys/time.h>
//end
//end
//if cpu_time
#include <time.h>
//end
#include <unistd.h>
#include <linux/kvm.h>

#define NAME "@name@"
//if threads
#define VCPUS @vcpus@
//end
//if guest
#define MOST 4096	/* returns of KVM_RUN: more than any vCPU has a cause for */

//if threads
static struct vcpu {
	int fd, id, done, gone, up, nr;
	struct kvm_run *run;
	pthread_t thread;
	struct ret { __u64 @fields@; } ret[MOST];
} vcpus[VCPUS];
//end
//if alone
static struct kvm_run *run;
//if wire
static int @kvm@vm, fd, done, up, nr, failed;
//end
//if no_wire
static int @kvm@vm, fd, done, nr, failed;
//end
static struct ret { __u64 @fields@; } ret[MOST];
//end
//if stop
static volatile sig_atomic_t stop;
//end
//end
//if no_guest

//end
//if results
static long result[@actions@];
//end
//if done_at
static __u64 done_at[@actions@], offset;
//end
//if meet
static pthread_barrier_t meeting;
//end
//if threads|no_guest
static int @kvm@vm, failed;
//end

static void end(int code, const char *why)
{
	printf("%sok 1 " NAME " # %s%s\n", code == 1 ? "not " : "", code == 4 ? "SKIP " : "", why);
	exit(code);
}

#define must(call) ({ long r_ = (call); if (r_ < 0) perror(#call), end(1, "a call fails"); r_; })

static void expect(int holds, const char *what)
{
	printf("# %s: %s\n", holds ? "so" : "NOT SO", what);
	failed |= !holds;
}
