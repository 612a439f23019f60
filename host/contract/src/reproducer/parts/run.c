//if guest
//if threads
static void *run_vcpu(void *arg)
{
	struct vcpu *v = arg;
	struct kvm_run *run = v->run;
	int intr;
//end
//if alone
static void run_vcpu(void)
{
	int intr;
//end

	while (!@over@ && !@r@done && @r@nr < MOST) {
		intr = must(ioctl(@r@fd, KVM_RUN, 0) >= 0 ? 0 : errno == EINTR ? 1 : -1);
//if immediate
		run->immediate_exit = 0;
//end
		if (@over@)
			break;
		@r@ret[@r@nr++] = (struct ret){ @record@ };
//if wire
		/* Any level raises IRQ. */
		if (@r@up != !!run->s.regs.device_irq_level)
			must(set_line(@a@KVM_ARM_IRQ_CPU_IRQ, @r@up = !@r@up));
//end
//if suspend
		if (!intr && run->exit_reason == KVM_EXIT_SYSTEM_EVENT &&
		    run->system_event.type == KVM_SYSTEM_EVENT_WAKEUP) {
			must(set_mp_state(@a@KVM_MP_STATE_RUNNABLE));
			continue;
		}
//end
//if powers_off
		@r@done = !intr && run->exit_reason == KVM_EXIT_SYSTEM_EVENT;
		if (intr || @r@done)
			continue;
//end
//if no_power_off
		if (intr)
			continue;
//end
		if (run->exit_reason != KVM_EXIT_MMIO || run->mmio.phys_addr == 0xb000028)
			end(1, "an exit for something else than MMIO, or an exception of the guest");
//if reads
		if (!run->mmio.is_write) {
			memcpy(run->mmio.data, &(__u64){ @scratch@ }, run->mmio.len);
			continue;
		}
//end
		@r@done = run->mmio.phys_addr == 0xb000010;
//if asked
		if (run->mmio.phys_addr == 0xb000018)
			@ask@;
//end
//if later
		if (run->mmio.phys_addr == 0xb000020)
			later(run->mmio.data[0]);
//end
	}
//if threads
	v->gone = 1;
	return NULL;
//end
}

/* The time is over: KVM_RUN returns, now or the next time it is called. */
static void time_over(int signal)
{
//if alone
//if stop
	stop |= signal == SIGALRM;
//end
	run->immediate_exit |= signal == SIGALRM;
//end
//if threads
	static const char stuck[] = "not ok 1 " NAME " # a vCPU does not come back\n";
	static int again;
	int i;

	if (signal != SIGALRM)
		return;
	stop = 1;
	for (i = 0; i < VCPUS; i++) {
		vcpus[i].run->immediate_exit = 1;
		if (!vcpus[i].gone)
			pthread_kill(vcpus[i].thread, SIGUSR1);
	}
	if (again++ == 10 && write(1, stuck, sizeof(stuck) - 1))
		_exit(1);
//end
}

//if threads
//if ids
static void create_vcpu(int id)
{
	static const int ids[] = { @ids@ };
	int i, fd = must(ioctl(vm, KVM_CREATE_VCPU, id));

	for (i = 0; i < VCPUS; i++)
		if (ids[i] == id)
			vcpus[i] = (struct vcpu){ .fd = fd, .id = id };
}

//end
static void start(int i)
{
	static char * const guests[] = { @guests@ };
	struct vcpu *v = &vcpus[i];
	struct kvm_vcpu_init init;

	v->run = mmap(NULL, sizeof(*v->run), PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	must(v->run == MAP_FAILED ? -1 : 0);
	must(ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init));
//if psci
	init.features[0] |= 1 << KVM_ARM_VCPU_PSCI_0_2;
//end
//if pmu
	init.features[0] |= 1 << KVM_ARM_VCPU_PMU_V3;
//end
//if off
	if (@off@ >> i & 1)
		init.features[0] |= 1 << KVM_ARM_VCPU_POWER_OFF;
//end
	must(ioctl(v->fd, KVM_ARM_VCPU_INIT, &init));
//if pmu
	must(ioctl(v->fd, KVM_SET_DEVICE_ATTR, &(struct kvm_device_attr){
		0, KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_INIT, 0 }));
//end
	must(set_reg(v, CORE(pc), guests[i] - ram));
}

//end
//end
int main(void)
{
//if guest
//if timed
	struct itimerval limit = { { 0, 200000 }, { @limit_s@, @limit_us@ } };
//end
	struct kvm_userspace_memory_region region = { 0, 0, 0, @ram@, (__u64)ram };
//if alone
	struct kvm_vcpu_init init;
//end
//if threads
	int i;
//end

//end
//if kvm
	kvm = open("/dev/kvm", O_RDWR);
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
//end
//if no_kvm
	vm = ioctl(open("/dev/kvm", O_RDWR), KVM_CREATE_VM, 0);
//end
//if no_guest
	if (vm < 0)
		end(4, "there is no /dev/kvm");
//end
//if guest
	if (ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_USER_IRQ) < 1)
		end(4, "there is no /dev/kvm with KVM_CAP_ARM_USER_IRQ");
//if pmu
	if (ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PMU_V3) < 1)
		end(4, "this host has no PMU for its guests");
//end
//if more_vcpus
	if (ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS) < @created@)
		end(4, "a VM of this host has not so many vCPUs");
//end
	must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region));
//if threads
//if ids
	@create@
//end
//if plain_ids
	for (i = 0; i < VCPUS; i++) {
		vcpus[i].id = i;
		vcpus[i].fd = must(ioctl(vm, KVM_CREATE_VCPU, i));
	}
//end
//end
//if alone
	fd = must(ioctl(vm, KVM_CREATE_VCPU, 0));
//end
//if vgic
	create_vgic();
//end
//if threads
	for (i = 0; i < VCPUS; i++)
		start(i);
//end
//if alone
	run = mmap(NULL, sizeof(*run), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(run == MAP_FAILED ? -1 : 0);
	must(ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init));
//if psci
	init.features[0] |= 1 << KVM_ARM_VCPU_PSCI_0_2;
//end
//if pmu
	init.features[0] |= 1 << KVM_ARM_VCPU_PMU_V3;
//end
//if off
	init.features[0] |= 1 << KVM_ARM_VCPU_POWER_OFF;
//end
	must(ioctl(fd, KVM_ARM_VCPU_INIT, &init));
//if pmu
	must(ioctl(fd, KVM_SET_DEVICE_ATTR, &(struct kvm_device_attr){
		0, KVM_ARM_VCPU_PMU_V3_CTRL, KVM_ARM_VCPU_PMU_V3_INIT, 0 }));
//end
//end
//end
//if before
@before@
//end
//if required
@required@
//end
//if guest
//if done_at
	offset = counter();
	offset -= get_reg(@v0@KVM_REG_ARM_TIMER_CNT);
//end
//if meet
	pthread_barrier_init(&meeting, NULL, VCPUS);
//end

	signal(SIGALRM, time_over);
//if signals
	signal(SIGUSR1, time_over);
//end
//if threads
	for (i = 0; i < VCPUS; i++)
		must(-pthread_create(&vcpus[i].thread, NULL, run_vcpu, &vcpus[i]));
//end
//if timed
	setitimer(ITIMER_REAL, &limit, NULL);
//end
//if short
	ualarm(@limit_us@, 200000);
//end
//if alone
	run_vcpu();

	for (struct ret *r = ret; r < ret + nr && r < ret + 40; r++)
		printf("# step %llu: %s (exit reason %llu), levels %#llx\n", @at@,
		       r->reason == KVM_EXIT_INTR ? "EINTR" : "exit", r->reason, r->levels);
	printf("# %d returns of KVM_RUN, the guest is at step %llu\n", nr, X(28));
	if (@not_ended@)
		end(1, "@not_ended_says@");
//end
//if threads
	for (i = 0; i < VCPUS; i++)
		pthread_join(vcpus[i].thread, NULL);
	signal(SIGALRM, SIG_IGN);

	for (i = 0; i < VCPUS; i++) {
		struct vcpu *v = &vcpus[i];

		for (struct ret *r = v->ret; r < v->ret + v->nr && r < v->ret + 40; r++)
			printf("# vCPU %d, step %llu: %s (exit reason %llu), levels %#llx\n", i, @at@,
			       r->reason == KVM_EXIT_INTR ? "EINTR" : "exit", r->reason, r->levels);
		printf("# vCPU %d: %d returns of KVM_RUN, it is at step %llu\n", i, v->nr, X(v, 28));
		if (@not_ended@)
			end(1, "@not_ended_says@");
	}
//end
//end
@verdict@
	printf("%s 1 " NAME "\n", failed ? "not ok" : "ok");
	return failed;
}
