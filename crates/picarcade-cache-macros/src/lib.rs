//! The attribute `#[cached]` of `picarcade-cache`, which exports it under the feature `macros`.

mod expand;
mod function;
mod options;

use proc_macro::TokenStream;
use syn::parse_macro_input;

/// Caches the results of an async function. `picarcade_cache::cached` has the documentation.
#[proc_macro_attribute]
pub fn cached(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(arguments as options::Options);
    let function = parse_macro_input!(item as syn::ImplItemFn);
    expand::expand(&options, &function).unwrap_or_else(syn::Error::into_compile_error).into()
}
