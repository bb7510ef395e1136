//! The octets of attribute sets, packed.
//!
//! Sets are many and short: an allocation for each would cost a quarter more, and a pointer of sixteen octets. Here pieces of the same length,
//! rounded up to four octets, lie in *slabs* of some four KiB, and a piece is named by a number. A slab none of whose pieces is in use
//! is given back, so that a table whose sets have become longer does not keep the room of the shorter ones.

use std::collections::BTreeSet;

/// Lengths are rounded up to a multiple of this.
const GRAIN: usize = 4;
/// Octets of a slab of many pieces.
const SLAB_LEN: usize = 4096;
/// A longer piece has a slab for itself: fewer than eight in one would leave too much over.
const SHARED_LEN_MAX: usize = SLAB_LEN / 8;
const PIECE_BITS: u32 = 8;
const PIECES_MAX: usize = 1 << PIECE_BITS;

/// Where the octets of a set lie: the slab's number above the piece's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece(u32);

impl Piece {
    /// Where nothing need lie.
    pub const FIRST: Piece = Piece(0);

    fn slab(self) -> usize {
        (self.0 >> PIECE_BITS) as usize
    }

    fn number(self) -> usize {
        self.0 as usize & (PIECES_MAX - 1)
    }
}

/// Pieces of one length. Unused ones are chained: each begins with the number of the next one.
struct Slab {
    octets: Box<[u8]>,
    /// Octets of each piece; 0: the number is not in use.
    piece_len: u32,
    used: u16,
    /// Head of the chain; beyond the last piece: all are in use.
    free: u16,
}

impl Slab {
    fn new(piece_len: usize) -> Slab {
        let pieces = if piece_len > SHARED_LEN_MAX { 1 } else { (SLAB_LEN / piece_len).min(PIECES_MAX) };
        let mut octets = vec![0; pieces * piece_len].into_boxed_slice();
        for (next, piece) in (1u16..).zip(octets.chunks_exact_mut(piece_len)) {
            piece[..2].copy_from_slice(&next.to_le_bytes());
        }
        Slab { octets, piece_len: piece_len as u32, used: 0, free: 0 }
    }

    #[inline]
    fn piece(&self, number: usize, len: usize) -> &[u8] {
        &self.octets[number * self.piece_len as usize..][..len]
    }

    fn piece_mut(&mut self, number: usize) -> &mut [u8] {
        let piece_len = self.piece_len as usize;
        &mut self.octets[number * piece_len..][..piece_len]
    }

    fn is_full(&self) -> bool {
        usize::from(self.free) * self.piece_len as usize == self.octets.len()
    }
}

/// All pieces.
pub struct Contents {
    slabs: Vec<Slab>,
    /// By length in grains, up to [`SHARED_LEN_MAX`]: slabs with room. The lowest is filled first, so that others may become empty.
    with_room: Vec<BTreeSet<u32>>,
    /// Numbers without a slab.
    vacant: Vec<u32>,
}

impl Default for Contents {
    fn default() -> Contents {
        let with_room = vec![BTreeSet::new(); SHARED_LEN_MAX / GRAIN + 1];
        Contents { slabs: Vec::new(), with_room, vacant: Vec::new() }
    }
}

impl Contents {
    /// Takes octets in, one part behind the other.
    pub fn put(&mut self, parts: [&[u8]; 3]) -> Piece {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let class = len.div_ceil(GRAIN).max(1);
        let known = self.with_room.get(class).and_then(|slabs| slabs.first().copied());
        let number = known.unwrap_or_else(|| self.add(class));
        let slab = &mut self.slabs[number as usize];
        let free = usize::from(slab.free);
        let piece = slab.piece_mut(free);
        let next = u16::from_le_bytes([piece[0], piece[1]]);
        let mut at = 0;
        for part in parts {
            piece[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        slab.free = next;
        slab.used += 1;
        if slab.is_full()
            && let Some(slabs) = self.with_room.get_mut(class)
        {
            slabs.remove(&number);
        }
        Piece(number << PIECE_BITS | free as u32)
    }

    fn add(&mut self, class: usize) -> u32 {
        let slab = Slab::new(class * GRAIN);
        let number = match self.vacant.pop() {
            Some(number) => {
                self.slabs[number as usize] = slab;
                number
            }
            None => {
                self.slabs.push(slab);
                (self.slabs.len() - 1) as u32
            }
        };
        if let Some(slabs) = self.with_room.get_mut(class) {
            slabs.insert(number);
        }
        number
    }

    /// The octets of a piece in use: the first so many of it.
    #[inline]
    pub fn get(&self, piece: Piece, len: usize) -> &[u8] {
        self.slabs[piece.slab()].piece(piece.number(), len)
    }

    /// Gives a piece's room back.
    pub fn remove(&mut self, piece: Piece) {
        let (number, slab) = (piece.slab() as u32, &mut self.slabs[piece.slab()]);
        let class = slab.piece_len as usize / GRAIN;
        let next = slab.free.to_le_bytes();
        slab.piece_mut(piece.number())[..2].copy_from_slice(&next);
        slab.free = piece.number() as u16;
        slab.used -= 1;
        let is_empty = slab.used == 0;
        if is_empty {
            *slab = Slab { octets: Box::default(), piece_len: 0, used: 0, free: 0 };
            self.vacant.push(number);
        }
        if let Some(slabs) = self.with_room.get_mut(class) {
            if is_empty {
                slabs.remove(&number)
            } else {
                slabs.insert(number)
            };
        }
    }

    /// Octets that slabs take.
    #[cfg(test)]
    fn memory(&self) -> usize {
        self.slabs.iter().map(|slab| slab.octets.len() + size_of::<Slab>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_keep_what_was_put_in(operations in prop::collection::vec((0usize..400, 0usize..40, any::<u8>()), 0..800)) {
            let (mut contents, mut model) = (Contents::default(), Vec::<(Piece, Vec<u8>)>::new());
            for (place, len, octet) in operations {
                // Some are longer than what lies in a slab with others.
                let len = if len == 39 { 3000 } else { len };
                if place < model.len() {
                    let (piece, _) = model.swap_remove(place);
                    contents.remove(piece);
                } else {
                    let octets = vec![octet; len];
                    let (head, tail) = octets.split_at(len / 3);
                    model.push((contents.put([head, &[], tail]), octets));
                }
                for (piece, octets) in &model {
                    prop_assert_eq!(contents.get(*piece, octets.len()), octets.as_slice());
                }
            }
            for (piece, _) in model {
                contents.remove(piece);
            }
            prop_assert!(contents.with_room.iter().all(BTreeSet::is_empty));
            prop_assert_eq!(contents.vacant.len(), contents.slabs.len());
        }
    }

    #[test]
    fn short_pieces_cost_little_more_than_they_are_long() {
        const COUNT: usize = 50_000;
        let (mut contents, octets) = (Contents::default(), [7; 90]);
        let lengths = (0..COUNT).map(|number| 40 + number % 50);
        let pieces: Vec<(Piece, usize)> = lengths.map(|len| (contents.put([&octets[..len], &[], &[]]), len)).collect();
        let long: usize = pieces.iter().map(|(_, len)| len).sum();
        assert!(contents.memory() < long + long / 16, "{} octets for {long}", contents.memory());
        // The room of the short ones is given back.
        pieces.iter().filter(|(_, len)| *len <= 80).for_each(|(piece, _)| contents.remove(*piece));
        let left: usize = pieces.iter().map(|(_, len)| len).filter(|len| **len > 80).sum();
        assert!(contents.memory() < left + left / 8, "{} octets for {left}", contents.memory());
    }
}
