//! The test that the attribute makes of an async function.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ItemFn};

use crate::arguments::{Argument, Arguments, Faults};

/// The function as a test of the same name.
pub(crate) fn expand(arguments: TokenStream, function: TokenStream) -> syn::Result<TokenStream> {
    let Arguments(arguments) = syn::parse2(arguments)?;
    let function: ItemFn = syn::parse2(function)?;
    let signature = &function.sig;
    if signature.asyncness.is_none() {
        return Err(Error::new_spanned(
            signature.fn_token,
            "must be an `async fn`",
        ));
    }
    if signature.inputs.len() != 1 || !signature.generics.params.is_empty() {
        let message = "takes one argument, the bed, and is not generic";
        return Err(Error::new_spanned(&signature.ident, message));
    }
    let (name, attributes, visibility) = (&signature.ident, &function.attrs, &function.vis);
    let (inputs, output, body) = (&signature.inputs, &signature.output, &function.block);
    let settings = arguments.iter().map(setting);
    Ok(quote! {
        #[::core::prelude::v1::test]
        #(#attributes)*
        #visibility fn #name() {
            async fn #name(#inputs) #output #body
            let place = ::althing_sim::testbed::attribute::Place {
                name: ::core::stringify!(#name),
                source: ::core::file!(),
                folder: ::core::env!("CARGO_MANIFEST_DIR"),
            };
            let trial = ::althing_sim::testbed::attribute::trial(&place) #(#settings)*;
            ::althing_sim::testbed::attribute::play(&place, trial, #name);
        }
    })
}

fn setting(argument: &Argument) -> TokenStream {
    match argument {
        Argument::Servers(servers) => quote!(.servers(#servers)),
        Argument::Seeds { first, end } => quote!(.seeds(#first..#end)),
        Argument::Faults(Faults::Swarm) => quote!(),
        Argument::Faults(Faults::None) => quote!(.without_faults()),
        Argument::Lasts(time) => {
            let time = duration(*time);
            quote!(.lasts(#time))
        }
        Argument::Settles(time) => {
            let time = duration(*time);
            quote!(.settles(#time))
        }
        Argument::Scenario(file) => quote!(.scenario(#file)),
    }
}

fn duration(time: Duration) -> TokenStream {
    let (seconds, nanos) = (time.as_secs(), time.subsec_nanos());
    quote!(::core::time::Duration::new(#seconds, #nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(arguments: &str, function: &str) -> String {
        let tokens = |text: &str| text.parse::<TokenStream>().expect("tokens");
        match expand(tokens(arguments), tokens(function)) {
            Ok(test) => test.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_settings_stand_in_their_order() {
        let test = expanded(
            "servers = 5, seeds = 0..50, lasts = \"1500ms\"",
            "#[ignore] async fn one_master(bed: Bed) { bed.faults_over().await }",
        );
        let told = ". servers (5u8) . seeds (0u64 .. 50u64) . lasts (:: core :: time :: Duration \
                    :: new (1u64 , 500000000u32))";
        assert!(test.contains(told), "{test}");
        assert!(test.contains("# [ignore] fn one_master ()"), "{test}");
    }

    #[test]
    fn only_an_async_function_of_a_bed_will_do() {
        assert_eq!(expanded("", "fn f(bed: Bed) {}"), "must be an `async fn`");
        let bed = "takes one argument, the bed, and is not generic";
        assert_eq!(expanded("", "async fn f() {}"), bed);
        assert_eq!(expanded("", "async fn f<T>(bed: T) {}"), bed);
    }
}
