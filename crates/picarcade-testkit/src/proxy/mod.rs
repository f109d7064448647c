//! A TCP proxy with faults on command.

mod connection;
mod fault;
mod fault_proxy;
mod pump;

pub use fault::Fault;
pub use fault_proxy::FaultProxy;
