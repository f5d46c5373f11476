//! Promise 3 (a raw identifier never leaves memory): a run that sends identifiers in every form and in every odd place; afterwards none of
//! them is found in the data folder, in decoded dumps, in the logs or in the metrics.

#[cfg(test)]
mod support;
