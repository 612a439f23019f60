//if threads|migrate
#define _GNU_SOURCE
//end
#include <errno.h>
#include <fcntl.h>
//if guest
//if threads
#include <pthread.h>
//end
//if threads|migrate
#include <sched.h>
//end
#include <signal.h>
#include <stddef.h>
//end
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
/* More returns of KVM_RUN than any vCPU has a cause for. */
#define MOST 4096
//if returns
#define ANY -1L
//end
//if last
#define LAST 0x7fffffff
//end
//if handlers
#define AT(ret) ((ret).in_handler ?: (ret).step)
//end
//if no_handlers
#define AT(ret) ((ret).step)
//end
//end

//if threads
static struct vcpu {
	int fd, id, step, done, gone, up, nr;
	struct kvm_run *run;
	pthread_t thread;
	struct ret {
		int step, error, reason;
		long levels;
//if clock
		__u64 at;
//end
//if handlers
		int in_handler;
//end
	} ret[MOST];
} vcpus[VCPUS];
//end
//if alone_guest
//if wire
static int fd, step, done, up, nr;
//end
//if no_wire
static int fd, step, done, nr;
//end
static struct kvm_run *run;
/* What each return of KVM_RUN showed. */
static struct ret {
	int step, error, reason;
	long levels;
//if clock
	__u64 at;
//end
//if handlers
	int in_handler;
//end
} ret[MOST];
//end
//if guest
static volatile sig_atomic_t stop;
//end
//if notes
static __u64 note[@notes@];
//end
//if actions
static long result[@actions@];
//end
//if done_at
static __u64 done_at[@actions@];
//end
//if clock
static __u64 offset;
//end
//if meet
static pthread_barrier_t meeting;
//end
static int kvm, vm, failed;
//if guest
static char ram[0x200000] __attribute__((aligned(0x10000)));
//end

#define must(call) ({ long ret_ = (call); if (ret_ < 0) failed_call(#call); ret_; })

static void failed_call(const char *call)
{
	printf("not ok 1 " NAME " # %s: %s\n", call, strerror(errno));
	exit(1);
}

static void skip(const char *why)
{
	printf("ok 1 " NAME " # SKIP %s\n", why);
	exit(4);
}

static void expect(int holds, const char *what)
{
	if (!holds)
		printf("# not so: %s\n", what);
	failed |= !holds;
}
