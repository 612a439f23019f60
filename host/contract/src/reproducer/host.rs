//! The host's part: raw system calls, in the order in which they are made.

use vtick_abi::mailbox::SCRATCH_VALUE;

use super::super::program::{Action, ActionRef, Expectation, TimerRegister, Value};
use super::judge::Needed;
use super::template::{Parts, wrapped};
use super::{Number, Source, number};
use vtick_core::Vgic;
use vtick_core::lines::{Line, Routing};

/// The most columns of a comment.
pub(super) const WIDTH: usize = 76;

/// The longest time that ualarm() takes, in microseconds.
const SHORT: u64 = 999_999;

/// What each program begins with.
const HEAD: &str = include_str!("parts/head.c");
const REGISTERS: &str = include_str!("parts/registers.c");
const LINE: &str = include_str!("parts/line.c");
const LATER: &str = include_str!("parts/later.c");
const REINIT: &str = include_str!("parts/reinit.c");
const MIGRATE: &str = include_str!("parts/migrate.c");
const FORBIDDEN: &str = include_str!("parts/forbidden.c");
const VGIC: &str = include_str!("parts/vgic.c");
const PMU: &str = include_str!("parts/pmu.c");
const ATTRIBUTE: &str = include_str!("parts/attribute.c");
const SUSPEND: &str = include_str!("parts/suspend.c");
const CPU_TIME: &str = include_str!("parts/cpu_time.c");
const CLOCK: &str = include_str!("parts/clock.c");
const RUN: &str = include_str!("parts/run.c");
const LEVELS_AT: &str = include_str!("parts/levels_at.c");
const RETURNS: &str = include_str!("parts/returns.c");
const FIRST: &str = include_str!("parts/first.c");
const LEFT_AT: &str = include_str!("parts/left_at.c");

/// The whole C file.
pub(super) fn write(source: &Source<'_>) -> String {
    let program = &source.program;
    let setup = &program.setup;
    let needed = Needed::by(source);
    let actions = program.actions();
    let any = |is: fn(&Action) -> bool| actions.iter().any(is);
    let later = any(|action| matches!(action, Action::LineAfter { .. } | Action::SignalAfter { .. }));
    let set_now = any(|action| matches!(action, Action::Set(_, Value::Now(_) | Value::NowPhysical(_))));
    let moved = any(|action| matches!(action, Action::CounterOffset(1..)));
    let ends_at = program.expectations().iter().any(|it| {
        matches!(it, Expectation::EndsAt(..) | Expectation::EndsWithin(..))
            || matches!(it, Expectation::GivesBetween { least, most, .. } if least.1 + most.1 > 0)
    });
    let cpu_time = any(|action| matches!(action, Action::CpuTime));
    let suspends = any(|action| matches!(action, Action::Suspend));
    let attributes = any(|action| {
        matches!(
            action,
            Action::HasTimerInterrupt { .. } | Action::GetTimerInterrupt { .. } | Action::SetTimerInterrupt { .. }
        )
    });
    let lines = setup.routing == Routing::Wire
        || any(|action| matches!(action, Action::Line { .. } | Action::LineAfter { .. }));
    let alone = source.is_alone();
    let sets = any(|action| matches!(action, Action::Set(..)));
    let named = !(setup.creation.is_empty() && setup.runs_on.is_empty());
    let limit = if setup.may_not_end { setup.limit / 1000 } else { SHORT.max(setup.limit / 1000) };
    let mut set = Vec::new();
    for (name, is) in [
        ("guest", setup.needs_guest),
        ("actions", !actions.is_empty()),
        ("before", program.actions_before().next().is_some()),
        ("asked", actions.len() > program.actions_before().count()),
        ("later", later),
        ("line", lines),
        ("threads", setup.needs_guest && !alone),
        ("alone", alone),
        ("no_wire", setup.routing != Routing::Wire),
        ("required", program.actions_before().any(|action| program.is_required(action))),
        ("alone_guest", setup.needs_guest && alone),
        ("set_reg", !alone || sets),
        ("immediate", any(|action| matches!(action, Action::ImmediateExit { .. }))),
        ("timed", limit > SHORT),
        ("short", limit <= SHORT),
        ("no_handlers", !source.has_handlers()),
        ("returns", needed.returns || needed.first),
        ("last", program.expectations().iter().any(|it| matches!(it, Expectation::EveryReturn(_, None)))),
        ("migrate", any(|action| matches!(action, Action::Migrate))),
        ("ids", named),
        ("plain_ids", !named),
        ("wire", setup.routing == Routing::Wire),
        ("pmu", setup.pmu),
        ("vgic", setup.vgic.is_some()),
        ("handlers", source.has_handlers()),
        ("clock", needed.clock),
        ("done_at", needed.clock && !actions.is_empty()),
        ("notes", needed.notes),
        ("powers_off", setup.powers_off),
        ("suspend", suspends),
        ("cpu_time", cpu_time),
        ("meet", any(|action| matches!(action, Action::Meet))),
        ("us", ends_at || set_now || moved || cpu_time),
        ("off", setup.off != 0),
        ("offset_ioctl", any(|action| matches!(action, Action::CounterOffset(_)))),
        ("more_vcpus", setup.creation_order().len() > setup.vcpus),
        ("must_end", !setup.may_not_end),
        ("v2", setup.vgic == Some(Vgic::V2)),
        ("v3", setup.vgic == Some(Vgic::V3)),
    ] {
        if is {
            set.push(name);
        }
    }
    let required = program.actions_before().filter(|action| program.is_required(*action));
    let refused: String = required
        .map(|action| {
            let said = program.action_line(actions[action.0]);
            format!("\tif (result[{}] < 0)\n\t\tskip(\"{said} is refused\");\n", action.0)
        })
        .collect();
    let before: String = program.actions_before().map(|action| format!("\tact(@v0@{});\n", action.0)).collect();
    let ids: Vec<String> = (0..setup.vcpus).map(|index| setup.kvm_id(index).to_string()).collect();
    let order = setup.creation_order();
    // Those of hundreds of vCPUs are all in a row.
    let (first, last) = (order.first().copied().unwrap_or(0), order.len() as u64);
    let in_a_row = order.iter().copied().eq(first..first + last);
    let create = if in_a_row {
        format!("for (n = {first}; n < {}; n++)\n\t\tcreate_vcpu(n);", first + last)
    } else {
        order.iter().map(|id| format!("create_vcpu({id});")).collect::<Vec<_>>().join("\n\t")
    };
    let guests: Vec<String> = (0..setup.vcpus).map(|vcpu| format!("guest{vcpu}[], guest{vcpu}_end[]")).collect();
    let copies: Vec<String> = (0..setup.vcpus)
        .map(|vcpu| {
            let ram = if vcpu == 0 { "ram".to_owned() } else { format!("ram + {:#x}", vcpu * 0x1_0000) };
            format!("memcpy({ram}, guest{vcpu}, guest{vcpu}_end - guest{vcpu});")
        })
        .collect();
    let record = ["@r@step, error, run->exit_reason, run->s.regs.device_irq_level"]
        .into_iter()
        .chain(needed.clock.then_some(", counter()"))
        .chain(source.has_handlers().then_some(", get_reg(@a@CORE(regs[27]))"))
        .collect();
    let put = vec![
        ("vcpus", setup.vcpus.to_string()),
        ("notes", source.notes.len().to_string()),
        ("actions", actions.len().to_string()),
        ("name", source.case.name().to_owned()),
        ("before", before.trim_end().to_owned()),
        ("record", record),
        ("p", if alone { "" } else { "struct vcpu *v, " }.to_owned()),
        ("p0", if alone { "void" } else { "struct vcpu *v" }.to_owned()),
        ("a", if alone { "" } else { "v, " }.to_owned()),
        ("v0", if alone { "" } else { "&vcpus[0], " }.to_owned()),
        ("r", if alone { "" } else { "v->" }.to_owned()),
        ("required", refused.trim_end().to_owned()),
        ("limit_s", (limit / 1_000_000).to_string()),
        ("limit_us", (limit % 1_000_000).to_string()),
        ("ids", ids.join(", ")),
        ("create", create),
        ("guests", guests.join(", ")),
        ("copies", copies.join("\n\t")),
        ("off", setup.off.to_string()),
        ("created", order.len().to_string()),
        ("scratch", format!("{SCRATCH_VALUE:#x}")),
        ("verdict", source.verdict().trim_end().to_owned()),
    ];
    let parts = Parts { set, put };
    let has = |name: &str| parts.set.contains(&name);

    let mut text = opening(source);
    text += &parts.write(HEAD);
    if setup.needs_guest {
        let what = "What the guest does. Its MMU is off. x28 holds the number of the step that it is at.";
        text += &format!("\n/* {what} */\nasm(\n{});\n", source.assembly());
    }
    for (part, is) in [
        (REGISTERS, setup.needs_guest),
        (CLOCK, has("clock") || has("us") || has("offset_ioctl")),
        (CPU_TIME, cpu_time),
        (LINE, lines),
        (ATTRIBUTE, attributes),
        (SUSPEND, suspends),
        (PMU, setup.pmu),
        (VGIC, has("vgic")),
        (LATER, later),
        (REINIT, any(|action| matches!(action, Action::Reinit { .. }))),
        (MIGRATE, any(|action| matches!(action, Action::Migrate))),
        (FORBIDDEN, any(|action| matches!(action, Action::ForbiddenInitSequence))),
    ] {
        if is {
            text += "\n";
            text += &parts.write(part);
        }
    }
    if !actions.is_empty() {
        text += "\n";
        text += &parts.write(&act(source, later, has("done_at")));
    }
    for (part, is) in [
        (LEVELS_AT, needed.levels_at),
        (RETURNS, needed.returns),
        (FIRST, needed.first),
        (LEFT_AT, needed.left_at),
        (RUN, true),
    ] {
        if is {
            text += "\n";
            text += &parts.write(part);
        }
    }
    text
}

/// The comment that the file opens with.
fn opening(source: &Source<'_>) -> String {
    let (case, mut text) = (source.case, "// SPDX-License-Identifier: GPL-2.0 OR MIT\n/*\n".to_owned());
    let name = case.name();
    let clause = case.clause();
    let paragraphs = [
        name.to_owned(),
        format!("Claim: {}", case.claim()),
        format!("Clause {clause}: {} {}", clause.text(), clause.source()),
        "Build with aarch64-linux-gnu-gcc -static -O2 -pthread, run as root on an arm64 host. The end is ok (exit status \
         0), not ok (1) or skip (4)."
            .to_owned(),
    ];
    for (index, paragraph) in paragraphs.iter().enumerate() {
        if index > 0 {
            text += " *\n";
        }
        for line in wrapped(paragraph, WIDTH, "", "") {
            text += &format!(" * {line}\n");
        }
    }
    text + " */\n"
}

/// The function that does what the program asks its host for.
fn act(source: &Source<'_>, later: bool, done_at: bool) -> String {
    let function = if later { "act_late(@p@int action, int late)" } else { "act(@p@int action)" };
    let mut text = format!("/* What the guest asks for. */\nstatic void {function}\n{{\n");
    text += "\tlong ret = 0;\n\n\tswitch (action) {\n";
    for (index, action) in source.program.actions().iter().enumerate() {
        text += &format!("\tcase {index}:\t/* {} */\n", source.program.action_line(*action));
        for line in statements(source, ActionRef(index), *action).lines() {
            text += &format!("\t\t{line}\n");
        }
        text += "\t\tbreak;\n";
    }
    text += "\tdefault:\n\t\treturn;\n\t}\n\tresult[action] = ret < 0 ? -errno : ret;\n";
    if done_at {
        text += "\tdone_at[action] = counter();\n";
    }
    text += if source.is_alone() { "}\n" } else { "\t(void)v;\n}\n" };
    if later {
        text += "\nstatic void act(struct vcpu *v, int action)\n{\n\tact_late(v, action, 0);\n}\n";
    }
    text
}

fn statements(source: &Source<'_>, index: ActionRef, action: Action) -> String {
    let line = |vcpu: usize, line: Line, level: bool| {
        let line = if line == Line::Irq { "KVM_ARM_IRQ_CPU_IRQ" } else { "KVM_ARM_IRQ_CPU_FIQ" };
        format!("ret = set_line({}{line}, {});", source.named(vcpu), u8::from(level))
    };
    let after = |statement: &str| {
        format!("if (!late) {{\n\tlater(v, action, {});\n\treturn;\n}}\n{statement}", source.wait(index))
    };
    match action {
        Action::Line { vcpu, line: which, level } => line(vcpu, which, level),
        Action::LineAfter { vcpu, line: which, level, .. } => after(&line(vcpu, which, level)),
        Action::SignalAfter { vcpu, .. } => {
            after(&format!("if (!vcpus[{vcpu}].gone)\n\tpthread_kill(vcpus[{vcpu}].thread, SIGUSR1);"))
        }
        Action::ImmediateExit { after: 0 } => "@r@run->immediate_exit = 1;".to_owned(),
        Action::ImmediateExit { .. } => format!("usleep({});\n@r@run->immediate_exit = 1;", source.wait(index)),
        Action::Stay { .. } => format!("usleep({});", source.wait(index)),
        Action::Meet => "pthread_barrier_wait(&meeting);".to_owned(),
        Action::CheckExtension { capability } => format!("ret = ioctl(vm, KVM_CHECK_EXTENSION, {capability});"),
        Action::CheckSystemExtension { capability } => {
            format!("ret = ioctl(kvm, KVM_CHECK_EXTENSION, {capability});")
        }
        Action::RawLine { irq, level } => {
            format!(
                "ret = ioctl(vm, KVM_IRQ_LINE,\n\t    &(struct kvm_irq_level){{ .irq = {irq:#x}, .level = {} }});",
                u8::from(level)
            )
        }
        Action::Get(register) => format!("ret = get_reg(@a@{});", id(register)),
        Action::Set(register, value) => {
            let value = match value {
                Value::Is(value) => value.to_string(),
                Value::Now(ticks) | Value::NowPhysical(ticks) => {
                    let counter = match value {
                        Value::NowPhysical(_) => "KVM_REG_ARM_PTIMER_CNT",
                        _ => "KVM_REG_ARM_TIMER_CNT",
                    };
                    match number(ticks, ticks / 2) {
                        Number::Micros(micros) => format!("get_reg(@a@{counter}) + us({micros})"),
                        Number::Is(ticks) => format!("get_reg(@a@{counter}) + {ticks}"),
                    }
                }
                Value::Register(..) => unreachable!("the guest's registers are not the host's"),
            };
            format!("ret = set_reg(@a@{}, {value});", id(register))
        }
        Action::Reinit { restore_timers } => format!("ret = reinit(@a@{});", u8::from(restore_timers)),
        Action::Migrate => "ret = migrate();".to_owned(),
        Action::SyncFlags(flags) => {
            format!("@r@run->kvm_valid_regs = {flags:#x};\n@r@run->kvm_dirty_regs = {flags:#x};")
        }
        Action::CreateVcpu(id) => format!("ret = ioctl(vm, KVM_CREATE_VCPU, {id}) < 0 ? -1 : 0;"),
        Action::CounterOffset(offset) => match number(offset, offset / 2) {
            Number::Micros(micros) => format!("ret = set_counter_offset(us({micros}));"),
            Number::Is(ticks) => format!("ret = set_counter_offset({ticks});"),
        },
        Action::HasTimerInterrupt { attribute } => {
            format!("ret = timer_interrupt(@a@KVM_HAS_DEVICE_ATTR, {attribute}, 0);")
        }
        Action::GetTimerInterrupt { attribute } => {
            format!("ret = timer_interrupt(@a@KVM_GET_DEVICE_ATTR, {attribute}, 0);")
        }
        Action::SetTimerInterrupt { attribute, intid } => {
            format!("ret = timer_interrupt(@a@KVM_SET_DEVICE_ATTR, {attribute}, {intid});")
        }
        Action::Suspend => "ret = set_mp_state(@a@KVM_MP_STATE_SUSPENDED);".to_owned(),
        Action::CpuTime => "ret = cpu_time();".to_owned(),
        Action::ForbiddenInitSequence => "ret = forbidden();".to_owned(),
        Action::Spi { .. } | Action::SpiAfter { .. } | Action::MoveToFreshVm => unreachable!("it is refused"),
    }
}

fn id(register: TimerRegister) -> &'static str {
    match register {
        TimerRegister::CntvCtl => "KVM_REG_ARM_TIMER_CTL",
        TimerRegister::CntvCval => "KVM_REG_ARM_TIMER_CVAL",
        TimerRegister::Cntvct => "KVM_REG_ARM_TIMER_CNT",
        TimerRegister::CntpCtl => "KVM_REG_ARM_PTIMER_CTL",
        TimerRegister::CntpCval => "KVM_REG_ARM_PTIMER_CVAL",
        TimerRegister::Cntpct => "KVM_REG_ARM_PTIMER_CNT",
    }
}
