//! A ClickHouse server's HTTP interface over the embedded engine, for tests only.
