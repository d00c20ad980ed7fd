//! How much may wait for a peer that does not read.

use super::*;

/// Far more than the peers of these tests are to have waiting.
const MUCH: usize = 4 << 20;

/// The error that ends `rounds`, in each of which the peer reads nothing.
fn error_of(
    world: &mut World,
    mut round: impl FnMut(&mut World) -> Result<(), PeerError>,
) -> PeerError {
    for _ in 0..500_000 {
        if let Err(error) = round(world) {
            return error;
        }
        let waits = world.conn.send.len();
        assert!(waits < MUCH, "{waits} bytes wait");
    }
    panic!("it goes on for ever");
}

#[test]
fn requests_pile_up_for_nobody() {
    for fast in [false, true] {
        let mut world = World::new().downloading(0);
        world.conn.features.fast = fast;
        let blocks: Vec<Block> = (0..4).map(block).collect();
        let refuse: Vec<Message<'_>> = blocks
            .iter()
            .map(|&it| Message::Reject(world.conn.request_for(it)))
            .collect();
        let error = error_of(&mut world, |world| {
            world.feed(&[Message::Choke])?;
            if fast {
                world.feed(&refuse)?;
            }
            // It does serve now and then.
            world.conn.requests.fruitful = true;
            world.feed(&[Message::Unchoke])?;
            world.conn.final_report();
            let lease = PeerCommand::Lease(blocks.clone());
            world.conn.handle_command(world.now, lease).map(drop)
        });
        assert_eq!(error, PeerError::NeverReads, "fast: {fast}");
    }
}

#[test]
fn no_more_does_what_the_torrent_says_because_of_the_peer() {
    let mut world = World::new();
    let mut interested = false;
    let error = error_of(&mut world, |world| {
        interested = !interested;
        let command = PeerCommand::Interested(interested);
        world.conn.handle_command(world.now, command)?;
        world.feed(&[Message::Have(PieceIndex(1))]).map(drop)
    });
    assert_eq!(error, PeerError::NeverReads);
}

#[test]
fn whoever_hears_of_many_pieces_may_take_its_time() {
    let mut world = World::new();
    let pieces = MUCH as u32 / 9;
    let layout = Layout::new(
        BLOCK_SIZE,
        [(u64::from(BLOCK_SIZE) * u64::from(pieces), false)],
    );
    let limits = ConnectionLimits::from(&Settings::default());
    world.conn = Connection::new(Arc::new(layout.unwrap()), limits, world.now);
    world.conn.features.fast = true;
    let have: Arc<[PieceIndex]> = (0..pieces).map(PieceIndex).collect();
    let command = PeerCommand::Have(have);
    assert_eq!(world.conn.handle_command(world.now, command), Ok(None));
    assert!(world.conn.send.len() > MUCH - 9);
    // What it asks for is rejected, and the rejection is reported too.
    for _ in 0..100 {
        world.feed(&[Message::Interested, request(0)]).unwrap();
    }
    assert_eq!(world.sent().len(), pieces as usize + 100);
    // That is over then.
    let error = error_of(&mut world, |world| {
        world.conn.set_choking(false);
        world.conn.set_choking(true);
        world.feed(&[request(0)]).map(drop)
    });
    assert_eq!(error, PeerError::TooManyRequests);
}
