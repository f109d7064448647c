//! The vocabulary as a prefix tree.
//!
//! All pieces that begin at a position of a text are found in one walk over its bytes. The nodes
//! are in breadth-first order, so the children of a node are neighbors, and the children of one
//! node end where those of the next begin. Three flat arrays hold everything.

use std::ops::Range;

/// Marks a node that ends no piece.
const NONE: u32 = u32::MAX;

/// A prefix tree over the bytes of pieces.
pub(super) struct Trie {
    /// The byte that leads to each node; unused for the root.
    labels: Vec<u8>,
    /// The first child of each node, and one entry more for the end of the last node.
    first_child: Vec<u32>,
    /// The piece that ends at each node, or [`NONE`].
    pieces: Vec<u32>,
}

impl Trie {
    /// Builds the tree. Returns `None` if a piece is empty or occurs twice.
    pub(super) fn new(mut pieces: Vec<(&[u8], u32)>) -> Option<Self> {
        pieces.sort_unstable();
        let twice = pieces.windows(2).any(|pair| matches!(pair, [a, b] if a.0 == b.0));
        if twice || pieces.iter().any(|(text, _)| text.is_empty()) {
            return None;
        }
        let mut trie = Self { labels: vec![0], first_child: Vec::new(), pieces: Vec::new() };
        // The sorted pieces below each node, in the order of the nodes, with the depth of the node.
        let mut below: Vec<(Range<usize>, usize)> = vec![(0..pieces.len(), 0)];
        let mut node = 0;
        while let Some((range, depth)) = below.get(node).cloned() {
            node += 1;
            trie.first_child.push(trie.labels.len() as u32);
            let mut start = range.start;
            let mut rest = pieces.get(range).unwrap_or_default();
            // Sorted order puts the piece that ends here first.
            let ending = rest.split_first().filter(|((text, _), _)| text.len() == depth);
            trie.pieces.push(ending.map_or(NONE, |((_, piece), _)| *piece));
            if let Some((_, longer)) = ending {
                rest = longer;
                start += 1;
            }
            for group in rest.chunk_by(|a, b| a.0.get(depth) == b.0.get(depth)) {
                let label = group.first().and_then(|(text, _)| text.get(depth)).copied();
                trie.labels.push(label.unwrap_or_default());
                below.push((start..start + group.len(), depth + 1));
                start += group.len();
            }
        }
        trie.first_child.push(trie.labels.len() as u32);
        Some(trie)
    }

    /// Calls `found` with the length and the number of each piece that the bytes begin with, the
    /// shortest first.
    pub(super) fn prefixes(&self, bytes: &[u8], mut found: impl FnMut(usize, u32)) {
        let mut node = 0;
        for (depth, byte) in bytes.iter().enumerate() {
            let Some(child) = self.child(node, *byte) else { return };
            node = child;
            match self.pieces.get(node) {
                Some(&piece) if piece != NONE => found(depth + 1, piece),
                _ => {}
            }
        }
    }

    fn child(&self, node: usize, byte: u8) -> Option<usize> {
        let first = *self.first_child.get(node)? as usize;
        let end = *self.first_child.get(node + 1)? as usize;
        let place = self.labels.get(first..end)?.binary_search(&byte).ok()?;
        Some(first + place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(trie: &Trie, text: &str) -> Vec<(usize, u32)> {
        let mut found = Vec::new();
        trie.prefixes(text.as_bytes(), |length, piece| found.push((length, piece)));
        found
    }

    #[test]
    fn every_piece_at_the_beginning_of_a_text_is_found() {
        let trie = Trie::new(vec![(b"car", 7), (b"c", 1), (b"carpet", 3), (b"dog", 4)]).unwrap();
        assert_eq!(found(&trie, "carpets"), [(1, 1), (3, 7), (6, 3)]);
        assert_eq!(found(&trie, "cap"), [(1, 1)]);
        assert_eq!(found(&trie, "dog"), [(3, 4)]);
        assert_eq!(found(&trie, "do"), []);
        assert_eq!(found(&trie, ""), []);
    }

    #[test]
    fn a_piece_that_is_empty_or_occurs_twice_is_rejected() {
        assert!(Trie::new(vec![(b"a", 1), (b"a", 2)]).is_none());
        assert!(Trie::new(vec![(b"", 1)]).is_none());
        assert!(found(&Trie::new(Vec::new()).unwrap(), "a").is_empty());
    }
}
