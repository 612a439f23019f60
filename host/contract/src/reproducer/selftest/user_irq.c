// SPDX-License-Identifier: GPL-2.0-only
/*
 * user_irq.c - Tests the interrupts of a VM without an in-kernel irqchip.
 *
 * KVM reports the outputs of a vCPU's timers and PMU to userspace, in
 * kvm_run->s.regs.device_irq_level (KVM_CAP_ARM_USER_IRQ), and userspace drives
 * the IRQ line of the vCPU with KVM_IRQ_LINE.  See sections 8.9 and 4.25 of
 * Documentation/virt/kvm/api.rst.
 *
 * A test is a guest function, and what the returns of KVM_RUN must show while
 * it runs.  The guest says by at() which step it has come to, so that a return
 * belongs to a step, and asserts by itself what only the guest can see.  A guest
 * that does not come to its end, because it sleeps for ever, is stopped after a
 * second.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
//if psci_version

#include <linux/psci.h>
//end

#include "arch_timer.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"

#define VTIMER		KVM_ARM_DEV_EL1_VTIMER
#define PTIMER		KVM_ARM_DEV_EL1_PTIMER
#define PMU		KVM_ARM_DEV_PMU

/* No memory is at this address: each access is an exit. */
#define MMIO_BASE	0x0b000000UL

/* A wake-up that comes so much after its deadline has another cause. */
#define LATE_US		@late@

/* More returns of KVM_RUN than any test has a cause for. */
#define MAX_RETURNS	256
#define ANY		(~0U)

/* What the guest asks userspace for, with GUEST_SYNC(). */
enum request {
	HOST_IS_LATE,
	RAISE_IRQ,
	LOWER_IRQ,
	RAISE_IRQ_LATER,
	SET_VTIMER_CVAL,
};

/* Shared with the guest. */
static u64 guest_step;
static u64 guest_irqs;

/* The VM of the test that runs, and what its returns of KVM_RUN showed. */
static struct kvm_vm *vm;
static struct kvm_vcpu *vcpu;
static struct kvm_return {
	u64 step;
	u32 levels;
	bool is_mmio;
} returns[MAX_RETURNS];
static int nr_returns;
static pthread_t later;
static bool host_is_late;
static bool stopped;
static bool held;

/* The guest is at this step from now on. */
static void at(u64 step)
{
	WRITE_ONCE(guest_step, step);
}

static u64 in_us(enum arch_timer timer, u64 us)
{
	return timer_get_cntct(timer) + usec_to_cycles(us);
}

/* Takes no exit by itself. */
static void spin_until(u64 deadline)
{
	while (timer_get_cntct(VIRTUAL) < deadline)
		cpu_relax();
}

/* How many interrupts were taken, when they are so many or at the deadline. */
static u64 take_irqs(u64 nr, u64 deadline)
{
	while (READ_ONCE(guest_irqs) < nr && timer_get_cntct(VIRTUAL) < deadline)
		cpu_relax();

	return READ_ONCE(guest_irqs);
}

static void sleep_in_wfi(void)
{
	asm volatile("dsb sy\n\twfi" : : : "memory");
}

static void mmio_read(void)
{
	__raw_readl((void *)MMIO_BASE);
}
//if mmio_write

static void mmio_write(void)
{
	__raw_writel(0, (void *)MMIO_BASE);
}
//end
//if psci_version

/* An exit that KVM handles by itself. */
static void psci_version(void)
{
	struct arm_smccc_res res;

	smccc_hvc(PSCI_0_2_FN_PSCI_VERSION, 0, 0, 0, 0, 0, 0, 0, &res);
}
//end
//if write_pmu

#define write_pmu(value, reg)						\
do {									\
	write_sysreg(value, reg);					\
	isb();								\
} while (0)
//end

/* The test says nothing of KVM if userspace was too slow for it. */
#define GUEST_ASSUME(condition)						\
do {									\
	if (!(condition))						\
		GUEST_SYNC(HOST_IS_LATE);				\
} while (0)

static void set_irq(int level)
{
	struct kvm_irq_level irq = {
		.irq = (KVM_ARM_IRQ_TYPE_CPU << KVM_ARM_IRQ_TYPE_SHIFT) | KVM_ARM_IRQ_CPU_IRQ,
		.level = level,
	};

	vm_ioctl(vm, KVM_IRQ_LINE, &irq);
}

static void *raise_irq_later(void *us)
{
	usleep((uintptr_t)us);
	set_irq(1);

	return NULL;
}

static void set_vtimer_cval(u64 us)
{
	u64 now;

	TEST_ASSERT(!__vcpu_get_reg(vcpu, KVM_REG_ARM_TIMER_CNT, &now), "The counter can be read");
	vcpu_set_reg(vcpu, KVM_REG_ARM_TIMER_CVAL, now + usec_to_cycles(us));
}

static void expect(bool holds, const char *what)
{
	if (!holds)
		ksft_print_msg("not so: %s\n", what);
	held &= holds;
}

/* How many returns from one step to another showed these levels. */
static int returned(u64 from, u64 to, u32 levels)
{
	int i, nr = 0;

	for (i = 0; i < nr_returns; i++) {
		if (returns[i].step >= from && returns[i].step <= to &&
		    (levels == ANY || returns[i].levels == levels))
			nr++;
	}

	return nr;
}
//if first_return

/* The levels of the first return from one step to another. */
static u32 first_return(u64 from, u64 to)
{
	int i;

	for (i = 0; i < nr_returns; i++) {
		if (returns[i].step >= from && returns[i].step <= to)
			return returns[i].levels;
	}

	return ANY;
}
//end

/* Whether the MMIO exits of a step showed these levels. */
static bool levels_at(u64 step, u32 levels)
{
	int i, nr = 0;

	for (i = 0; i < nr_returns; i++) {
		if (returns[i].step != step || !returns[i].is_mmio)
			continue;
		if (returns[i].levels != levels)
			return false;
		nr++;
	}

	return nr > 0;
}

@tests@

static const struct test {
	const char *name;
	void (*guest)(void);
	void (*on_irq)(struct ex_regs *regs);
	void (*expect)(void);
	/* Userspace raises IRQ while any level is high. */
	bool levels_raise_irq;
	bool has_pmu;
} tests[] = {
@table@
};

/* KVM_RUN returns, now or the next time that it is called. */
static void stop(int signal)
{
	WRITE_ONCE(stopped, true);
	WRITE_ONCE(vcpu->run->immediate_exit, 1);
}

static void handle_request(const struct ucall *uc)
{
	int error;

	switch ((enum request)uc->args[1]) {
	case HOST_IS_LATE:
		host_is_late = true;
		break;
	case RAISE_IRQ:
		set_irq(1);
		break;
	case LOWER_IRQ:
		set_irq(0);
		break;
	case RAISE_IRQ_LATER:
		error = pthread_create(&later, NULL, raise_irq_later, (void *)uc->args[2]);
		TEST_ASSERT(!error, "pthread_create() failed: %s", strerror(error));
		break;
	case SET_VTIMER_CVAL:
		set_vtimer_cval(uc->args[2]);
		break;
	}
}

/* Whether the guest came to its end; it may have found something by itself. */
static bool run_guest(const struct test *test)
{
	struct kvm_run *run = vcpu->run;
	struct kvm_return *ret;
	bool irq_is_up = false;
	struct ucall uc;
	int error;

	for (nr_returns = 0; nr_returns < MAX_RETURNS;) {
		error = __vcpu_run(vcpu) ? errno : 0;
		TEST_ASSERT(!error || error == EINTR, "KVM_RUN failed: %s", strerror(error));
		sync_global_from_guest(vm, guest_step);
		if (READ_ONCE(stopped)) {
			ksft_print_msg("not so: the guest ends; it hangs behind step %lu\n",
				       (unsigned long)guest_step);
			return false;
		}

		ret = &returns[nr_returns++];
		ret->step = guest_step;
		ret->levels = run->s.regs.device_irq_level;
		ret->is_mmio = !error && run->exit_reason == KVM_EXIT_MMIO;

		if (test->levels_raise_irq && irq_is_up != !!ret->levels) {
			irq_is_up = !irq_is_up;
			set_irq(irq_is_up);
		}
		if (error)
			continue;

		TEST_ASSERT(ret->is_mmio, "Unexpected exit reason: %u (%s)", run->exit_reason,
			    exit_reason_str(run->exit_reason));
		switch (get_ucall(vcpu, &uc)) {
		case UCALL_NONE:
			break;
		case UCALL_SYNC:
			handle_request(&uc);
			if (host_is_late)
				return true;
			break;
		case UCALL_DONE:
			return true;
		case UCALL_ABORT:
//if buffer
			ksft_print_msg("not so: %s at %s:%lu: %s\n",
				       (const char *)uc.args[GUEST_ERROR_STRING],
				       (const char *)uc.args[GUEST_FILE],
				       (unsigned long)uc.args[GUEST_LINE], uc.buffer);
//end
//if no_buffer
			ksft_print_msg("not so: %s at %s:%lu\n",
				       (const char *)uc.args[GUEST_ERROR_STRING],
				       (const char *)uc.args[GUEST_FILE],
				       (unsigned long)uc.args[GUEST_LINE]);
//end
			return false;
		default:
			TEST_FAIL("The guest took an exception behind step %lu",
				  (unsigned long)guest_step);
		}
	}

	ksft_print_msg("not so: KVM_RUN returns when there is a cause; it returned %d times\n",
		       nr_returns);
	return false;
}

static void create_vm(const struct test *test)
{
	struct kvm_vcpu_init init;

	vm = vm_create(1);
//if ucall_init
	ucall_init(vm, NULL);
//end
	vm_ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init);
	init.features[0] |= 1 << KVM_ARM_VCPU_PSCI_0_2;
	if (test->has_pmu)
		init.features[0] |= 1 << KVM_ARM_VCPU_PMU_V3;
	vcpu = aarch64_vcpu_add(vm, 0, &init, test->guest);
	if (test->has_pmu)
		kvm_device_attr_set(vcpu->fd, KVM_ARM_VCPU_PMU_V3_CTRL,
				    KVM_ARM_VCPU_PMU_V3_INIT, NULL);
	virt_pg_map(vm, MMIO_BASE, MMIO_BASE);

	vm_init_descriptor_tables(vm);
	vcpu_init_descriptor_tables(vcpu);
	if (test->on_irq)
		vm_install_exception_handler(vm, VECTOR_IRQ_CURRENT, test->on_irq);
}

static void run_test(const struct test *test)
{
	/* Again and again, because KVM_RUN may be called just after a signal. */
	struct itimerval second = {
		.it_value.tv_sec = 1,
		.it_interval.tv_usec = 200000,
	};
	struct itimerval never = {};

	if (test->has_pmu && !kvm_has_cap(KVM_CAP_ARM_PMU_V3)) {
		ksft_test_result_skip("%s: the host has no PMU for its guests\n", test->name);
		return;
	}

	create_vm(test);
	stopped = false;
	host_is_late = false;
	later = 0;
	setitimer(ITIMER_REAL, &second, NULL);
	held = run_guest(test);
	setitimer(ITIMER_REAL, &never, NULL);
	if (later)
		pthread_join(later, NULL);
	if (held && !host_is_late && test->expect)
		test->expect();
	kvm_vm_free(vm);

	if (host_is_late)
		ksft_test_result_skip("%s: userspace was too slow\n", test->name);
	else
		ksft_test_result(held, "%s\n", test->name);
}

int main(void)
{
	struct sigaction action = { .sa_handler = stop };
	int i;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_ARM_USER_IRQ));
//if default_vgic
	test_disable_default_vgic();
//end

	/* Results come out one by one. */
	setbuf(stdout, NULL);
	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(tests));
	sigaction(SIGALRM, &action, NULL);
	for (i = 0; i < ARRAY_SIZE(tests); i++)
		run_test(&tests[i]);

	ksft_finished();
}
