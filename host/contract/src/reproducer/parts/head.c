#define _GNU_SOURCE
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
#include <sys/time.h>
//end
//if cpu_time
#include <time.h>
//end
#include <unistd.h>
#include <linux/kvm.h>

#define NAME "@name@"
#define VCPUS @vcpus@
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

static struct vcpu {
	int fd, id, step, done, gone, up, returns;
	struct kvm_run *run;
//if threads
	pthread_t thread;
//end
//if guest
	struct {
		int step, in_handler, error;
		__u32 reason;
		long levels;
//if clock
		__u64 at;
//end
	} ret[MOST];
//end
} vcpus[VCPUS];
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

static void skip(const char *why)
{
	printf("ok 1 %s # SKIP %s\n", NAME, why);
	exit(4);
}

static long must(long ret, const char *what)
{
	if (ret < 0) {
		printf("not ok 1 %s # %s: %s\n", NAME, what, strerror(errno));
		exit(1);
	}
	return ret;
}

static void expect(int holds, const char *what)
{
	if (!holds)
		printf("# not so: %s\n", what);
	failed |= !holds;
}
