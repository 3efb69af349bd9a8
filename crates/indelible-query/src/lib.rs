//! Query text to plan to page; hits are checked on bodies.
