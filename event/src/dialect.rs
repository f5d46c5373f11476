//! Dialects as data: a table says how a grammar separates its parameters and which field each one fills.
