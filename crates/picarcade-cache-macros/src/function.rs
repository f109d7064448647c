//! What the attribute needs to know of the function that it is on.

use syn::{
    Error, FnArg, GenericArgument, Ident, ImplItemFn, Pat, PathArguments, Receiver, Result, ReturnType, Type,
    TypeReference, ext::IdentExt, spanned::Spanned,
};

/// An argument other than `self`.
pub(crate) struct Argument {
    pub(crate) name: Ident,
    /// The type behind the reference if the argument is a `&T`.
    pub(crate) borrowed: Option<Type>,
}

/// The form of the value that a function returns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Returns {
    /// `Result<V, E>`.
    Value,
    /// `Result<Arc<V>, E>`.
    Shared,
    /// `Result<Option<V>, E>`.
    Optional,
    /// `Option<V>`.
    OptionOnly,
}

/// Returns `self` and the other arguments.
pub(crate) fn arguments(function: &ImplItemFn) -> Result<(Option<&Receiver>, Vec<Argument>)> {
    if function.sig.asyncness.is_none() {
        return Err(Error::new_spanned(function.sig.fn_token, "only an async function can be cached"));
    }
    let mut receiver = None;
    let mut arguments = Vec::new();
    for input in &function.sig.inputs {
        match input {
            FnArg::Receiver(this) if this.reference.is_some() && this.mutability.is_some() => {
                return Err(Error::new_spanned(this, MUTABLE));
            }
            FnArg::Receiver(this) => receiver = Some(this),
            FnArg::Typed(typed) => {
                let name = match typed.pat.as_ref() {
                    Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => {
                        pattern.ident.clone()
                    }
                    pattern => return Err(Error::new_spanned(pattern, "expected a name, not a pattern")),
                };
                arguments.push(Argument { name, borrowed: borrowed(&typed.ty)? });
            }
        }
    }
    Ok((receiver, arguments))
}

const MUTABLE: &str = "a cached function cannot change its arguments, because a hit does not run it";

fn borrowed(ty: &Type) -> Result<Option<Type>> {
    match ty {
        Type::Reference(TypeReference { mutability: Some(_), .. }) => Err(Error::new_spanned(ty, MUTABLE)),
        Type::Reference(TypeReference { elem, .. }) => Ok(Some((**elem).clone())),
        Type::ImplTrait(_) => Err(Error::new_spanned(ty, "expected a type; use a generic parameter")),
        _ => Ok(None),
    }
}

/// Returns the form of the return type.
pub(crate) fn returns(function: &ImplItemFn) -> Result<Returns> {
    let unsupported = |span| {
        Error::new(span, "a cached function returns a `Result` or an `Option`, because a load can time out")
    };
    let ReturnType::Type(_, ty) = &function.sig.output else {
        return Err(unsupported(function.sig.ident.span()));
    };
    match generic(ty) {
        Some((name, _)) if name == "Option" => Ok(Returns::OptionOnly),
        // Aliases such as `anyhow::Result<V>` or `IoResult<V>` have the error in their definition.
        Some((name, value)) if name.unraw().to_string().ends_with("Result") => Ok(match generic(value) {
            Some((inner, _)) if inner == "Arc" => Returns::Shared,
            Some((inner, _)) if inner == "Option" => Returns::Optional,
            _ => Returns::Value,
        }),
        _ => Err(unsupported(ty.span())),
    }
}

/// Returns the last name of a path and its first generic type: `Result` and `V` of
/// `std::result::Result<V, E>`.
fn generic(ty: &Type) -> Option<(&Ident, &Type)> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(first) => Some((&last.ident, first)),
        _ => None,
    }
}
