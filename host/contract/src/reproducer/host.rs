//! The host's part: raw system calls, in the order in which they are made.

use vtick_abi::layout::MAILBOX_BASE;
use vtick_abi::litmus::code;
use vtick_abi::mailbox::{SCRATCH, SCRATCH_VALUE};

use super::super::program::{Action, ActionRef, Expectation, TimerRegister, Value};
use super::judge::Needed;
use super::notes::Note;
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
const ATTRIBUTE: &str = include_str!("parts/attribute.c");
const SUSPEND: &str = include_str!("parts/suspend.c");
const CPU_TIME: &str = include_str!("parts/cpu_time.c");
const CLOCK: &str = include_str!("parts/clock.c");
const RUN: &str = include_str!("parts/run.c");
const LEVELS_AT: &str = include_str!("parts/levels_at.c");
const RETURNS: &str = include_str!("parts/returns.c");
const FIRST: &str = include_str!("parts/first.c");
const EXIT_OF: &str = include_str!("parts/exit_of.c");

/// The whole C file.
pub(super) fn write(source: &Source<'_>) -> String {
    let program = &source.program;
    let setup = &program.setup;
    let needed = Needed::by(source);
    let actions = program.actions();
    let any = |is: fn(&Action) -> bool| actions.iter().any(is);
    let later = any(Source::is_late);
    let signals = any(|action| matches!(action, Action::SignalAfter { .. }));
    let immediate = any(|action| matches!(action, Action::ImmediateExit { .. }));
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
    let results = needed.results || program.actions_before().any(|action| program.is_required(action));
    let reads = source.ops.iter().enumerate().any(|(index, op)| {
        let is_used = op.reg < 8 || source.notes.place(index as u32, Note::Value).is_some();
        op.code == code::LOAD && (is_used || op.extra != MAILBOX_BASE + SCRATCH)
    });
    let has_kvm = any(|it| matches!(it, Action::CheckSystemExtension { .. } | Action::ForbiddenInitSequence));
    let psci = source.ops.iter().any(|op| op.code == code::HVC);
    // The program may look at the error.
    let gets = any(|it| matches!(it, Action::Get(_)));
    let wrapped_act = results || needed.done_at;
    let mut set = Vec::new();
    for (name, is) in [
        ("guest", setup.needs_guest),
        ("actions", !actions.is_empty()),
        ("before", program.actions_before().next().is_some()),
        (
            "asked",
            actions.iter().enumerate().any(|(index, action)| {
                !Source::is_late(action) && !program.actions_before().any(|before| before.0 == index)
            }),
        ),
        ("no_guest", !setup.needs_guest),
        ("errno", setup.needs_guest || results),
        ("results", results),
        ("gets", gets),
        ("no_gets", !gets),
        ("counter", needed.done_at || needed.physical),
        ("reads", reads),
        ("no_reads", !reads),
        ("psci", psci),
        ("at", needed.at),
        ("physical", needed.physical),
        ("another", setup.needs_guest && !alone || later),
        ("signals", signals || !alone),
        ("stop", setup.needs_guest && (immediate || !alone)),
        ("no_stop", !immediate && alone),
        ("kvm", has_kvm),
        ("no_kvm", !has_kvm),
        ("no_power_off", !setup.powers_off),
        ("later", later),
        ("line", lines),
        ("threads", setup.needs_guest && !alone),
        ("alone", alone),
        ("no_wire", setup.routing != Routing::Wire),
        ("required", program.actions_before().any(|action| program.is_required(action))),
        ("set_reg", !alone || sets),
        ("immediate", immediate),
        ("timed", limit > SHORT),
        ("short", limit <= SHORT),
        ("migrate", any(|action| matches!(action, Action::Migrate))),
        ("ids", named),
        ("plain_ids", !named),
        ("wire", setup.routing == Routing::Wire),
        ("pmu", setup.pmu),
        ("vgic", setup.vgic.is_some()),
        ("handlers", source.has_handlers()),
        ("done_at", needed.done_at),
        ("powers_off", setup.powers_off),
        ("suspend", suspends),
        ("cpu_time", cpu_time),
        ("meet", any(|action| matches!(action, Action::Meet))),
        ("us", ends_at || set_now || moved || cpu_time),
        ("off", setup.off != 0),
        ("offset_ioctl", any(|action| matches!(action, Action::CounterOffset(_)))),
        ("more_vcpus", setup.creation_order().len() > setup.vcpus),
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
            format!("\tif (result[{}] < 0)\n\t\tend(4, \"{said} is refused\");\n", action.0)
        })
        .collect();
    let call = |action: &str| {
        let call = format!("act({}{action})", if alone { "" } else { "v, " });
        if wrapped_act { call } else { format!("must({call})") }
    };
    let before = |action: ActionRef| match Source::is_late(&actions[action.0]) {
        true => format!("\tlater({});\n", action.0),
        false => format!("\t{};\n", call(&action.0.to_string()).replace("(v, ", "(&vcpus[0], ")),
    };
    let before: String = program.actions_before().map(before).collect();
    let ids: Vec<String> = (0..setup.vcpus).map(|index| setup.kvm_id(index).to_string()).collect();
    let order = setup.creation_order();
    // Those of hundreds of vCPUs are all in a row.
    let (first, last) = (order.first().copied().unwrap_or(0), order.len() as u64);
    let in_a_row = order.iter().copied().eq(first..first + last);
    let create = if in_a_row {
        format!("for (i = {first}; i < {}; i++)\n\t\tcreate_vcpu(i);", first + last)
    } else {
        order.iter().map(|id| format!("create_vcpu({id});")).collect::<Vec<_>>().join("\n\t")
    };
    let guests: Vec<String> = (0..setup.vcpus).map(|vcpu| format!("guest{vcpu}")).collect();
    let level = "\n\t\t\trun->s.regs.device_irq_level";
    let mut record = format!("@x@28), intr ? KVM_EXIT_INTR : run->exit_reason,{level}");
    let mut fields = "step, reason, levels".to_owned();
    for (field, value, is) in [
        ("in_handler", "@x@27)", source.has_handlers()),
        ("at", "get_reg(@a@KVM_REG_ARM_TIMER_CNT)", needed.at),
        // KVM_REG_ARM_PTIMER_CNT came with Linux 6.4.
        ("physical", "counter()", needed.physical),
    ] {
        if is {
            fields += &format!(", {field}");
            record += &format!(", {value}");
        }
    }
    let at = if source.has_handlers() { "(r->in_handler ?: r->step)" } else { "r->step" };
    let mut never = ".levels = -1".to_owned();
    never += if needed.at { ", .at = -1" } else { "" };
    never += if needed.physical { ", .physical = -1" } else { "" };
    let (not_ended, not_ended_says) = match setup.may_not_end {
        true => ("@r@nr == MOST", "a storm of returns"),
        false => ("!@r@done", "the vCPU does not come to the end of its program"),
    };
    let put = vec![
        ("vcpus", setup.vcpus.to_string()),
        ("actions", actions.len().to_string()),
        ("name", source.case.name().to_owned()),
        ("before", before.trim_end().to_owned()),
        ("record", record),
        ("fields", fields),
        ("kvm", if has_kvm { "kvm, " } else { "" }.to_owned()),
        ("at", at.to_owned()),
        ("never", never),
        ("not_ended", not_ended.to_owned()),
        ("not_ended_says", not_ended_says.to_owned()),
        ("ask", call("run->mmio.data[0]")),
        ("over", if immediate || !alone { "stop" } else { "run->immediate_exit" }.to_owned()),
        ("x", if alone { "X(" } else { "X(v, " }.to_owned()),
        ("nobody", if alone { "" } else { "NULL, " }.to_owned()),
        ("ram", format!("{:#x}", source.ram())),
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
        let more: String = (0..setup.vcpus).map(|vcpu| format!(", guest{vcpu}[]")).collect();
        let more = if alone { "" } else { &more };
        text += "\n/* The guest's RAM begins with its code. Its MMU is off; x28 is the step that it is at. */\n";
        text += &format!("extern char ram[]{more};\nasm(\n{});\n", source.assembly());
    }
    for (part, is) in [
        (REGISTERS, setup.needs_guest),
        (CLOCK, has("counter") || has("us") || has("offset_ioctl")),
        (CPU_TIME, cpu_time),
        (LINE, lines),
        (ATTRIBUTE, attributes),
        (SUSPEND, suspends),
        (VGIC, has("vgic")),
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
        text += &parts.write(&act(source, results, needed.done_at));
    }
    if later {
        text += "\n";
        text += &parts.write(LATER);
    }
    for (part, is) in [
        (LEVELS_AT, needed.levels_at),
        (RETURNS, needed.returns),
        (FIRST, needed.first),
        (EXIT_OF, needed.exit_of),
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
    let clause = case.clause();
    let paragraphs = [
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
fn act(source: &Source<'_>, results: bool, done_at: bool) -> String {
    let is_wrapped = results || done_at;
    let name = if is_wrapped { "try" } else { "act" };
    let mut text = format!("/* Does what the guest asks for. */\nstatic long {name}(@p@int action)\n{{\n");
    text += if source.is_alone() { "" } else { "\t(void)v;\n" };
    text += "\tswitch (action) {\n";
    let mut cases: Vec<(String, String)> = Vec::new();
    for (index, action) in source.program.actions().iter().enumerate() {
        let case = format!("\tcase {index}:");
        let does = statements(source, ActionRef(index), *action, results);
        match cases.iter_mut().find(|(_, done)| *done == does) {
            Some((labels, _)) => *labels = format!("{case}\n{labels}"),
            None => cases.push((format!("{case}\t/* {} */", source.program.action_line(*action)), does)),
        }
    }
    for (labels, does) in cases {
        text += &format!("{labels}\n");
        for line in does.lines() {
            text += &format!("\t\t{line}\n");
        }
    }
    text += "\t}\n\treturn 0;\n}\n";
    if is_wrapped {
        text += "\nstatic void act(@p@int action)\n{\n\tlong ret = try(@a@action);\n\n";
        text += if results { "\tresult[action] = ret < 0 ? -errno : ret;\n" } else { "\tmust(ret);\n" };
        text += if done_at { "\tdone_at[action] = counter();\n" } else { "" };
        text += "}\n";
    }
    text
}

fn statements(source: &Source<'_>, index: ActionRef, action: Action, results: bool) -> String {
    let line = |vcpu: usize, line: Line, level: bool| {
        let line = if line == Line::Irq { "KVM_ARM_IRQ_CPU_IRQ" } else { "KVM_ARM_IRQ_CPU_FIQ" };
        format!("return set_line({}{line}, {});", source.named(vcpu), u8::from(level))
    };
    let after = |statement: &str| format!("usleep({});\n{statement}", source.wait(index));
    match action {
        Action::Line { vcpu, line: which, level } => line(vcpu, which, level),
        Action::LineAfter { vcpu, line: which, level, .. } => after(&line(vcpu, which, level)),
        Action::SignalAfter { vcpu, .. } => after(&match source.is_alone() {
            true => "return kill(getpid(), SIGUSR1);".to_owned(),
            false => format!("return vcpus[{vcpu}].gone ? 0 : -pthread_kill(vcpus[{vcpu}].thread, SIGUSR1);"),
        }),
        Action::ImmediateExit { after: 0 } => "@r@run->immediate_exit = 1;\nbreak;".to_owned(),
        Action::ImmediateExit { .. } => format!("usleep({});\n@r@run->immediate_exit = 1;\nbreak;", source.wait(index)),
        Action::Stay { .. } => format!("return usleep({});", source.wait(index)),
        Action::Meet => "pthread_barrier_wait(&meeting);\nbreak;".to_owned(),
        Action::CheckExtension { capability } => format!("return ioctl(vm, KVM_CHECK_EXTENSION, {capability});"),
        Action::CheckSystemExtension { capability } => {
            format!("return ioctl(kvm, KVM_CHECK_EXTENSION, {capability});")
        }
        Action::RawLine { irq, level } => {
            let call = format!(
                "ioctl(vm, KVM_IRQ_LINE,\n\t    &(struct kvm_irq_level){{ .irq = {irq:#x}, .level = {} }});",
                u8::from(level)
            );
            // A number that may name no vCPU is no reason to end, where nobody looks at the answer.
            if results { format!("return {call}") } else { format!("{call}\nbreak;\t/* whatever the answer is */") }
        }
        Action::Get(register) => format!("return get_reg(@a@{});", id(register)),
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
            format!("return set_reg(@a@{}, {value});", id(register))
        }
        Action::Reinit { restore_timers } => format!("return reinit(@a@{});", u8::from(restore_timers)),
        Action::Migrate => "return migrate();".to_owned(),
        Action::SyncFlags(flags) => {
            format!("@r@run->kvm_valid_regs = {flags:#x};\n@r@run->kvm_dirty_regs = {flags:#x};\nbreak;")
        }
        Action::CreateVcpu(id) => format!("return ioctl(vm, KVM_CREATE_VCPU, {id}) < 0 ? -1 : 0;"),
        Action::CounterOffset(offset) => match number(offset, offset / 2) {
            Number::Micros(micros) => format!("return set_counter_offset(us({micros}));"),
            Number::Is(ticks) => format!("return set_counter_offset({ticks});"),
        },
        Action::HasTimerInterrupt { attribute } => {
            format!("return timer_interrupt(@a@KVM_HAS_DEVICE_ATTR, {attribute}, 0);")
        }
        Action::GetTimerInterrupt { attribute } => {
            format!("return timer_interrupt(@a@KVM_GET_DEVICE_ATTR, {attribute}, 0);")
        }
        Action::SetTimerInterrupt { attribute, intid } => {
            format!("return timer_interrupt(@a@KVM_SET_DEVICE_ATTR, {attribute}, {intid});")
        }
        Action::Suspend => "return set_mp_state(@a@KVM_MP_STATE_SUSPENDED);".to_owned(),
        Action::CpuTime => "return cpu_time();".to_owned(),
        Action::ForbiddenInitSequence => "return forbidden();".to_owned(),
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
