//! The picker against a model that keeps everything in plain maps and looks at
//! all of it every time.

use proptest::prelude::*;

use super::*;
use crate::ids::BLOCK_SIZE;

const PEERS: u64 = 5;

/// Who holds a block, who sent it.
#[derive(Clone, Debug, Default)]
struct Cell {
    holders: Vec<PeerKey>,
    from: Option<PeerKey>,
}

struct Model {
    layout: Layout,
    have: Vec<bool>,
    priority: Vec<u8>,
    cells: BTreeMap<Block, Cell>,
    /// `None` for a seed.
    peers: BTreeMap<PeerKey, Option<Bitfield>>,
    sequential: bool,
    /// Whether every peer was slow, so that no piece is ever reserved.
    all_slow: bool,
}

impl Model {
    fn new(layout: Layout) -> Self {
        let pieces = layout.num_pieces() as usize;
        let cells = layout
            .pieces()
            .flat_map(|piece| {
                (0..layout.blocks_in_piece(piece)).map(move |index| Block::new(piece, index))
            })
            .map(|block| (block, Cell::default()))
            .collect();
        Self {
            layout,
            have: vec![false; pieces],
            priority: vec![4; pieces],
            cells,
            peers: BTreeMap::new(),
            sequential: false,
            all_slow: true,
        }
    }

    fn wanted(&self, piece: PieceIndex) -> bool {
        let at = piece.0 as usize;
        !self.have[at] && self.priority[at] > 0
    }

    fn of(&self, piece: PieceIndex) -> impl Iterator<Item = (&Block, &Cell)> {
        self.cells
            .iter()
            .filter(move |(block, _)| block.piece == piece)
    }

    fn is_open(&self, block: Block) -> bool {
        let cell = &self.cells[&block];
        self.wanted(block.piece) && cell.holders.is_empty() && cell.from.is_none()
    }

    fn begun(&self, piece: PieceIndex) -> bool {
        self.of(piece)
            .any(|(_, cell)| !cell.holders.is_empty() || cell.from.is_some())
    }

    fn has(&self, peer: PeerKey, piece: PieceIndex) -> bool {
        self.peers[&peer]
            .as_ref()
            .is_none_or(|pieces| pieces.get(piece.0))
    }

    fn availability(&self, piece: PieceIndex) -> u32 {
        self.peers
            .keys()
            .filter(|peer| self.has(**peer, piece))
            .count() as u32
    }

    fn clear(&mut self, piece: PieceIndex) {
        for (block, cell) in &mut self.cells {
            if block.piece == piece {
                *cell = Cell::default();
            }
        }
    }

    /// What the peer could be given that is requested from no peer.
    fn offers(&self, peer: PeerKey) -> Vec<Block> {
        self.cells
            .keys()
            .copied()
            .filter(|block| self.is_open(*block) && self.has(peer, block.piece))
            .collect()
    }

    /// Checks a pick block by block, carrying it out.
    fn check_pick(&mut self, peer: PeerKey, count: u32, picked: &[Block]) {
        assert!(picked.len() <= count as usize);
        if picked.is_empty() || !self.is_open(picked[0]) {
            return self.check_end_game(peer, count, picked);
        }
        let num_have = self.have.iter().filter(|have| **have).count();
        for &block in picked {
            let at = block.piece.0 as usize;
            assert!(
                self.is_open(block) && self.has(peer, block.piece),
                "{block}"
            );
            let offers = self.offers(peer);
            let best = offers
                .iter()
                .map(|offer| self.priority[offer.piece.0 as usize])
                .max();
            if self.all_slow {
                assert_eq!(
                    Some(self.priority[at]),
                    best,
                    "{block}: a better one is open"
                );
            }
            let equals = offers
                .iter()
                .filter(|offer| self.priority[offer.piece.0 as usize] == self.priority[at]);
            if self.sequential {
                assert_eq!(equals.min(), Some(&block));
            } else if !self.begun(block.piece) {
                let mut equals = equals.filter(|offer| offer.piece != block.piece);
                if self.all_slow {
                    assert!(
                        equals.clone().all(|offer| !self.begun(offer.piece)),
                        "{block}"
                    );
                }
                let mine = self.availability(block.piece);
                assert!(
                    num_have < 4
                        || equals.all(|offer| self.begun(offer.piece)
                            || self.availability(offer.piece) >= mine),
                    "{block}: a rarer one is open"
                );
            }
            self.cells.get_mut(&block).unwrap().holders.push(peer);
        }
        if picked.len() < count as usize {
            assert!(self.offers(peer).is_empty());
        }
    }

    fn check_end_game(&mut self, peer: PeerKey, count: u32, picked: &[Block]) {
        assert!(count == 0 || self.offers(peer).is_empty());
        let any_open = self.cells.keys().any(|block| self.is_open(*block));
        let may = |model: &Self, block: &Block| {
            let cell = &model.cells[block];
            !any_open
                && model.wanted(block.piece)
                && model.has(peer, block.piece)
                && cell.from.is_none()
                && (1..3).contains(&cell.holders.len())
                && !cell.holders.contains(&peer)
        };
        for block in picked {
            assert!(may(self, block), "{block} is no block for the end game");
            let fewest = self
                .cells
                .keys()
                .filter(|other| may(self, other))
                .map(|other| self.cells[other].holders.len())
                .min();
            assert_eq!(Some(self.cells[block].holders.len()), fewest);
            self.cells.get_mut(block).unwrap().holders.push(peer);
        }
        if picked.len() < (count as usize).min(16) {
            assert!(!self.cells.keys().any(|block| may(self, block)));
        }
    }

    fn receive(&mut self, peer: PeerKey, block: Block) -> (Received, Vec<PeerKey>) {
        let Some(cell) = self.cells.get(&block) else {
            return (Received::NotWanted, Vec::new());
        };
        if self.have[block.piece.0 as usize] || cell.from.is_some() {
            return (Received::Duplicate, Vec::new());
        }
        if !self.wanted(block.piece) && !self.begun(block.piece) {
            return (Received::NotWanted, Vec::new());
        }
        let cell = self.cells.get_mut(&block).unwrap();
        cell.from = Some(peer);
        let mut cancels = std::mem::take(&mut cell.holders);
        cancels.retain(|holder| *holder != peer);
        (Received::New, cancels)
    }

    fn compare(&self, picker: &Picker) {
        picker.check_invariants();
        let (mut wanted_bytes, mut wanted_done, mut done) = (0, 0, 0);
        for piece in self.layout.pieces() {
            let at = piece.0 as usize;
            assert_eq!(picker.we_have(piece), self.have[at]);
            assert_eq!(picker.is_wanted(piece), self.wanted(piece));
            assert_eq!(picker.availability(piece), self.availability(piece));
            assert_eq!(
                u32::from(picker.priority(piece).value()),
                u32::from(self.priority[at])
            );
            let complete = self.of(piece).all(|(_, cell)| cell.from.is_some());
            assert_eq!(picker.piece_complete_blocks(piece), complete);
            let mut senders: Vec<_> = self.of(piece).filter_map(|(_, cell)| cell.from).collect();
            senders.sort();
            senders.dedup();
            assert_eq!(picker.contributors(piece), senders);
            let length = u64::from(self.layout.piece_len(piece));
            let here: u64 = match self.have[at] {
                true => length,
                false => self
                    .of(piece)
                    .filter(|(_, cell)| cell.from.is_some())
                    .map(|(block, _)| u64::from(self.layout.block_len(*block)))
                    .sum(),
            };
            done += here;
            if self.priority[at] > 0 {
                wanted_bytes += length;
                wanted_done += here;
            }
        }
        assert_eq!(picker.done(), done);
        assert_eq!(picker.total_wanted(), wanted_bytes);
        assert_eq!(picker.wanted_done(), wanted_done);
        assert_eq!(picker.wanted_left(), wanted_bytes - wanted_done);
        let pieces: Vec<PieceIndex> = self.layout.pieces().collect();
        let lacking = pieces.iter().copied().filter(|piece| self.wanted(*piece));
        assert_eq!(picker.is_finished(), lacking.clone().count() == 0);
        for (peer, pieces) in &self.peers {
            let has = pieces.as_ref().map_or(PeerPieces::All, PeerPieces::Some);
            let count = lacking
                .clone()
                .filter(|piece| self.has(*peer, *piece))
                .count();
            assert_eq!(picker.interesting_pieces(&has) as usize, count);
            assert_eq!(picker.is_interesting(&has), count > 0);
        }
        for partial in picker.partial_pieces() {
            let mut states = vec![BlockState::Open; partial.num_blocks() as usize];
            for (index, state) in partial.begun_blocks() {
                states[index as usize] = state;
            }
            assert!(states.into_iter().eq(partial.blocks()));
            for ((_, cell), state) in self.of(partial.piece).zip(partial.blocks()) {
                match state {
                    BlockState::Open => {
                        assert!(cell.holders.is_empty() && cell.from.is_none());
                    }
                    BlockState::Requested { peer, peers } => {
                        assert!(cell.holders.contains(&peer));
                        assert_eq!(cell.holders.len(), peers as usize);
                    }
                    BlockState::Received { peer } => assert_eq!(cell.from, Some(peer)),
                    BlockState::Padding => panic!("the model has no padding"),
                }
            }
        }
        let begun = self.layout.pieces().filter(|piece| self.begun(*piece));
        assert_eq!(picker.partial_pieces().count(), begun.count());
    }
}

#[derive(Clone, Debug)]
enum Op {
    Join(u64, Option<Vec<bool>>),
    Leave(u64),
    Has(u64, u32),
    Pick(u64, u32, bool),
    Answer(u64, usize, bool),
    Stray(u64, u32, u32),
    Verdict(u32, bool),
    Have(u32),
    Lost(u32),
    Priority(u32, u8),
    Sequential(bool),
}

fn op() -> impl Strategy<Value = Op> {
    let (peer, piece) = (0..PEERS, 0u32..14);
    prop_oneof![
        2 => (peer.clone(), prop::option::weighted(0.8, prop::collection::vec(any::<bool>(), 12)))
            .prop_map(|(peer, pieces)| Op::Join(peer, pieces)),
        1 => peer.clone().prop_map(Op::Leave),
        2 => (peer.clone(), piece.clone()).prop_map(|(peer, piece)| Op::Has(peer, piece)),
        8 => (peer.clone(), 0u32..12, any::<bool>())
            .prop_map(|(peer, count, fast)| Op::Pick(peer, count, fast)),
        16 => (peer.clone(), 0usize..64, prop::bool::weighted(0.8))
            .prop_map(|(peer, at, came)| Op::Answer(peer, at, came)),
        1 => (peer, piece.clone(), 0u32..4)
            .prop_map(|(peer, piece, index)| Op::Stray(peer, piece, index)),
        4 => (piece.clone(), prop::bool::weighted(0.8)).prop_map(|(piece, good)| Op::Verdict(piece, good)),
        1 => piece.clone().prop_map(Op::Have),
        1 => piece.clone().prop_map(Op::Lost),
        2 => (piece, 0u8..8).prop_map(|(piece, priority)| Op::Priority(piece, priority)),
        1 => prop::bool::weighted(0.2).prop_map(Op::Sequential),
    ]
}

fn carry_out(op: Op, slow: bool, model: &mut Model, picker: &mut Picker) {
    let pieces = model.layout.num_pieces();
    match op {
        Op::Join(peer, mask) if !model.peers.contains_key(&PeerKey(peer)) => {
            join(PeerKey(peer), mask, model, picker);
        }
        Op::Leave(peer) => {
            leave(PeerKey(peer), model, picker);
        }
        Op::Has(peer, piece) => {
            if let Some(Some(set)) = model.peers.get_mut(&PeerKey(peer))
                && set.set(piece)
            {
                picker.peer_has(PieceIndex(piece));
            }
        }
        Op::Pick(peer, count, fast) => {
            let peer = PeerKey(peer);
            let Some(set) = model.peers.get(&peer) else {
                return;
            };
            let has = set.as_ref().map_or(PeerPieces::All, PeerPieces::Some);
            let speed = if fast && !slow {
                Speed::Fast
            } else {
                Speed::Slow
            };
            let mut out = Vec::new();
            picker.pick(peer, &has, count, speed, &[], &mut out);
            model.check_pick(peer, count, &out);
        }
        Op::Answer(peer, at, came) => {
            answer(PeerKey(peer), at, came, model, picker);
        }
        Op::Stray(peer, piece, index) => {
            receive(
                PeerKey(peer),
                Block::new(PieceIndex(piece), index),
                model,
                picker,
            );
        }
        Op::Verdict(piece, good) => {
            let piece = PieceIndex(piece);
            if !picker.piece_complete_blocks(piece) {
                return;
            }
            if good {
                picker.set_have(piece);
                model.have[piece.0 as usize] = true;
            } else {
                picker.we_dont_have(piece);
            }
            model.clear(piece);
        }
        Op::Have(piece) => {
            picker.set_have(PieceIndex(piece));
            if piece < pieces {
                model.have[piece as usize] = true;
                model.clear(PieceIndex(piece));
            }
        }
        Op::Lost(piece) => {
            picker.we_dont_have(PieceIndex(piece));
            if piece < pieces {
                model.have[piece as usize] = false;
                model.clear(PieceIndex(piece));
            }
        }
        Op::Priority(piece, priority) => {
            picker.set_priority(PieceIndex(piece), Priority::new(priority).unwrap());
            if piece < pieces {
                model.priority[piece as usize] = priority;
            }
        }
        Op::Sequential(sequential) => {
            picker.set_sequential(sequential);
            model.sequential = sequential;
        }
        Op::Join(..) => {}
    }
}

fn join(peer: PeerKey, mask: Option<Vec<bool>>, model: &mut Model, picker: &mut Picker) {
    let pieces = model.layout.num_pieces();
    let set = mask.map(|mask| {
        let mut set = Bitfield::new(pieces);
        for (piece, _) in (0..pieces).zip(mask).filter(|(_, bit)| *bit) {
            set.set(piece);
        }
        set
    });
    match &set {
        None => picker.peer_seed_joined(),
        Some(set) => picker.peer_joined(set),
    }
    model.peers.insert(peer, set);
}

fn leave(peer: PeerKey, model: &mut Model, picker: &mut Picker) {
    match model.peers.remove(&peer) {
        None => return,
        Some(None) => picker.peer_seed_left(),
        Some(Some(set)) => picker.peer_left(&set),
    }
    for (&block, cell) in &mut model.cells {
        if cell.holders.contains(&peer) {
            cell.holders.retain(|holder| *holder != peer);
            picker.returned(peer, block);
        }
    }
}

fn answer(peer: PeerKey, at: usize, came: bool, model: &mut Model, picker: &mut Picker) {
    let held: Vec<Block> = model
        .cells
        .iter()
        .filter(|(_, cell)| cell.holders.contains(&peer))
        .map(|(&block, _)| block)
        .collect();
    let Some(&block) = held.get(at % held.len().max(1)) else {
        return;
    };
    if came {
        receive(peer, block, model, picker);
    } else {
        let cell = model.cells.get_mut(&block).unwrap();
        cell.holders.retain(|holder| *holder != peer);
        picker.returned(peer, block);
    }
}

fn receive(peer: PeerKey, block: Block, model: &mut Model, picker: &mut Picker) {
    let mut cancels = Vec::new();
    let got = picker.received(peer, block, &mut cancels);
    let (expected, mut holders) = model.receive(peer, block);
    holders.sort();
    cancels.sort();
    assert_eq!((got, cancels), (expected, holders));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn behaves_like_the_model(
        pieces in 1u64..13,
        blocks in 1u32..4,
        short in 0u64..20_000,
        seed: u64,
        slow: bool,
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let piece_length = blocks * BLOCK_SIZE - if blocks == 3 { 100 } else { 0 };
        let total = (pieces * u64::from(piece_length)).saturating_sub(short).max(1);
        let layout = Layout::new(piece_length, [(total, false)]).unwrap();
        let mut picker = Picker::new(&layout, seed);
        let mut model = Model::new(layout);
        model.all_slow = slow;
        let mut shown = BTreeMap::new();
        for op in ops {
            carry_out(op, slow, &mut model, &mut picker);
            model.compare(&picker);
            // The same revision is the same piece.
            for partial in picker.partial_pieces() {
                let states: Vec<BlockState> = partial.blocks().collect();
                let known = shown.entry((partial.piece, partial.revision()));
                prop_assert_eq!(known.or_insert_with(|| states.clone()), &states);
            }
        }
    }

    #[test]
    fn every_swarm_with_a_seed_finishes(
        pieces in 1u64..40,
        seed: u64,
        sequential: bool,
        turns in prop::collection::vec((0u64..3, 1u32..30, any::<bool>()), 400),
    ) {
        let layout = Layout::new(2 * BLOCK_SIZE, [(pieces * 40_000, false)]).unwrap();
        let mut picker = Picker::new(&layout, seed);
        picker.set_sequential(sequential);
        let mut held: BTreeMap<u64, Vec<Block>> = BTreeMap::new();
        for (peer, count, come) in turns.iter().cycle().take(2000) {
            let key = PeerKey(*peer);
            let blocks = held.entry(*peer).or_default();
            let speed = if *peer == 0 { Speed::Fast } else { Speed::Slow };
            picker.pick(key, &PeerPieces::All, *count, speed, &[], blocks);
            // One of the peers never sends anything.
            for block in if *come && *peer != 2 { std::mem::take(blocks) } else { Vec::new() } {
                picker.received(key, block, &mut Vec::new());
                if picker.piece_complete_blocks(block.piece) {
                    picker.set_have(block.piece);
                }
            }
        }
        let anybody = turns.iter().any(|(peer, _, come)| *come && *peer != 2);
        prop_assert!(!anybody || picker.is_seed());
        prop_assert_eq!(picker.partial_pieces().count() == 0, picker.is_seed());
    }
}
