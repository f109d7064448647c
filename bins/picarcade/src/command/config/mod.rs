//! `picarcade config`: prints every setting, its value and its origin; or checks them.

mod show;

mod check;
mod connect;

pub(crate) use connect::run as connect;
pub(crate) use show::run;
