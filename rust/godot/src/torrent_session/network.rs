//! Where the session listens, and how it stands in the network.

use super::*;

#[godot_api(secondary)]
impl TorrentSession {
    /// The ports on which the session accepts connections. Empty when it does not run.
    #[func]
    fn get_listening_ports(&self) -> Array<i64> {
        let run = self.run.borrow();
        let endpoints = run.as_ref().map(Session::listening).unwrap_or_default();
        let mut ports: Vec<i64> = endpoints
            .iter()
            .map(|endpoint| i64::from(endpoint.port()))
            .collect();
        ports.dedup();
        ports.into_iter().collect()
    }
}
