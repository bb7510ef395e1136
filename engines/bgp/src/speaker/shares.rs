//! By which weights several paths share the packets: in proportion to the bandwidths that they tell of
//! (draft-ietf-idr-link-bandwidth §4), and evenly where one of them tells of none.

use smallvec::SmallVec;

/// The greatest weight.
const WEIGHT_MAX: f32 = holdfast_rib::limits::WEIGHT_MAX as f32;
/// The smallest bandwidth weighs no more than this where a smaller number says nearly the same.
const LEAST_MAX: u16 = 16;
/// How far a share may be off for the sake of small numbers.
const TOLERANCE: f32 = 0.01;

/// Weights of paths of these bandwidths, in their order: the smallest numbers that are in proportion, to a hundredth; where there are none that
/// small, the nearest ones that a weight can say, none below 1.
pub(super) fn weights(bandwidths: &[Option<f32>]) -> SmallVec<[u16; 8]> {
    let known: SmallVec<[f32; 8]> = bandwidths.iter().flatten().copied().collect();
    let least = known.iter().copied().fold(f32::INFINITY, f32::min);
    let most = known.iter().copied().fold(0.0, f32::max);
    if known.len() < bandwidths.len() || least == most {
        return bandwidths.iter().map(|_| 1).collect();
    }
    let small = (1..=LEAST_MAX).map(|weight| f32::from(weight) / least).find(|scale| {
        let fits = |bandwidth: &f32| {
            let (exact, whole) = (bandwidth * scale, (bandwidth * scale).round());
            whole <= WEIGHT_MAX && (exact - whole).abs() <= exact * TOLERANCE
        };
        known.iter().all(fits)
    });
    let scale = small.unwrap_or(WEIGHT_MAX / most);
    known.iter().map(|bandwidth| (bandwidth * scale).round().clamp(1.0, WEIGHT_MAX) as u16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(bandwidths: &[f32]) -> Vec<u16> {
        weights(&bandwidths.iter().copied().map(Some).collect::<Vec<_>>()).to_vec()
    }

    #[test]
    fn small_numbers_say_it_where_they_can() {
        assert_eq!(of(&[1.25e9, 1.25e9]), [1, 1]);
        assert_eq!(of(&[1.25e9, 5e9]), [1, 4]);
        assert_eq!(of(&[3e6, 2e6]), [3, 2]);
        assert_eq!(of(&[1e9, 2.5e9, 1e10]), [2, 5, 20]);
        assert_eq!(of(&[1.0, 1e9]), [1, 255]);
        assert_eq!(of(&[f32::MIN_POSITIVE, f32::MAX]), [1, 255]);
        assert_eq!(weights(&[Some(1e9), None, Some(2e9)]).as_slice(), [1, 1, 1], "one of them tells of none");
    }

    proptest! {
        #[test]
        fn shares_are_near_the_bandwidths(bandwidths in proptest::collection::vec(1e6f32..1e8, 2..9)) {
            let weights = of(&bandwidths);
            let (sum, total) = (weights.iter().map(|weight| f32::from(*weight)).sum::<f32>(), bandwidths.iter().sum::<f32>());
            for (weight, bandwidth) in weights.iter().zip(&bandwidths) {
                let (share, exact) = (f32::from(*weight) / sum, bandwidth / total);
                prop_assert!((share - exact).abs() < 0.012, "{share} of {exact}");
            }
        }
    }
}
