//if guest
//if threads
static void *run_vcpu(void *arg)
{
	struct vcpu *v = arg;
	struct kvm_run *run = v->run;
//end
//if alone
static void run_vcpu(void)
{
//end
	__u64 data, at;
	int error;

	while (!stop && !@r@done && @r@nr < MOST) {
		error = ioctl(@r@fd, KVM_RUN, 0) < 0 ? errno : 0;
		if (error && error != EINTR)
			failed_call("KVM_RUN");
//if immediate
		run->immediate_exit = 0;
//end
		@r@step = get_reg(@a@CORE(regs[28]));
		if (stop)
			break;
		@r@ret[@r@nr++] = (struct ret){ @record@ };
//if wire
		/* Any level raises IRQ. */
		if (@r@up != !!run->s.regs.device_irq_level)
			must(set_line(@a@KVM_ARM_IRQ_CPU_IRQ, @r@up = !@r@up));
//end
		if (error)
			continue;
//if suspend
		if (run->exit_reason == KVM_EXIT_SYSTEM_EVENT &&
		    run->system_event.type == KVM_SYSTEM_EVENT_WAKEUP) {
			must(set_mp_state(@a@KVM_MP_STATE_RUNNABLE));
			continue;
		}
//end
//if powers_off
		if (run->exit_reason == KVM_EXIT_SYSTEM_EVENT) {
			@r@done = 1;
			continue;
		}
//end
		expect(run->exit_reason == KVM_EXIT_MMIO, "KVM_RUN returns for MMIO");
		if (failed)
			break;
		at = run->mmio.phys_addr - 0xb000000;
		if (!run->mmio.is_write) {
			data = @scratch@;
			memcpy(run->mmio.data, &data, run->mmio.len);
			continue;
		}
		memcpy(&data, run->mmio.data, sizeof(data));
		if (at == 0x10) {
			@r@done = 1;
//if asked
		} else if (at == 0x18) {
			act(@a@data);
//end
//if notes
		} else if (at >= 0x100 && at < 0x100 + sizeof(note)) {
			note[(at - 0x100) / 8] = data;
//end
		} else if (at == 0x28) {
			printf("# exception at step %d, ESR_EL1 %#llx\n", @r@step, data);
			stop = failed = 1;
		}
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
	stop = signal;
	run->immediate_exit = 1;
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
	struct vcpu *v = &vcpus[i];
	struct kvm_vcpu_init init;

	v->run = mmap(NULL, sizeof(*v->run), PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	must(v->run == MAP_FAILED ? -1 : 0);
	must(ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init));
	init.features[0] |= 1 << KVM_ARM_VCPU_PSCI_0_2;
//if pmu
	init.features[0] |= 1 << KVM_ARM_VCPU_PMU_V3;
//end
//if off
	if (@off@ >> i & 1)
		init.features[0] |= 1 << KVM_ARM_VCPU_POWER_OFF;
//end
	must(ioctl(v->fd, KVM_ARM_VCPU_INIT, &init));
//if pmu
	create_pmu(v);
//end
	must(set_reg(v, CORE(pc), i * 0x10000));
}

//end
//end
int main(void)
{
//if guest
	extern const char @guests@;
//if timed
	struct itimerval limit = { { 0, 200000 }, { @limit_s@, @limit_us@ } };
//end
	struct kvm_userspace_memory_region region = { 0, 0, 0, sizeof(ram), (__u64)ram };
//if alone
	struct kvm_vcpu_init init;
	int i;
//end
//if threads
	int i, n;
//end

//end
	kvm = open("/dev/kvm", O_RDWR);
	if (kvm < 0)
		skip("/dev/kvm cannot be opened");
	vm = must(ioctl(kvm, KVM_CREATE_VM, 0));
//if guest
	if (ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_USER_IRQ) < 1)
		skip("the kernel has no KVM_CAP_ARM_USER_IRQ");
//if pmu
	if (ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PMU_V3) < 1)
		skip("this host has no PMU for its guests");
//end
//if more_vcpus
	if (ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS) < @created@)
		skip("a VM of this host has not so many vCPUs");
//end
	@copies@
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
	init.features[0] |= 1 << KVM_ARM_VCPU_PSCI_0_2;
//if pmu
	init.features[0] |= 1 << KVM_ARM_VCPU_PMU_V3;
//end
//if off
	init.features[0] |= 1 << KVM_ARM_VCPU_POWER_OFF;
//end
	must(ioctl(fd, KVM_ARM_VCPU_INIT, &init));
//if pmu
	create_pmu();
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
//if clock
	offset = counter();
	offset -= get_reg(@v0@KVM_REG_ARM_TIMER_CNT);
//end
//if meet
	pthread_barrier_init(&meeting, NULL, VCPUS);
//end

	signal(SIGALRM, time_over);
//if threads
	signal(SIGUSR1, time_over);
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
//end
//if threads
	for (i = 0; i < VCPUS; i++)
		pthread_join(vcpus[i].thread, NULL);
//end
	signal(SIGALRM, SIG_IGN);

//if threads
	for (i = 0; i < VCPUS; i++) {
		for (n = 0; n < vcpus[i].nr && n < 40; n++)
			printf("# vCPU %d, step %d: %s (exit reason %d), levels %#lx\n", i,
			       AT(vcpus[i].ret[n]), vcpus[i].ret[n].error ? "EINTR" : "exit",
			       vcpus[i].ret[n].reason, vcpus[i].ret[n].levels);
		printf("# vCPU %d: %d returns of KVM_RUN, the last at step %d\n", i, vcpus[i].nr,
		       vcpus[i].step);
		expect(vcpus[i].nr < MOST, "the returns are no storm");
//if must_end
		expect(vcpus[i].done, "the vCPU comes to the end of its program");
//end
	}
//end
//if alone
	for (i = 0; i < nr && i < 40; i++)
		printf("# step %d: %s (exit reason %d), levels %#lx\n", AT(ret[i]),
		       ret[i].error ? "EINTR" : "exit", ret[i].reason, ret[i].levels);
	printf("# %d returns of KVM_RUN, the last at step %d\n", nr, step);
	expect(nr < MOST, "the returns are no storm");
//if must_end
	expect(done, "the vCPU comes to the end of its program");
//end
//end
	if (failed)
		goto out;
//end
@verdict@
//if guest
out:
//end
	printf("%s 1 " NAME "\n", failed ? "not ok" : "ok");
	return failed;
}
