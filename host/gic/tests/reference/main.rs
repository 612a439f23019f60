//! The GIC and an independent model of the specification (`model`), driven by the same random steps, agree.
//!
//! `cargo test -p vtick-gic` takes 20,000 steps. For more, in release mode:
//! `VTICK_GIC_STEPS=1000000 cargo test -p vtick-gic --release --test reference`.
//! The steps are the same in every run; `PROPTEST_RNG_SEED=n` gives others. A failure is shrunk to the fewest and simplest steps that still fail.

mod model;
mod steps;

use std::cell::{Cell, RefCell};

use model::Model;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};
use steps::{Reached, Size, Step, Stepper};
use vtick_gic::Gic;

/// Steps in one run from reset at most: long enough to nest, short enough that many sizes of GIC are seen.
const RUN: usize = 500;

fn steps() -> usize {
    std::env::var("VTICK_GIC_STEPS").map_or(20_000, |steps| steps.parse().expect("VTICK_GIC_STEPS is a number"))
}

#[test]
fn the_gic_agrees_with_the_reference_model_on_random_steps() {
    let rng_seed = match Config::default().rng_seed {
        RngSeed::Random => RngSeed::Fixed(0),
        fixed => fixed,
    };
    let mut runner = TestRunner::new(Config { rng_seed, max_shrink_iters: 10_000, ..Config::default() });
    let runs = (steps::size(), steps::preamble(), prop::collection::vec(steps::step(), 0..=RUN));
    let (taken, reached) = (Cell::new(0), RefCell::new(Reached::new()));
    while taken.get() < steps() {
        let run = runs.new_tree(&mut runner).expect("a run");
        let outcome = runner.run_one(run, |(size, preamble, run)| {
            taken.set(taken.get() + run.len());
            let run = [preamble, run].concat();
            agree(size, &run, &mut reached.borrow_mut()).map_err(TestCaseError::fail)
        });
        match outcome {
            Ok(_) => {}
            Err(TestError::Fail(_, (size, preamble, run))) => panic!("{}", minimal(size, [preamble, run].concat())),
            Err(error) => panic!("{error}"),
        }
    }
    let reached = reached.into_inner();
    println!("{} steps; {reached:?}", taken.get());
    for (what, times) in reached {
        assert!(times >= steps() / 1000, "{what}: only {times} times, so the steps no longer test it");
    }
}

/// Takes the steps with both; says where they part.
fn agree(size: Size, steps: &[Step], reached: &mut Reached) -> Result<(), String> {
    let gic = Gic::new(size.cpus, size.spis).map_err(|error| error.to_string())?;
    let mut stepper = Stepper::new(gic, Model::new(size.cpus, size.spis));
    for step in steps {
        stepper.take(step)?;
    }
    stepper.compare_everything()?;
    for (what, times) in stepper.reached {
        *reached.entry(what).or_default() += times;
    }
    Ok(())
}

/// proptest has shrunk the run; this leaves out every step that the failure doesn't need, those of the preamble too.
fn minimal(size: Size, mut run: Vec<Step>) -> String {
    let differs = |run: &[Step]| agree(size, run, &mut Reached::new()).err();
    let mut n = run.len();
    while n > 0 {
        n -= 1;
        let step = run.remove(n);
        if differs(&run).is_none() {
            run.insert(n, step);
        }
    }
    let mut report = format!("the GIC and the reference model part, with {size:?} (numbers below are hexadecimal):\n");
    for step in &run {
        report += &format!("  {step:x?}\n");
    }
    report + &differs(&run).unwrap_or_default()
}
