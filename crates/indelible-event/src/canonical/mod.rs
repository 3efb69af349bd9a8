//! The canonical form: RFC 8785 key order and string escapes, no white space, numbers verbatim.
//!
//! Not here: what the members mean. Invariants: canonical bytes canonicalize to themselves; two
//! texts with the same values and the same number tokens have the same canonical bytes; nothing
//! is ever rounded, dropped or repaired. Source: `spec/canonical-form.md`.

mod json;
mod parse;
pub(crate) mod scan;
mod string;

use std::borrow::Cow;

pub use json::{Json, Number, Object};
pub use string::{string_token, unescape, write_string};

use crate::problem::Problem;

/// Brings a JSON text into canonical form. Borrows if it is in that form already.
///
/// # Errors
/// Every problem that could be found, each with JSON pointer and byte offset: duplicate keys, lone
/// surrogates, long numbers; and the first of those that end the reading: broken syntax, invalid
/// UTF-8, nesting deeper than 32, bytes after the value, nothing at all.
pub fn canonicalize(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Vec<Problem>> {
    if is_canonical(bytes) {
        return Ok(Cow::Borrowed(bytes));
    }
    parse::parse(bytes).map(|value| {
        let mut out = Vec::with_capacity(bytes.len());
        value.write(&mut out);
        Cow::Owned(out)
    })
}

/// Whether the bytes are one JSON value in canonical form. One pass, no allocation.
pub fn is_canonical(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok() && scan::scan(bytes, &mut ())
}

/// Writes one canonical object member by member; the caller keeps the keys in order.
///
/// In debug builds an out-of-order key panics.
#[derive(Debug)]
pub struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
    #[cfg(debug_assertions)]
    last: String,
}

impl<'a> ObjectWriter<'a> {
    /// Opens an object.
    pub fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self {
            out,
            empty: true,
            #[cfg(debug_assertions)]
            last: String::new(),
        }
    }

    fn key(&mut self, key: &str) {
        #[cfg(debug_assertions)]
        {
            let in_order = scan::utf16_order(&self.last, key).is_lt();
            assert!(
                self.empty || in_order,
                "key {key} is out of canonical order"
            );
            key.clone_into(&mut self.last);
        }
        if !std::mem::replace(&mut self.empty, false) {
            self.out.push(b',');
        }
        write_string(self.out, key);
        self.out.push(b':');
    }

    /// Writes a string member.
    pub fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        write_string(self.out, value);
    }

    /// Writes an integer member.
    pub fn number(&mut self, key: &str, value: u64) {
        self.raw(key, value.to_string().as_bytes());
    }

    /// Writes a true or false member.
    pub fn boolean(&mut self, key: &str, value: bool) {
        self.raw(key, if value { b"true" } else { b"false" });
    }

    /// Writes an array of strings.
    pub fn texts<T: AsRef<str>>(&mut self, key: &str, values: impl IntoIterator<Item = T>) {
        self.key(key);
        self.out.push(b'[');
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            write_string(self.out, value.as_ref());
        }
        self.out.push(b']');
    }

    /// Writes a member whose value is canonical JSON already.
    pub fn raw(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        self.out.extend_from_slice(value);
    }

    /// Writes a member whose value the caller appends.
    pub fn with(&mut self, key: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.key(key);
        write(self.out);
    }

    /// Closes the object.
    pub fn close(self) {
        self.out.push(b'}');
    }
}
