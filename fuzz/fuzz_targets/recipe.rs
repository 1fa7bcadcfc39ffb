//! Image recipes.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = honcho_images::Recipe::parse(text);
});
