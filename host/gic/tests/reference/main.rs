//! The GIC and an independent model of the specification (`model`), driven by the same random steps, agree.
//!
//! `cargo test -p vtick-gic` takes 20,000 steps. For more, in release mode:
//! `VTICK_GIC_STEPS=1000000 cargo test -p vtick-gic --release --test reference`.
//! The steps are the same in every run; `PROPTEST_RNG_SEED=n` gives others. A failure is shrunk to the fewest and simplest steps that still fail.

mod model;
mod steps;

use std::cell::RefCell;

use model::Model;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use steps::{Reached, Size, Step, Stepper};
use vtick_gic::Gic;

/// Steps in one run from reset: long enough to nest, short enough that many sizes of GIC are seen.
const RUN: usize = 250;

fn steps() -> u32 {
    std::env::var("VTICK_GIC_STEPS").map_or(20_000, |steps| steps.parse().expect("VTICK_GIC_STEPS is a number"))
}

#[test]
fn the_gic_agrees_with_the_reference_model_on_random_steps() {
    let rng_seed = match Config::default().rng_seed {
        RngSeed::Random => RngSeed::Fixed(0),
        fixed => fixed,
    };
    let config = Config {
        rng_seed,
        cases: steps().div_ceil(RUN as u32),
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..Config::default()
    };
    let runs = (steps::size(), steps::preamble(), prop::collection::vec(steps::step(), RUN));
    let reached = RefCell::new(Reached::new());
    let outcome = TestRunner::new(config).run(&runs, |(size, preamble, run)| {
        agree(size, preamble.into_iter().chain(run), &reached).map_err(TestCaseError::fail)
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    let reached = reached.into_inner();
    println!("{reached:?}");
    for (what, times) in reached {
        assert!(times >= steps() as usize / 1000, "{what}: only {times} times, so the steps no longer test it");
    }
}

/// Takes the steps with both; says where they part.
fn agree(size: Size, steps: impl IntoIterator<Item = Step>, reached: &RefCell<Reached>) -> Result<(), String> {
    let gic = Gic::new(size.cpus, size.spis).map_err(|error| error.to_string())?;
    let mut stepper = Stepper::new(gic, Model::new(size.cpus, size.spis));
    for (n, step) in steps.into_iter().enumerate() {
        stepper.take(&step).map_err(|difference| format!("step {n}, {step:x?}: {difference}"))?;
    }
    stepper.compare_everything()?;
    for (what, times) in stepper.reached {
        *reached.borrow_mut().entry(what).or_default() += times;
    }
    Ok(())
}
