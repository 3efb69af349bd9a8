//! Numbers packed at one width of bits, lowest bits first.

/// The bits the largest of the numbers needs, 0 to 64.
pub(crate) fn width_of(largest: u64) -> u8 {
    (64 - largest.leading_zeros()).to_le_bytes()[0]
}

/// How many bytes `count` numbers of `width` bits take.
pub(crate) fn packed_bytes(count: usize, width: u8) -> usize {
    (count * usize::from(width)).div_ceil(8)
}

/// Appends the numbers at `width` bits each; none needs more.
pub(crate) fn pack(numbers: impl Iterator<Item = u64>, width: u8, out: &mut Vec<u8>) {
    let (mut bits, mut held) = (0_u128, 0_u32);
    for number in numbers {
        bits |= u128::from(number) << held;
        held += u32::from(width);
        while held >= 8 {
            out.push(bits.to_le_bytes()[0]);
            bits >>= 8;
            held -= 8;
        }
    }
    if held > 0 {
        out.push(bits.to_le_bytes()[0]);
    }
}

/// The numbers of `width` bits, without end; missing bytes count as zeros.
pub(crate) fn unpacked(packed: &[u8], width: u8) -> impl Iterator<Item = u64> {
    let width = u32::from(width.min(64));
    let mask = u64::MAX.checked_shr(64 - width).unwrap_or(0);
    let (mut bits, mut held) = (0_u128, 0_u32);
    let mut words = packed.chunks(8);
    std::iter::repeat_with(move || {
        if held < width {
            let mut word = [0; 8];
            if let Some(part) = words.next()
                && let Some(place) = word.get_mut(..part.len())
            {
                place.copy_from_slice(part);
            }
            bits |= u128::from(u64::from_le_bytes(word)) << held;
            held += 64;
        }
        let number = u64::try_from(bits & u128::from(mask)).unwrap_or(0);
        bits >>= width;
        held -= width;
        number
    })
}

/// The number at `index` of packed ones; missing bytes count as zeros, `None` when all are missing.
pub(crate) fn number_at(packed: &[u8], index: usize, width: u8) -> Option<u64> {
    let bit = index.checked_mul(usize::from(width))?;
    let from = packed
        .get(bit / 8..)
        .filter(|rest| width == 0 || !rest.is_empty())?;
    let mut word = [0; 16];
    let count = from.len().min(9);
    word.get_mut(..count)?.copy_from_slice(from.get(..count)?);
    let number = u128::from_le_bytes(word) >> (bit % 8);
    let mask = u128::from(u64::MAX.checked_shr(64 - u32::from(width)).unwrap_or(0));
    u64::try_from(number & mask).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(
            numbers in proptest::collection::vec(any::<u64>(), 0..40),
            cut in 0_u8..64,
        ) {
            let numbers: Vec<_> = numbers.into_iter().map(|n| n >> cut).collect();
            let width = width_of(numbers.iter().copied().max().unwrap_or(0));
            prop_assert!(width <= 64 - cut);
            let mut packed = Vec::new();
            pack(numbers.iter().copied(), width, &mut packed);
            prop_assert_eq!(packed.len(), packed_bytes(numbers.len(), width));
            for (at, number) in numbers.iter().enumerate() {
                prop_assert_eq!(number_at(&packed, at, width), Some(*number));
            }
            let back: Vec<_> = unpacked(&packed, width).take(numbers.len()).collect();
            prop_assert_eq!(back, numbers);
        }
    }
}
