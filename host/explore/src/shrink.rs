//! The smallest program that still shows a fault.

use super::Sketch;
use super::alphabet::{Operation, When};
use vtick_core::lines::Routing;

/// Makes a program that `fails` smaller as long as what is left fails, too, with `most` runs at most. What is returned
/// fails; with runs to spare, nothing that is smaller by one step does.
pub fn shrink<E>(sketch: &Sketch, most: usize, mut fails: impl FnMut(&Sketch) -> Result<bool, E>) -> Result<Sketch, E> {
    let mut smallest = sketch.clone();
    let mut left = most;
    'again: loop {
        for candidate in smaller(&smallest) {
            if left == 0 {
                return Ok(smallest);
            }
            left -= 1;
            if fails(&candidate)? {
                smallest = candidate;
                continue 'again;
            }
        }
        return Ok(smallest);
    }
}

/// Programs that are smaller by one step, the boldest steps first: a vCPU less, half of a word less, an operation less,
/// a plainer operation, levels ignored.
fn smaller(sketch: &Sketch) -> Vec<Sketch> {
    let mut all = Vec::new();
    let with = |vcpu: usize, word: Vec<Operation>| {
        let mut words = sketch.words.clone();
        words[vcpu] = word;
        Sketch { words, ..sketch.clone() }
    };
    if sketch.words.len() > 1 {
        for vcpu in 0..sketch.words.len() {
            let mut words = sketch.words.clone();
            words.remove(vcpu);
            all.push(Sketch { words, ..sketch.clone() });
        }
    }
    for (vcpu, word) in sketch.words.iter().enumerate() {
        let half = word.len() / 2;
        if half > 1 {
            all.push(with(vcpu, word[half..].to_vec()));
            all.push(with(vcpu, word[..half].to_vec()));
        }
    }
    for (vcpu, word) in sketch.words.iter().enumerate() {
        for place in 0..word.len() {
            let mut shorter = word.clone();
            shorter.remove(place);
            all.push(with(vcpu, shorter));
        }
    }
    for (vcpu, word) in sketch.words.iter().enumerate() {
        for place in 0..word.len() {
            for &plainer in plainer(word[place]) {
                let mut other = word.clone();
                other[place] = plainer;
                all.push(with(vcpu, other));
            }
        }
    }
    if sketch.routing == Routing::Wire && !sketch.any(Operation::sleeps) {
        all.push(Sketch { routing: Routing::Ignore, ..sketch.clone() });
    }
    all
}

/// Operations that do less of the same. Nothing is plainer than itself over any number of steps.
fn plainer(operation: Operation) -> &'static [Operation] {
    use super::alphabet::Timer::{Physical, Virtual};
    match operation {
        Operation::Arm(Physical, When::Past) => &[Operation::Arm(Virtual, When::Past)],
        Operation::Arm(Physical, When::Soon) => &[Operation::Arm(Virtual, When::Soon)],
        Operation::Arm(Physical, When::Later) => &[Operation::Arm(Virtual, When::Later)],
        Operation::Arm(Virtual, When::Later) => &[Operation::Arm(Virtual, When::Soon)],
        Operation::Arm(Virtual, When::Soon) => &[Operation::Arm(Virtual, When::Past)],
        Operation::Suspend => &[Operation::Wfi],
        Operation::Write | Operation::Stay | Operation::ImmediateExit | Operation::Signal => &[Operation::Read],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::super::alphabet::{ALPHABET, Timer};
    use super::super::random;
    use super::*;

    fn shrunk(sketch: &Sketch, fails: impl Fn(&Sketch) -> bool) -> Sketch {
        shrink::<()>(sketch, 10_000, |candidate| Ok(fails(candidate))).unwrap()
    }

    #[test]
    fn what_a_fault_needs_is_left_and_nothing_else() {
        let armed = |operation: Operation| matches!(operation, Operation::Arm(..));
        let needed = |s: &Sketch| {
            s.words.iter().any(|word| {
                let arm = word.iter().position(|&operation| armed(operation));
                arm.is_some_and(|arm| word[arm..].contains(&Operation::Wfi))
            })
        };
        let mut tried = 0;
        for number in 0..3000 {
            let sketch = random::sketch(3, number, ALPHABET, 12, 4);
            if needed(&sketch) {
                tried += 1;
                let smallest = shrunk(&sketch, needed);
                let least = vec![Operation::Arm(Timer::Virtual, When::Past), Operation::Wfi];
                assert_eq!(smallest.words, [least], "from {sketch:?}");
            }
        }
        assert!(tried > 10, "{tried} programs had it");
    }

    #[test]
    fn shrinking_ends_even_where_everything_fails_and_keeps_to_its_runs() {
        let sketch = random::sketch(4, 1, ALPHABET, 40, 4);
        assert!(shrunk(&sketch, |_| true).len() <= 1);
        let mut runs = 0;
        let kept = shrink::<()>(&sketch, 5, |_| {
            runs += 1;
            Ok(false)
        });
        assert_eq!((kept.unwrap(), runs), (sketch, 5));
    }
}
