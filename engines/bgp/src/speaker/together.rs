//! Brings equal numbers together, for what is written in batches.

/// Bits that one pass looks at: the counts fit in the first level of a cache.
const DIGIT_BITS: u32 = 11;
const DIGITS: usize = 1 << DIGIT_BITS;

/// Below, comparisons are cheaper than passes.
const FEW: usize = 128;

/// Sorts by a number; what has the same one stays in the order in which it came. Two passes over a batch with ids as they are in a full
/// table, and no comparisons.
pub(super) fn bring_together<T: Copy>(items: &mut Vec<T>, number: impl Fn(&T) -> u32) {
    if items.len() < FEW {
        return items.sort_by_key(number);
    }
    let first = number(&items[0]);
    let differing = items.iter().fold(0, |bits, item| bits | (number(item) ^ first));
    let mut from = std::mem::take(items);
    let mut into = from.clone();
    for shift in
        (0..u32::BITS).step_by(DIGIT_BITS as usize).filter(|shift| differing >> shift & (DIGITS as u32 - 1) != 0)
    {
        let digit = |item: &T| (number(item) >> shift) as usize & (DIGITS - 1);
        let mut places = [0u32; DIGITS];
        from.iter().for_each(|item| places[digit(item)] += 1);
        let mut before = 0;
        for place in &mut places {
            before += std::mem::replace(place, before);
        }
        for item in &from {
            let place = &mut places[digit(item)];
            into[*place as usize] = *item;
            *place += 1;
        }
        std::mem::swap(&mut from, &mut into);
    }
    *items = from;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_a_stable_sort_does(numbers in prop::collection::vec(any::<u32>(), 0..400), bits in 0u32..32, few in 0u32..32) {
            let number = |(number, _): &(u32, usize)| number >> bits << few;
            let mut items: Vec<(u32, usize)> = numbers.into_iter().enumerate().map(|(at, number)| (number, at)).collect();
            let mut expected = items.clone();
            expected.sort_by_key(number);
            bring_together(&mut items, number);
            prop_assert_eq!(items, expected);
        }
    }
}
