//! A real browser: a page that embeds a beacon, a click that lands, and the opt-out page with its cookie.

#[cfg(test)]
mod support;
