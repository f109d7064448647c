//! The code that replaces a cached function.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{
    Attribute, Error, Expr, ExprLit, FnArg, Ident, ImplItemFn, Lit, Pat, Receiver, Result, ext::IdentExt,
    parse_quote, spanned::Spanned,
};

use crate::{
    function::{Argument, Returns, arguments, returns},
    options::Options,
};

/// Returns a function of the same signature that asks the cache first, and the body under another
/// name: inside the function, or for a method next to it.
pub(crate) fn expand(options: &Options, function: &ImplItemFn) -> Result<TokenStream> {
    let (receiver, arguments) = arguments(function)?;
    let form = returns(function)?;
    let name = format_ident!("__{}_uncached", function.sig.ident.unraw());
    let body = body_function(function, &name);
    let key = key(options, &function.sig.ident, receiver, &arguments)?;
    let lookup = lookup(options, &key, receiver, &arguments, form, function, &name);
    let answer = answer(function, form);
    let (nested, sibling) = if receiver.is_some() { (None, Some(body)) } else { (Some(body), None) };
    let mut cached = function.clone();
    cached.sig.inputs.iter_mut().for_each(remove_mut);
    cached.block = parse_quote!({
        #nested
        let __found = async { #lookup }.await;
        #answer
    });
    Ok(quote!(#cached #sibling))
}

/// Returns the function with the original body.
fn body_function(function: &ImplItemFn, name: &Ident) -> TokenStream {
    let mut body = function.clone();
    body.sig.ident = name.clone();
    body.vis = syn::Visibility::Inherited;
    // Documentation and attributes that add code belong to the cached function only.
    body.attrs.retain(|attribute: &Attribute| {
        ["allow", "cfg", "cfg_attr"].iter().any(|name| attribute.path().is_ident(name))
    });
    quote!(#body)
}

fn remove_mut(input: &mut FnArg) {
    if let FnArg::Typed(typed) = input
        && let Pat::Ident(pattern) = typed.pat.as_mut()
    {
        pattern.mutability = None;
    }
}

/// Returns the code that looks the key up and otherwise calls the function `name`.
fn lookup(
    options: &Options,
    key: &TokenStream,
    receiver: Option<&Receiver>,
    arguments: &[Argument],
    form: Returns,
    function: &ImplItemFn,
    name: &Ident,
) -> TokenStream {
    let output = function.sig.output.span();
    let cache = &options.cache;
    let tags = options.tags.iter().map(|tag| match tag {
        Expr::Lit(ExprLit { lit: Lit::Str(format), .. }) => {
            quote_spanned!(format.span()=> .tag(::std::format!(#format)))
        }
        other => quote_spanned!(other.span()=> .tag(#other)),
    });
    let this = receiver.map(|receiver| {
        let reference = if receiver.reference.is_some() { quote!(self) } else { quote!(&self) };
        quote_spanned!(receiver.span()=> let __this = ::std::clone::Clone::clone(#reference);)
    });
    let owned = arguments.iter().filter(|argument| argument.borrowed.is_some()).map(|argument| {
        let name = &argument.name;
        quote_spanned!(name.span()=> let #name = ::std::borrow::ToOwned::to_owned(#name);)
    });
    let passed = arguments.iter().map(|Argument { name, borrowed }| {
        borrowed
            .as_ref()
            .map_or_else(|| quote!(#name), |ty| quote!(::std::borrow::Borrow::<#ty>::borrow(&#name)))
    });
    let method = this.as_ref().map(|_| quote!(__this.));
    let ttl = options.ttl.map(|milliseconds| quote!(.ttl(::std::time::Duration::from_millis(#milliseconds))));
    let new = quote!(::picarcade_cache::Loaded::new);
    let loaded = match form {
        Returns::Value => quote!(.map(|__value| #new(__value)#ttl)),
        Returns::Shared => quote!(.map(|__value| #new(::std::sync::Arc::unwrap_or_clone(__value))#ttl)),
        Returns::Optional => quote!(.map(|__value| {
            if __value.is_none() { #new(__value).negative() } else { #new(__value)#ttl }
        })),
        Returns::OptionOnly => quote!(.map(|__value| #new(__value)#ttl).ok_or(())),
    };
    // The span of the return type, where the compiler reports that it differs from the cache's.
    let load = quote_spanned! {output=>
        let __load = move || async move { #method #name(#(#passed),*).await #loaded };
        __cache.get_or_load_with(&__key, __options, __load).await
    };
    quote! {
        let __key = #key;
        let __options = ::picarcade_cache::Options::default()#(#tags)*;
        let __cache: &::picarcade_cache::Cache<_> = &#cache;
        #this
        #(#owned)*
        #load
    }
}

/// Returns the code of the key.
fn key(
    options: &Options,
    function: &Ident,
    receiver: Option<&Receiver>,
    arguments: &[Argument],
) -> Result<TokenStream> {
    let parts: Vec<Expr> = match (&options.key, receiver) {
        (Some(key), _) => key.clone(),
        (None, None) => arguments.iter().map(|Argument { name, .. }| parse_quote!(#name)).collect(),
        (None, Some(receiver)) => {
            let message = "a cached method needs `key = […]`, because `self` is not a part of the key";
            return Err(Error::new_spanned(receiver, message));
        }
    };
    for part in &parts {
        if let Expr::Path(path) = part
            && let Some(word) = path.path.get_ident()
            && word != "self"
            && !word.to_string().starts_with(char::is_uppercase)
            && arguments.iter().all(|argument| argument.name != *word)
        {
            let known: Vec<_> = arguments.iter().map(|argument| argument.name.to_string()).collect();
            let message = format!("not an argument of this function; there are: {}", known.join(", "));
            return Err(Error::new_spanned(part, message));
        }
    }
    let parts = parts.iter().map(|part| quote_spanned!(part.span()=> .value(&#part)?));
    let version = options.version;
    let function = function.unraw().to_string();
    let name = options
        .name
        .as_ref()
        .map_or_else(|| quote!(::std::concat!(::std::module_path!(), "::", #function)), |name| quote!(#name));
    Ok(quote!(::picarcade_cache::Key::builder(#name, #version)#(#parts)*.finish()))
}

/// Returns the code that turns the result of the lookup into the result of the function.
fn answer(function: &ImplItemFn, form: Returns) -> TokenStream {
    let span = function.sig.output.span();
    let value = quote!(::std::clone::Clone::clone(&*__found.value));
    match form {
        Returns::Value | Returns::Optional => quote_spanned! {span=>
            let __found = __found?;
            ::std::result::Result::Ok(#value)
        },
        Returns::Shared => quote_spanned! {span=>
            ::std::result::Result::Ok(__found?.value)
        },
        Returns::OptionOnly => quote_spanned! {span=>
            let __found = ::std::result::Result::ok(__found)?;
            ::std::option::Option::Some(#value)
        },
    }
}
