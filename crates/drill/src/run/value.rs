//! Values of expressions.

use core::net::{Ipv4Addr, SocketAddrV4};

use super::Runner;
use crate::ast::{Expr, Value};
use crate::fault::{Fault, Result};
use crate::symbols;

/// A number, a name, or several of them with `|`.
pub(super) fn number(expr: &Expr) -> Result<i64> {
    match &expr.value {
        Value::Int(value) => Ok(*value),
        Value::Word(name) => symbols::number(name)
            .ok_or_else(|| Fault::unsupported(&expr.span, format!("the name {name}"), "write its number")),
        Value::Or(left, right) => Ok(number(left)? | number(right)?),
        Value::Apply(name, arguments) if matches!(name.as_str(), "htons" | "htonl") => {
            match arguments.first() {
                Some(argument) => number(argument),
                None => Err(Fault::syntax(&expr.span, "a number is missing", "write htons(8080)")),
            }
        }
        // A list of one stands for its element, as in setsockopt.
        Value::List(list) | Value::Group(list) if list.len() == 1 => number(&list[0]),
        _ => Err(Fault::syntax(
            &expr.span,
            "expected a number",
            "write a number or a name such as SO_REUSEADDR",
        )),
    }
}

/// A number where `...` is allowed too.
pub(super) fn number_or_any(expr: &Expr) -> Result<Option<i64>> {
    match expr.value {
        Value::Any => Ok(None),
        _ => number(expr).map(Some),
    }
}

/// The field `name` of `{name = ...}`, or of a list of one such.
pub(super) fn field<'a>(expr: &'a Expr, name: &str) -> Option<&'a Expr> {
    match &expr.value {
        Value::Fields(fields) => fields.iter().find(|(known, _)| known == name).map(|(_, value)| value),
        Value::List(list) | Value::Group(list) if list.len() == 1 => field(&list[0], name),
        _ => None,
    }
}

/// Elements of a list; a single value is a list of one.
pub(super) fn elements(expr: &Expr) -> &[Expr] {
    match &expr.value {
        Value::List(list) => list,
        _ => core::slice::from_ref(expr),
    }
}

impl Runner {
    /// An address; `...` is `default`.
    pub(super) fn address(&self, expr: &Expr, default: SocketAddrV4) -> Result<SocketAddrV4> {
        if matches!(expr.value, Value::Any) {
            return Ok(default);
        }
        let wrong = || {
            let help = "write {sa_family = AF_INET, sin_port = htons(8080), sin_addr = inet_addr(\"192.0.2.1\")}, or ...";
            Fault::syntax(&expr.span, "expected an address", help)
        };
        let port = number(field(expr, "sin_port").ok_or_else(wrong)?)?;
        let address = match field(expr, "sin_addr").map(|expr| &expr.value) {
            Some(Value::Apply(_, arguments)) => match arguments.first().map(|expr| &expr.value) {
                Some(Value::Text(text)) => core::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
                _ => None,
            },
            _ => None,
        };
        let address: Ipv4Addr = address.ok_or_else(wrong)?;
        Ok(SocketAddrV4::new(address, u16::try_from(port).map_err(|_| wrong())?))
    }
}
