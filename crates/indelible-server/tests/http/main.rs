//! The server over real sockets, on stores in memory: every route, each limit, bad clients.
#![allow(clippy::unwrap_used, reason = "tests")]

mod access;
mod accesses;
mod attachments;
mod bad;
mod batches;
mod bound;
mod cors;
mod counted;
mod counts;
mod every_route;
mod exports;
mod following;
mod gone;
mod health;
mod issuer;
mod keys;
mod limits;
mod many;
mod personal;
mod proxies;
mod reading;
mod related;
mod routes;
mod shadow;
mod streams;
mod support;
mod tail;
mod tokens;
mod turns;
mod viewers;
mod work;
