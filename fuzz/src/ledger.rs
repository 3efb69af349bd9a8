//! A ledger in which one file has other bytes.
//!
//! An input is a byte that names the file, a byte that says what happens to it, a place as two
//! bytes and the bytes that are put there.

use crate::files::{FILES, named, read_with};

/// Whether the ledger opened; panics where reading, searching or checking it does.
///
/// # Panics
/// See above.
pub fn run(input: &[u8]) -> bool {
    let Some((&[file, how, low, high], bytes)) = input.split_first_chunk() else {
        return false;
    };
    let (path, whole) = named(file);
    let at = usize::from(u16::from_le_bytes([low, high])) % (whole.len() + 1);
    let behind = match how % 3 {
        // Over what is there, before it, in place of all that follows.
        0 => whole.len().min(at + bytes.len()),
        1 => at,
        _ => whole.len(),
    };
    read_with(path, &[&whole[..at], bytes, &whole[behind..]].concat())
}

/// Every file as it is, and cut.
pub fn seeds() -> Vec<Vec<u8>> {
    let files = FILES.values().zip(0_u8..);
    files
        .flat_map(|(bytes, file)| {
            let middle = u16::try_from(bytes.len() / 2)
                .unwrap_or(u16::MAX)
                .to_le_bytes();
            let whole = [&[file, 2, 0, 0][..], bytes].concat();
            [whole, vec![file, 2, middle[0], middle[1]]]
        })
        .collect()
}
