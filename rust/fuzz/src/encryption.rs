//! A peer's side of an encryption handshake (MSE), in any splits.
//!
//! The input: a byte that chooses the side and the methods, four that choose the
//! pieces, then changes to what a correct peer would send: a place (two bytes)
//! and what its byte is changed by. RC4 passes changes on as they are, so that
//! each field can take any value.

use torrent_core::ids::InfoHash;
use torrent_core::mse::{Initiator, Methods, MseError, ObfuscatedHash, Responder, Seed};

const SWARM: InfoHash = InfoHash([7; 20]);
const OURS: Seed = [1; 32];
const THEIRS: Seed = [2; 32];

/// Whether the exchange is over, or why it failed; and what came behind it.
type Outcome = Result<Option<Vec<u8>>, MseError>;

pub(crate) fn exchange(data: &[u8]) {
    let Some((&[flags, ref pieces @ ..], changes)) = data.split_first_chunk::<5>() else {
        return;
    };
    let methods = match flags >> 1 & 3 {
        0 => Methods::Plaintext,
        1 => Methods::Rc4,
        _ => Methods::Both,
    };
    let initiates = flags & 1 == 0;
    let mut bytes = theirs(initiates);
    bytes.extend([flags; 100]);
    for change in changes.as_chunks::<3>().0 {
        let at = usize::from(u16::from_be_bytes([change[0], change[1]])) % bytes.len();
        bytes[at] ^= change[2];
    }
    let whole = outcome(initiates, methods, [&bytes[..]].into_iter());
    let mut rest = &bytes[..];
    let split = pieces.iter().cycle().map_while(|length| {
        let (piece, later) = rest.split_at(rest.len().min(1 + usize::from(*length)));
        rest = later;
        (!piece.is_empty()).then_some(piece)
    });
    assert_eq!(whole, outcome(initiates, methods, split));
}

fn initiator(seed: Seed, methods: Methods) -> Initiator {
    Initiator::new(seed, SWARM, methods, &[9; 68])
}

fn find(hash: ObfuscatedHash) -> Option<InfoHash> {
    (hash == ObfuscatedHash::of(SWARM)).then_some(SWARM)
}

/// What a correct peer sends to our side.
fn theirs(initiates: bool) -> Vec<u8> {
    let (seed, other) = match initiates {
        true => (OURS, THEIRS),
        false => (THEIRS, OURS),
    };
    let mut initiator = initiator(seed, Methods::Both);
    let mut responder = Responder::new(other, Methods::Both, true);
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    while !initiator.is_established() {
        let sent = initiator.poll_output().unwrap_or_default();
        responder
            .handle_input(&sent, &find)
            .expect("a correct peer");
        asked.extend(sent);
        let sent = responder.poll_output().unwrap_or_default();
        initiator.handle_input(&sent).expect("a correct peer");
        answered.extend(sent);
    }
    if initiates { answered } else { asked }
}

fn outcome<'a>(
    initiates: bool,
    methods: Methods,
    mut pieces: impl Iterator<Item = &'a [u8]>,
) -> Outcome {
    let finished = if initiates {
        let mut side = initiator(OURS, methods);
        side.poll_output();
        pieces.try_for_each(|piece| side.handle_input(piece))?;
        side.finish()
    } else {
        let mut side = Responder::new(OURS, methods, true);
        pieces.try_for_each(|piece| side.handle_input(piece, &find))?;
        side.finish()
    };
    Ok(finished.map(|it| it.received))
}
