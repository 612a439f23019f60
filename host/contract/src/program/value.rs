//! Operands.

use vtick_abi::litmus::base;

/// An operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// The number itself.
    Is(u64),
    /// The virtual counter when the operation starts, plus so many ticks (wrapping).
    Now(u64),
    /// The physical counter when the operation starts, plus so many ticks (wrapping).
    NowPhysical(u64),
    /// General register, plus a number (wrapping).
    Register(u16, u64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Value {
        Value::Is(value)
    }
}

impl Value {
    pub(super) fn encode(self) -> (u16, u64) {
        match self {
            Value::Is(value) => (base::ZERO, value),
            Value::Now(ticks) => (base::NOW, ticks),
            Value::NowPhysical(ticks) => (base::NOW_PHYSICAL, ticks),
            Value::Register(register, add) => (base::REGISTER + register, add),
        }
    }
}

impl Value {
    /// The value that was [`encode`](Value::encode)d so.
    pub(super) fn decode(base: u16, value: u64) -> Value {
        match base {
            base::ZERO => Value::Is(value),
            base::NOW => Value::Now(value),
            base::NOW_PHYSICAL => Value::NowPhysical(value),
            register => Value::Register(register - base::REGISTER, value),
        }
    }
}
