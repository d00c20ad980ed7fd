//! The queue of a session: which torrents run, and which wait for their turn.

use torrent_engine::session::queue::Move;

use super::*;

impl TorrentHandle {
    fn shift(&self, method: &str, to: Move) -> bool {
        self.command(method, |torrent| torrent.move_in_queue(to))
    }
}

#[godot_api(secondary)]
impl TorrentHandle {
    /// Lets the session's queue decide when the torrent runs: the first few downloads and
    /// the seeds that are needed most do (settings [code]active_downloads[/code],
    /// [code]active_seeds[/code] and [code]active_limit[/code]), and the others wait.
    /// Turned off, the torrent stays as it is now. [method pause] turns it off too.
    #[func]
    fn set_auto_managed(&self, auto_managed: bool) -> bool {
        self.command("set_auto_managed", |torrent| {
            torrent.set_auto_managed(auto_managed)
        })
    }

    /// Whether the session's queue decides when the torrent runs.
    #[func]
    fn is_auto_managed(&self) -> bool {
        self.read("is_auto_managed", Torrent::is_auto_managed)
            .unwrap_or_default()
    }

    /// The torrent's place in the queue, from 0; -1 when it is finished, since only
    /// downloads stand in line, or when it is gone.
    #[func]
    fn get_queue_position(&self) -> i64 {
        self.read("get_queue_position", Torrent::queue_position)
            .unwrap_or(-1)
    }

    /// Moves the torrent to this place in the queue, from 0; beyond the end means the last
    /// one.
    #[func]
    fn set_queue_position(&self, position: i64) -> bool {
        self.command("set_queue_position", |torrent| {
            let place = usize::try_from(position)
                .map_err(|_| invalid(format!("a position is not negative, as {position} is")))?;
            torrent.move_in_queue(Move::To(place))
        })
    }

    /// Moves the torrent one place to the front of the queue.
    #[func]
    fn queue_up(&self) -> bool {
        self.shift("queue_up", Move::Up)
    }

    /// Moves the torrent one place to the back of the queue.
    #[func]
    fn queue_down(&self) -> bool {
        self.shift("queue_down", Move::Down)
    }

    /// Moves the torrent to the front of the queue.
    #[func]
    fn queue_top(&self) -> bool {
        self.shift("queue_top", Move::Top)
    }

    /// Moves the torrent to the back of the queue.
    #[func]
    fn queue_bottom(&self) -> bool {
        self.shift("queue_bottom", Move::Bottom)
    }
}
