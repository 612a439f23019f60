//if guest
/* The guest's MMIO page. */
static void mmio(struct vcpu *v)
{
	__u64 data = @scratch@, at = v->run->mmio.phys_addr - 0xb000000;

	if (!v->run->mmio.is_write) {
		memcpy(v->run->mmio.data, &data, v->run->mmio.len);
		return;
	}
	memcpy(&data, v->run->mmio.data, sizeof(data));
	if (at == 0x10) {
		v->done = 1;
//if asked
	} else if (at == 0x18) {
		act(v, data);
//end
	} else if (at == 0x28) {
		printf("# vCPU %d: exception at step %d, ESR_EL1 %#llx\n", v->id, v->step, data);
		failed = 1;
		stop = 1;
//if notes
	} else if (at >= 0x100 && at < 0x100 + sizeof(note)) {
		note[(at - 0x100) / 8] = data;
//end
	}
}

//if threads
static void *run_vcpu(void *arg)
{
	struct vcpu *v = arg;
//end
//if alone
static void run_vcpu(struct vcpu *v)
{
//end
	struct kvm_run *run = v->run;
	int n, error;

	while (!stop && !v->done) {
		error = ioctl(v->fd, KVM_RUN, 0) < 0 ? errno : 0;
		if (error && error != EINTR)
			must(-1, "KVM_RUN");
		run->immediate_exit = 0;
		n = v->returns;
		v->step = get_reg(v, CORE(regs[28]));
		if (stop || n == MOST)
			break;
		v->ret[n].step = v->step;
//if handlers
		v->ret[n].in_handler = get_reg(v, CORE(regs[27]));
//end
		v->ret[n].error = error;
		v->ret[n].reason = run->exit_reason;
		v->ret[n].levels = run->s.regs.device_irq_level;
//if clock
		v->ret[n].at = counter();
//end
		v->returns++;
//if wire
		/* Any level raises IRQ. */
		if (v->up != !!v->ret[n].levels) {
			v->up = !v->up;
			must(set_line(v, KVM_ARM_IRQ_CPU_IRQ, v->up), "KVM_IRQ_LINE");
		}
//end
		if (!error && run->exit_reason == KVM_EXIT_MMIO) {
			mmio(v);
//if suspend
		} else if (!error && run->exit_reason == KVM_EXIT_SYSTEM_EVENT &&
			   run->system_event.type == KVM_SYSTEM_EVENT_WAKEUP) {
			must(set_mp_state(v, KVM_MP_STATE_RUNNABLE), "KVM_SET_MP_STATE");
//end
//if powers_off
		} else if (!error && run->exit_reason == KVM_EXIT_SYSTEM_EVENT) {
			v->done = 1;
//end
		} else if (!error) {
			printf("# vCPU %d: KVM_RUN returned %u\n", v->id, run->exit_reason);
			failed = 1;
			break;
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
	vcpus[0].run->immediate_exit = 1;
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

//if ids
static void create_vcpu(int id)
{
	static const int ids[] = { @ids@ };
	int i, fd = must(ioctl(vm, KVM_CREATE_VCPU, id), "KVM_CREATE_VCPU");

	for (i = 0; i < VCPUS; i++)
		if (ids[i] == id)
			vcpus[i] = (struct vcpu){ .fd = fd, .id = id };
}

//end
static void start(int i)
{
	struct vcpu *v = &vcpus[i];
	struct kvm_vcpu_init init;
	long size = must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");

	v->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	must(v->run == MAP_FAILED ? -1 : 0, "mmap of a vCPU");
	must(ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init), "KVM_ARM_PREFERRED_TARGET");
	init.features[0] |= 1 << KVM_ARM_VCPU_PSCI_0_2;
//if pmu
	init.features[0] |= 1 << KVM_ARM_VCPU_PMU_V3;
//end
//if off
	if (@off@ >> i & 1)
		init.features[0] |= 1 << KVM_ARM_VCPU_POWER_OFF;
//end
	must(ioctl(v->fd, KVM_ARM_VCPU_INIT, &init), "KVM_ARM_VCPU_INIT");
//if pmu
	create_pmu(v);
//end
	/* EL1h, all interrupts masked. */
	must(set_reg(v, CORE(pstate), 0x3c5), "KVM_SET_ONE_REG of PSTATE");
	must(set_reg(v, CORE(pc), 0x40000800 + i * 0x10000), "KVM_SET_ONE_REG of PC");
}

//end
int main(void)
{
//if guest
	extern const char @guests@;
	struct itimerval limit = { { 0, 200000 }, { @limit_s@, @limit_us@ } };
	struct sigaction act_on = { .sa_handler = time_over };
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = 0x40000000, .memory_size = 0x200000,
	};
	char *ram;
	int i, n;

//end
	kvm = open("/dev/kvm", O_RDWR);
	if (kvm < 0)
		skip("/dev/kvm cannot be opened");
	vm = must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
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
	ram = mmap(NULL, region.memory_size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(ram == MAP_FAILED ? -1 : 0, "mmap of the guest's memory");
	@copies@
	region.userspace_addr = (__u64)ram;
	must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
//if ids
	@create@
//end
//if plain_ids
	for (i = 0; i < VCPUS; i++) {
		vcpus[i].id = i;
		vcpus[i].fd = must(ioctl(vm, KVM_CREATE_VCPU, i), "KVM_CREATE_VCPU");
	}
//end
//if vgic
	create_vgic();
//end
	for (i = 0; i < VCPUS; i++)
		start(i);
//end
//if before
@before@
//end
@required@
//if guest
//if clock
	offset = counter();
	offset -= get_reg(&vcpus[0], KVM_REG_ARM_TIMER_CNT);
//end
//if meet
	pthread_barrier_init(&meeting, NULL, VCPUS);
//end
	sigaction(SIGALRM, &act_on, NULL);
//if alone
	setitimer(ITIMER_REAL, &limit, NULL);
	run_vcpu(&vcpus[0]);
//end
//if threads
	sigaction(SIGUSR1, &act_on, NULL);
	for (i = 0; i < VCPUS; i++)
		must(-pthread_create(&vcpus[i].thread, NULL, run_vcpu, &vcpus[i]), "pthread_create");
	setitimer(ITIMER_REAL, &limit, NULL);
	for (i = 0; i < VCPUS; i++)
		pthread_join(vcpus[i].thread, NULL);
//end
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);

	for (i = 0; i < VCPUS; i++) {
		for (n = 0; n < vcpus[i].returns && n < 40; n++)
			printf("# vCPU %d, step %d: %s (exit reason %u), levels %#lx\n", i,
			       AT(vcpus[i].ret[n]), vcpus[i].ret[n].error ? "EINTR" : "exit",
			       vcpus[i].ret[n].reason, vcpus[i].ret[n].levels);
		printf("# vCPU %d: %d returns of KVM_RUN, the last at step %d\n", i, vcpus[i].returns,
		       vcpus[i].step);
		expect(vcpus[i].returns < MOST, "the returns are no storm");
//if must_end
		expect(vcpus[i].done, "the vCPU comes to the end of its program");
//end
	}
	if (failed) {
		printf("not ok 1 %s\n", NAME);
		return 1;
	}
//end
@verdict@
	printf("%s 1 %s\n", failed ? "not ok" : "ok", NAME);
	return failed;
}
