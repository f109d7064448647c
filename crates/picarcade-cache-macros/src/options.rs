//! The options in the parentheses of `#[cached(…)]`.

use proc_macro2::Span;
use syn::{
    Error, Expr, ExprLit, Lit, LitInt, LitStr, MetaNameValue, Result, Token,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
};

const KNOWN: &str = "cache, key, ttl, tags, version, name";

/// The options of one cached function.
pub(crate) struct Options {
    pub(crate) cache: Expr,
    pub(crate) key: Option<Vec<Expr>>,
    /// In milliseconds.
    pub(crate) ttl: Option<u64>,
    pub(crate) tags: Vec<Expr>,
    pub(crate) version: u32,
    pub(crate) name: Option<LitStr>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let (mut cache, mut key, mut ttl, mut tags, mut version, mut name) =
            (None, None, None, None, None, None);
        for option in Punctuated::<MetaNameValue, Token![,]>::parse_terminated(input)? {
            let MetaNameValue { path, value, .. } = option;
            let word = path.get_ident().map(ToString::to_string).unwrap_or_default();
            let is_repeated = match word.as_str() {
                "cache" => cache.replace(value).is_some(),
                "key" => key.replace(list(value)?).is_some(),
                "ttl" => ttl.replace(duration(&text(&value)?)?).is_some(),
                "tags" => tags.replace(list(value)?).is_some(),
                "version" => version.replace(integer(&value)?.base10_parse()?).is_some(),
                "name" => name.replace(text(&value)?).is_some(),
                _ => {
                    let message = format!("unknown option; the options are {KNOWN}");
                    return Err(Error::new_spanned(path, message));
                }
            };
            if is_repeated {
                return Err(Error::new_spanned(path, "this option is given twice"));
            }
        }
        let cache = cache.ok_or_else(|| {
            Error::new(Span::call_site(), "`cache = …` is missing: which cache holds the values")
        })?;
        let (tags, version) = (tags.unwrap_or_default(), version.unwrap_or(1));
        Ok(Self { cache, key, ttl, tags, version, name })
    }
}

fn list(value: Expr) -> Result<Vec<Expr>> {
    match value {
        Expr::Array(array) => Ok(array.elems.into_iter().collect()),
        other => Err(Error::new_spanned(other, "expected a list in brackets, such as `[user, prompt]`")),
    }
}

fn text(value: &Expr) -> Result<LitStr> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text.clone()),
        other => Err(Error::new_spanned(other, "expected a string literal")),
    }
}

fn integer(value: &Expr) -> Result<LitInt> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Int(integer), .. }) => Ok(integer.clone()),
        other => Err(Error::new_spanned(other, "expected an integer")),
    }
}

fn duration(text: &LitStr) -> Result<u64> {
    let value = text.value();
    let (number, unit) = value.split_at(value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len()));
    let milliseconds = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let total = number.parse::<u64>().ok().zip(milliseconds).and_then(|(n, unit)| n.checked_mul(unit));
    match total {
        Some(total) if total > 0 => Ok(total),
        _ => Err(Error::new(
            text.span(),
            "expected a positive duration: an integer with `ms`, `s`, `m`, `h` or `d`, such as \"90s\"",
        )),
    }
}
