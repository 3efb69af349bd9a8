//! Role traits, the query as data, the in-memory reference and the conformance suites.
